"""The one way to move a job along an arrow: compare-and-set, with its event, in one statement.

What follows from a move for others is done with it: the run of the job counts, webhooks are told. Only the
end of a running job, with which much more is written, is a function of the database (`claims.finish`).

Building a statement costs far more than running it, so each arrow is prepared once, where it is used: a named
constant whose parameters (`given`) are bound when it is applied.
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
from sqlalchemy.types import TypeEngine

from patchmill.job.state import TERMINAL, State, is_legal
from patchmill.store import run_progress
from patchmill.store.tables import events, jobs

# What the event and what follows from it need to know.
_TOLD = ["project_id", "id", "run_id", "event_seq", "fence", "wait_reason", "run_at"]


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
        beside: Sequence[Callable[[CTE], UpdateBase]] = (),
        giving: Sequence[str] = ("id",),
        reading: Callable[[CTE], Sequence[ColumnElement[Any]]] | None = None,
        telling: Mapping[str, ColumnElement[Any]] | None = None,
    ) -> None:
        """Prepare the arrow; ValueError when there is none.

        Each of `beside` makes another change, for what belongs to the moved jobs or waits for them; `giving`
        names the columns that `apply` gives, `reading` what it reads beside, and `telling` is more for the
        event's data.
        """
        if not is_legal(source, target):
            raise ValueError(f"no arrow from {source} to {target}")
        returned = dict.fromkeys([*_TOLD, *giving])
        moved = (
            update(jobs)
            .where(jobs.c.id == any_(given("job_ids", ARRAY(Uuid))), jobs.c.state == source, *where)
            .values(state=target, event_seq=jobs.c.event_seq + 1, **values)
            .returning(*(jobs.c[name] for name in returned))
            .cte("moved")
        )
        told = _told(moved, source, target, telling or {}).cte("told")
        self._source, self._target = source, target
        read = () if reading is None else reading(moved)
        as_moved = select(*(moved.c[name] for name in returned), *read).order_by(moved.c.id)
        self._statement = as_moved.add_cte(told)
        for number, change in enumerate(beside):
            self._statement = self._statement.add_cte(change(moved).cte(f"beside_{number}"))

    def apply(
        self, connection: Connection, job_ids: Sequence[uuid.UUID], **parameters: Any
    ) -> Sequence[RowMapping]:
        """Move those of the jobs that may go; give them as they are after the move, by id."""
        bound = _named({"job_ids": job_ids, **parameters})
        rows = connection.execute(self._statement, bound).mappings().all()
        self._follow(connection, rows)
        return rows

    def _follow(self, connection: Connection, rows: Sequence[RowMapping]) -> None:
        """Tell runs and webhooks; the rows of runs are locked after everything else."""
        if self._target in TERMINAL:
            run_progress.follow_ends(connection, [row["id"] for row in rows])
        elif self._source in TERMINAL:
            run_progress.reopen(connection, {row["run_id"] for row in rows if row["run_id"] is not None})


def _told(moved: CTE, source: State, target: State, more: Mapping[str, ColumnElement[Any]]) -> Insert:
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
        *(part for name, value in more.items() for part in (literal(name), value)),
    )
    return insert(events).from_select(
        ["project_id", "job_id", "run_id", "seq", "type", "data"],
        select(moved.c.project_id, moved.c.id, moved.c.run_id, moved.c.event_seq, literal("job.state"), data),
    )
