"""The address of a list, and what it asks for: every state of a list is a link to share."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Generic, TypeVar, get_args
from urllib.parse import urlencode

from api.query import from_cursor, identity
from api.run_shapes import RunState
from patchmill.errors import FieldError, InvalidFields
from patchmill.job.record import ErrorCode, KindName, Outcome
from patchmill.job.state import State
from patchmill.store.jobs import JobFilter
from patchmill.store.runs import RunFilter

MAX_TEXT = 200
JOB_CHOICES: Mapping[str, tuple[str, ...]] = {
    "state": tuple(State),
    "kind": tuple(KindName),
    "outcome": tuple(Outcome),
    "error": tuple(ErrorCode),
}
RUN_CHOICES: Mapping[str, tuple[str, ...]] = {
    "state": get_args(RunState),
    "outcome": (*Outcome, "failed"),
}
DATES = ("created_after", "created_before")
JOB_NAMES = (*JOB_CHOICES, "q", "repository", "rule", *DATES, "project", "run")
RUN_NAMES = (*RUN_CHOICES, "repository", *DATES, "project")

_Filter = TypeVar("_Filter", JobFilter, RunFilter)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen(Generic[_Filter]):
    """What a page of a list shows: the filter, the project, and where it begins."""

    place: str  # the path of the list
    filter: _Filter
    project_id: uuid.UUID | None
    before: uuid.UUID | None
    given: Mapping[str, str] = field(default_factory=dict)  # as the form shows it again

    def address(self, **changes: str | None) -> str:
        """Give the address of the list with some of it changed; None takes a part away."""
        kept = {name: value for name, value in {**self.given, **changes}.items() if value}
        return f"{self.place}?{urlencode(kept)}" if kept else self.place


def read_jobs(parameters: Mapping[str, str]) -> Chosen[JobFilter]:
    """Read the parameters of the list of jobs; empty ones, as forms send them, ask for nothing.

    Raises:
        InvalidFields: one asks for what there cannot be.
    """
    given = _given(parameters, JOB_NAMES, JOB_CHOICES)
    after, before = _days(given)
    chosen = JobFilter(
        state=given.get("state"),
        kind=given.get("kind"),
        outcome=given.get("outcome"),
        error=given.get("error"),
        rule=given.get("rule"),
        repository=given.get("repository"),
        q=given.get("q"),
        run=identity("run", given.get("run"), "run"),
        created_after=after,
        created_before=before,
    )
    return Chosen(place="/jobs", filter=chosen, **_page(parameters, given), given=given)


def read_runs(parameters: Mapping[str, str]) -> Chosen[RunFilter]:
    """Read the parameters of the list of runs, in the same way.

    Raises:
        InvalidFields: one asks for what there cannot be.
    """
    given = _given(parameters, RUN_NAMES, RUN_CHOICES)
    after, before = _days(given)
    chosen = RunFilter(
        state=given.get("state"),
        outcome=given.get("outcome"),
        repository=given.get("repository"),
        created_after=after,
        created_before=before,
    )
    return Chosen(place="/runs", filter=chosen, **_page(parameters, given), given=given)


def _given(
    parameters: Mapping[str, str], names: tuple[str, ...], choices: Mapping[str, tuple[str, ...]]
) -> dict[str, str]:
    given = {name: parameters[name].strip() for name in names if parameters.get(name, "").strip()}
    errors = [error for name, value in given.items() if (error := _fault(name, value, choices)) is not None]
    if errors:
        raise InvalidFields(errors)
    return given


def _page(parameters: Mapping[str, str], given: Mapping[str, str]) -> dict[str, uuid.UUID | None]:
    return {
        "project_id": identity("prj", given.get("project"), "project"),
        "before": from_cursor(parameters.get("cursor") or None),
    }


def _fault(name: str, value: str, choices: Mapping[str, tuple[str, ...]]) -> FieldError | None:
    pointer = f"/query/{name}"
    if len(value) > MAX_TEXT or "\0" in value:
        return FieldError(pointer, "not_allowed", f"must be at most {MAX_TEXT} characters of text")
    if name in choices and value not in choices[name]:
        return FieldError(pointer, "not_allowed", f"must be one of {', '.join(choices[name])}")
    if name in DATES and _midnight(value) is None:
        return FieldError(pointer, "wrong_type", "must be a day such as 2026-11-22")
    return None


def _days(given: Mapping[str, str]) -> tuple[datetime | None, datetime | None]:
    """Give the instants that the chosen days lie between, both days included."""
    after, before = (_midnight(given.get(name)) for name in DATES)
    return (
        None if after is None else after - timedelta(microseconds=1),
        None if before is None else before + timedelta(days=1),
    )


def _midnight(day: str | None) -> datetime | None:
    """Give the beginning of a day in UTC; None for what is no day, or none that has a neighbour."""
    try:
        midnight = None if day is None else datetime.combine(date.fromisoformat(day), time.min, UTC)
    except ValueError:
        return None
    return midnight if midnight is None or date.min < midnight.date() < date.max else None
