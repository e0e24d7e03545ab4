"""The installation at a glance: what waits, what runs, how fast, and what today has cost."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Row, and_, func, select, true

from patchmill.job.circuit import GATEWAY, Condition
from patchmill.job.state import TERMINAL, State
from patchmill.store import circuits, pauses, workers
from patchmill.store.tables import calls, events, jobs
from patchmill.store.usage import spent_today

RATE_WINDOW_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """Numbers of one moment; jobs, rates and money are a project's where one was named.

    `queued` jobs are due, `waiting` ones are queued for later, or held back by a pause. The rates count what
    came in and what ended within the last minute. Calls on the wire and workers are the whole installation's.
    """

    at: datetime
    queued: int
    waiting: int
    dispatched: int
    running: int
    oldest_queued_s: float
    in_per_min: int
    out_per_min: int
    on_the_wire: int
    gateway: str
    gateway_reason: str | None
    workers: int
    spend_today_picos: int


def stats(connection: Connection, project_id: uuid.UUID | None, *, lease_ttl_s: float) -> Stats:
    """Look at a project's work, or at everybody's; a worker lives when it beat within the lease time."""
    now: datetime = connection.scalars(select(func.now())).one()
    work = _work(connection, project_id)
    came, went = _rates(connection, project_id)
    gateway, reason = _gateway(connection)
    return Stats(
        at=now,
        queued=work.queued,
        waiting=work.waiting,
        dispatched=work.dispatched,
        running=work.running,
        oldest_queued_s=0.0 if work.oldest is None else max(0.0, (now - work.oldest).total_seconds()),
        in_per_min=came,
        out_per_min=went,
        on_the_wire=on_the_wire(connection),
        gateway=gateway,
        gateway_reason=reason,
        workers=workers.count_live(connection, lease_ttl_s=lease_ttl_s),
        spend_today_picos=spent_today(connection, now, project_id=project_id),
    )


def on_the_wire(connection: Connection) -> int:
    """Count the calls of the whole installation that are on the wire."""
    return connection.scalar(_ON_THE_WIRE) or 0


_ON_THE_WIRE = select(func.count()).select_from(calls).where(calls.c.state == "sent")
_QUEUED = jobs.c.state == State.QUEUED
_DUE = and_(_QUEUED, jobs.c.run_at <= func.now(), ~pauses.holds_back())
_WORK = select(
    func.count().filter(_DUE).label("queued"),
    func.min(jobs.c.run_at).filter(_DUE).label("oldest"),
    func.count().filter(_QUEUED, ~_DUE).label("waiting"),
    func.count().filter(jobs.c.state == State.DISPATCHED).label("dispatched"),
    func.count().filter(jobs.c.state == State.RUNNING).label("running"),
).where(jobs.c.state.in_([State.QUEUED, State.DISPATCHED, State.RUNNING]))
_MOVED_TO = events.c.data["to"].astext
_RATES = select(
    func.count().filter(events.c.seq == 1).label("came"),
    func.count().filter(_MOVED_TO.in_(TERMINAL)).label("went"),
).where(
    events.c.at > func.now() - timedelta(seconds=RATE_WINDOW_S),
    events.c.type == "job.state",
)


def _of(project_id: uuid.UUID | None, column: ColumnElement[uuid.UUID]) -> ColumnElement[bool]:
    return true() if project_id is None else column == project_id


def _work(connection: Connection, project_id: uuid.UUID | None) -> Row[int, datetime | None, int, int, int]:
    return connection.execute(_WORK.where(_of(project_id, jobs.c.project_id))).one()


def _rates(connection: Connection, project_id: uuid.UUID | None) -> tuple[int, int]:
    row = connection.execute(_RATES.where(_of(project_id, events.c.project_id))).one()
    return row.came, row.went


def _gateway(connection: Connection) -> tuple[str, str | None]:
    circuit = circuits.open_ones(connection).get(GATEWAY)
    if circuit is None:
        return Condition.OK, None
    return circuit.state, circuit.why
