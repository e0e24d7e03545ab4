"""The one way to move a job along an arrow: compare-and-set, with its event, in one statement.

What follows from a move for others is done with it: the run of the job counts, webhooks are told.

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
    true,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

from patchmill.job.state import TERMINAL, State, is_legal
from patchmill.store import outbox, run_progress
from patchmill.store.tables import events, jobs

# What the event and what follows from it need to know.
_TOLD = ["project_id", "id", "run_id", "event_seq", "fence", "wait_reason", "run_at"]
_TOLD += ["kind", "state", "outcome", "origin"]


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
        telling: Mapping[str, ColumnElement[Any]] | None = None,
    ) -> None:
        """Prepare the arrow; ValueError when there is none.

        Each of `beside` makes another change, for what belongs to the moved jobs or waits for them; `giving`
        names the columns that `apply` gives, and `telling` is more for the event's data.
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
        told = _told(moved, source, target, telling or {}).cte("told")
        self._source, self._target = source, target
        returned = dict.fromkeys([*_TOLD, *giving])
        as_moved = select(*(moved.c[name] for name in returned)).order_by(moved.c.id)
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
            outbox.tell_of_jobs(connection, rows)
        runs = {row["run_id"] for row in rows if row["run_id"] is not None}
        if not runs:
            return
        if self._target in TERMINAL:
            run_progress.count(connection, runs)
        elif self._target is State.RUNNING:
            run_progress.begin(connection, runs)
        elif self._source in TERMINAL:
            run_progress.reopen(connection, runs)


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


class Note:
    """Events that are no arrows, prepared: recorded with the columns of the job that they tell of."""

    def __init__(self, kind: str, values: Mapping[str, Any]) -> None:
        """Prepare the event; `values` may hold what is `given` to `write`."""
        told = given("data", JSONB())
        noted = (
            update(jobs)
            .where(jobs.c.id == given("job_id", Uuid()))
            .values(event_seq=jobs.c.event_seq + func.jsonb_array_length(told), **values)
            .returning(jobs.c.project_id, jobs.c.id, jobs.c.run_id, jobs.c.event_seq)
            .cte("noted")
        )
        elements = func.jsonb_array_elements(told)
        each = elements.table_valued("value", with_ordinality="number").render_derived(name="each")
        seq = noted.c.event_seq - func.jsonb_array_length(told) + each.c.number
        self._statement = insert(events).from_select(
            ["project_id", "job_id", "run_id", "seq", "type", "data"],
            select(noted.c.project_id, noted.c.id, noted.c.run_id, seq, literal(kind), each.c.value)
            .select_from(noted.join(each, true()))
            .order_by(each.c.number),
        )

    def write(
        self, connection: Connection, job_id: uuid.UUID, *data: Mapping[str, Any], **parameters: Any
    ) -> None:
        """Change the job's columns and record an event for each of `data`, in this order."""
        bound = _named({"job_id": job_id, "data": [dict(one) for one in data], **parameters})
        connection.execute(self._statement, bound)
