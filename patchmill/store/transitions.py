"""The one way to move a job along an arrow: compare-and-set, with its event, in one statement."""

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import JSONB

from patchmill.job.state import State, is_legal
from patchmill.store.tables import events, jobs


def move(
    connection: Connection,
    job_id: uuid.UUID,
    *,
    source: State,
    target: State,
    values: Mapping[str, Any],
    where: Iterable[ColumnElement[bool]] = (),
) -> bool:
    """Move one job if it is still in `source` and `where` holds; say whether it moved.

    The event's `data` carries from, to, attempt, wait_reason and run_at as they are after the move.
    """
    return bool(move_all(connection, [job_id], source=source, target=target, values=values, where=where))


def move_all(
    connection: Connection,
    job_ids: Iterable[uuid.UUID],
    *,
    source: State,
    target: State,
    values: Mapping[str, Any],
    where: Iterable[ColumnElement[bool]] = (),
) -> list[uuid.UUID]:
    """Move several jobs along the same arrow; give the ids of those that moved."""
    if not is_legal(source, target):
        raise ValueError(f"no arrow from {source} to {target}")
    moved = (
        update(jobs)
        .where(jobs.c.id.in_(list(job_ids)), jobs.c.state == source, *where)
        .values(state=target, event_seq=jobs.c.event_seq + 1, **values)
        .returning(
            jobs.c.id,
            jobs.c.project_id,
            jobs.c.event_seq,
            jobs.c.fence,
            jobs.c.wait_reason,
            jobs.c.run_at,
        )
        .cte("moved")
    )
    data = func.jsonb_build_object(
        "from",
        literal(source.value),
        "to",
        literal(target.value),
        "attempt",
        moved.c.fence,
        "wait_reason",
        moved.c.wait_reason,
        "run_at",
        moved.c.run_at if target is State.QUEUED else None,
    )
    statement = (
        insert(events)
        .from_select(
            ["project_id", "job_id", "seq", "type", "data"],
            select(moved.c.project_id, moved.c.id, moved.c.event_seq, literal("job.state"), data),
        )
        .returning(events.c.job_id)
    )
    return list(connection.scalars(statement))


def note(
    connection: Connection,
    job_id: uuid.UUID,
    kind: str,
    data: Mapping[str, Any],
    values: Mapping[str, Any],
) -> None:
    """Change columns of a job other than its state, and record the event that tells of it."""
    bumped = (
        update(jobs)
        .where(jobs.c.id == job_id)
        .values(event_seq=jobs.c.event_seq + 1, **values)
        .returning(jobs.c.project_id, jobs.c.id, jobs.c.event_seq)
        .cte("bumped")
    )
    connection.execute(
        insert(events).from_select(
            ["project_id", "job_id", "seq", "type", "data"],
            select(
                bumped.c.project_id,
                bumped.c.id,
                bumped.c.event_seq,
                literal(kind),
                literal(dict(data), JSONB),
            ),
        )
    )
