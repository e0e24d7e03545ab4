"""The address of a list of jobs, and what it asks for: every state of the list is a link to share."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from urllib.parse import urlencode

from api.query import from_cursor, identity
from patchmill.errors import FieldError, InvalidFields
from patchmill.job.record import ErrorCode, KindName, Outcome
from patchmill.job.state import State
from patchmill.store.jobs import JobFilter

MAX_TEXT = 200
CHOICES: Mapping[str, tuple[str, ...]] = {
    "state": tuple(State),
    "kind": tuple(KindName),
    "outcome": tuple(Outcome),
    "error": tuple(ErrorCode),
}
TEXTS = ("q", "repository", "rule")
DATES = ("created_after", "created_before")
IDS = ("project", "run")
NAMES = (*CHOICES, *TEXTS, *DATES, *IDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What a page of the list shows: the filter, the project, and where it begins."""

    filter: JobFilter
    project_id: uuid.UUID | None
    before: uuid.UUID | None
    given: Mapping[str, str] = field(default_factory=dict)  # as the form shows it again

    def address(self, **changes: str | None) -> str:
        """Give the address of the list with some of it changed; None takes a part away."""
        kept = {name: value for name, value in {**self.given, **changes}.items() if value}
        return f"/jobs?{urlencode(kept)}" if kept else "/jobs"


def read(parameters: Mapping[str, str]) -> Chosen:
    """Read the parameters of an address; empty ones, as forms send them, ask for nothing.

    Raises:
        InvalidFields: one asks for what there cannot be.
    """
    given = {name: parameters[name].strip() for name in NAMES if parameters.get(name, "").strip()}
    errors = [error for name, value in given.items() if (error := _fault(name, value)) is not None]
    if errors:
        raise InvalidFields(errors)
    after, before = (_midnight(given.get(name)) for name in DATES)
    return Chosen(
        filter=JobFilter(
            state=given.get("state"),
            kind=given.get("kind"),
            outcome=given.get("outcome"),
            error=given.get("error"),
            rule=given.get("rule"),
            repository=given.get("repository"),
            q=given.get("q"),
            run=identity("run", given.get("run"), "run"),
            created_after=None if after is None else after - timedelta(microseconds=1),
            created_before=None if before is None else before + timedelta(days=1),
        ),
        project_id=identity("prj", given.get("project"), "project"),
        before=from_cursor(parameters.get("cursor") or None),
        given=given,
    )


def _fault(name: str, value: str) -> FieldError | None:
    pointer = f"/query/{name}"
    if len(value) > MAX_TEXT or "\0" in value:
        return FieldError(pointer, "not_allowed", f"must be at most {MAX_TEXT} characters of text")
    if name in CHOICES and value not in CHOICES[name]:
        return FieldError(pointer, "not_allowed", f"must be one of {', '.join(CHOICES[name])}")
    if name in DATES:
        try:
            date.fromisoformat(value)
        except ValueError:
            return FieldError(pointer, "wrong_type", "must be a day such as 2026-11-22")
    return None


def _midnight(day: str | None) -> datetime | None:
    """The beginning of a day in UTC."""
    return None if day is None else datetime.combine(date.fromisoformat(day), time.min, UTC)
