"""The one way to move a job along an arrow: compare-and-set, with its event, in one statement.

Building a statement costs far more than running it, so each arrow and each note is prepared once, where
it is used: a named constant whose parameters (`given`) are bound when it is applied.
"""

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    CTE,
    BindParameter,
    ColumnElement,
    Connection,
    Insert,
    RowMapping,
    UpdateBase,
    Uuid,
    any_,
    bindparam,
    func,
    insert,
    literal,
    null,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

from patchmill.job.state import State, is_legal
from patchmill.store.tables import events, jobs

_TOLD = ["project_id", "id", "event_seq", "fence", "wait_reason", "run_at"]  # what the event needs


def given(name: str, type_: TypeEngine[Any] | None = None) -> BindParameter[Any]:
    """Stand for a value that is given by this name when a prepared statement is applied.

    SQLAlchemy takes a parameter that is named like a column for one to set, in every part of a statement;
    hence the prefix.
    """
    return bindparam(f"given_{name}", type_=type_)


def _named(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {f"given_{name}": value for name, value in parameters.items()}


class Move:
    """An arrow, prepared: jobs in `source` that `where` holds for move to `target` and take `values`.

    Values and conditions may hold what is `given` to `apply`. The event's `data` carries from,
    to, attempt, wait_reason and run_at as they are after the move.
    """

    def __init__(
        self,
        source: State,
        target: State,
        values: Mapping[str, Any],
        *,
        where: Iterable[ColumnElement[bool]] = (),
        beside: Callable[[CTE], UpdateBase] | None = None,
        giving: Sequence[str] = ("id",),
    ) -> None:
        """Prepare the arrow; ValueError when there is none.

        `beside` makes another change, of what belongs to the moved jobs; `giving` names the columns that
        `apply` gives.
        """
        if not is_legal(source, target):
            raise ValueError(f"no arrow from {source} to {target}")
        moved = (
            update(jobs)
            .where(jobs.c.id == any_(given("job_ids", ARRAY(Uuid))), jobs.c.state == source, *where)
            .values(state=target, event_seq=jobs.c.event_seq + 1, **values)
            .returning(*(jobs.c[name] for name in dict.fromkeys([*_TOLD, *giving])))
            .cte("moved")
        )
        told = _told(moved, source, target).cte("told")
        as_moved = select(*(moved.c[name] for name in giving)).order_by(moved.c.id)
        self._statement = as_moved.add_cte(told)
        if beside is not None:
            self._statement = self._statement.add_cte(beside(moved).cte("beside"))

    def apply(
        self, connection: Connection, job_ids: Sequence[uuid.UUID], **parameters: Any
    ) -> Sequence[RowMapping]:
        """Move those of the jobs that may go; give them as they are after the move, by id."""
        bound = _named({"job_ids": job_ids, **parameters})
        return connection.execute(self._statement, bound).mappings().all()


def _told(moved: CTE, source: State, target: State) -> Insert:
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
        moved.c.run_at if target is State.QUEUED else null(),
    )
    return insert(events).from_select(
        ["project_id", "job_id", "seq", "type", "data"],
        select(moved.c.project_id, moved.c.id, moved.c.event_seq, literal("job.state"), data),
    )


class Note:
    """An event that is no arrow, prepared: recorded together with the columns of the job that it tells of."""

    def __init__(self, kind: str, values: Mapping[str, Any]) -> None:
        """Prepare the event; `values` may hold what is `given` to `write`."""
        noted = (
            update(jobs)
            .where(jobs.c.id == given("job_id", Uuid()))
            .values(event_seq=jobs.c.event_seq + 1, **values)
            .returning(jobs.c.project_id, jobs.c.id, jobs.c.event_seq)
            .cte("noted")
        )
        data = given("data", JSONB())
        self._statement = insert(events).from_select(
            ["project_id", "job_id", "seq", "type", "data"],
            select(noted.c.project_id, noted.c.id, noted.c.event_seq, literal(kind), data),
        )

    def write(
        self, connection: Connection, job_id: uuid.UUID, data: Mapping[str, Any], **parameters: Any
    ) -> None:
        """Change the job's columns and record the event."""
        bound = _named({"job_id": job_id, "data": dict(data), **parameters})
        connection.execute(self._statement, bound)
