"""The calls of a job as they can be read later: prompts, raw answers, and the edits that were refused."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, Connection, Text, Uuid, any_, bindparam, cast, func, literal, select

from patchmill.edit.called import shown
from patchmill.store.results import CheckRow
from patchmill.store.tables import calls, checks, jobs

MAX_TEXT_BYTES = 8 * 1024 * 1024  # of prompts and answers in one page; one call is given however long it is


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRow:
    """A call as stored; `rejected` are the failed checks of edits that it proposed and that are not offered.

    `failure` is the class of what went wrong and `message` the sentence about it; tokens are 0 and the cost
    is 0 until the gateway has reported them. Messages and reply are gone once the job's code is erased.
    """

    id: uuid.UUID
    number: int
    fence: int
    model: str
    rung: str
    prompt_version: str | None
    returned_model: str | None
    state: str
    failure: str | None
    message: str | None
    status: int | None
    finish_reason: str | None
    stand_in: bool
    anomalies: Sequence[str]
    messages: Sequence[Mapping[str, str]]
    reply: str | None
    usage: Mapping[str, Any] | None
    max_tokens: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost_picos: int
    hold_picos: int
    queue_ms: int | None
    first_token_ms: int | None
    total_ms: int | None
    sent_at: datetime
    ended_at: datetime | None
    rejected: tuple[CheckRow, ...]


_NAMES = [field.name for field in fields(CallRow) if field.name != "rejected"]
_SIZE = func.octet_length(cast(calls.c.messages, Text)) + func.coalesce(func.octet_length(calls.c.reply), 0)
_PAGE = (
    select(*(calls.c[name] for name in _NAMES))
    .add_columns((func.sum(_SIZE).over(order_by=calls.c.number) - _SIZE).label("before"))
    .where(calls.c.job_id == bindparam("job_id"), calls.c.number > bindparam("after"))
    .order_by(calls.c.number)
    .limit(bindparam("limit"))
    .subquery("page")
)
_CALLS_OF = (
    select(*(_PAGE.c[name] for name in _NAMES))
    .where(_PAGE.c.before < MAX_TEXT_BYTES)
    .order_by(_PAGE.c.number)
)
_REJECTED = (
    select(checks)
    .where(
        checks.c.job_id == bindparam("job_id"),
        checks.c.suggestion_id.is_(None),
        checks.c.call_id == any_(bindparam("call_ids", type_=ARRAY(Uuid))),
    )
    .order_by(checks.c.id)
)


def calls_of(connection: Connection, job_id: uuid.UUID, *, after: int = 0, limit: int = 200) -> list[CallRow]:
    """Give a job's calls in the order in which they were made, from the one after number `after`.

    At most `limit`, and fewer when their texts are long.
    """
    page = connection.execute(_CALLS_OF, {"job_id": job_id, "after": after, "limit": limit}).mappings().all()
    rejected: dict[uuid.UUID, list[CheckRow]] = {row["id"]: [] for row in page}
    if page:
        for row in connection.execute(_REJECTED, {"job_id": job_id, "call_ids": list(rejected)}):
            rejected[row.call_id].append(
                CheckRow(
                    suggestion_id=None,
                    call_id=row.call_id,
                    check=row.check,
                    result=row.result,
                    detail=row.detail,
                )
            )
    return [
        CallRow(
            **{**row, "messages": [shown(message) for message in row["messages"]]},
            rejected=tuple(rejected[row["id"]]),
        )
        for row in page
    ]


_LATER = (
    select(literal(1))
    .where(calls.c.job_id == bindparam("job_id"), calls.c.number > bindparam("after"))
    .limit(1)
)


def has_later(connection: Connection, job_id: uuid.UUID, number: int) -> bool:
    """Say whether a job has calls after the one with this number."""
    return connection.scalar(_LATER, {"job_id": job_id, "after": number}) is not None


_SKIPPED = select(jobs.c.skipped_rungs).where(jobs.c.id == bindparam("job_id"))


def skipped_rungs(connection: Connection, job_id: uuid.UUID) -> list[dict[str, str]]:
    """Give the rungs of the ladder that a job left out: rung, model and reason of each."""
    skipped: list[dict[str, str]] | None = connection.scalars(_SKIPPED, {"job_id": job_id}).one()
    return skipped or []  # earlier versions wrote null for jobs that failed before they had any
