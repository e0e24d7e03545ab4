"""The two queues as they are now: what is due, what waits for what, what runs, and each project's place."""

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, case, func, select

from patchmill.job.pause import Pause
from patchmill.job.record import Priority
from patchmill.job.state import TERMINAL, State, WaitReason
from patchmill.job.turns import Turn
from patchmill.store import pauses
from patchmill.store.ids import to_edge
from patchmill.store.tables import events, jobs, projects, turns

RATE_WINDOW_S = 60


@dataclass(slots=True, kw_only=True)
class Queue:
    """One queue, of the installation or of one project; the rates are those of the last minute."""

    name: Priority
    due: int = 0
    waiting: Counter[str] = field(default_factory=Counter)  # by reason
    dispatched: int = 0
    running: int = 0
    oldest_due_at: datetime | None = None
    came: int = 0
    went: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A project's place: its share, how many of its jobs were ever dispatched, and its queues.

    `behind_s` is how far its turn is behind that which has come furthest; of the projects with due jobs that
    have less than their share in flight, the one that is furthest behind is next (`job/turns.py`).
    """

    id: uuid.UUID
    name: str
    weight: int
    max_in_flight: int | None
    tokens_per_minute: int | None
    behind_s: float
    dispatched_ever: int
    queues: Sequence[Queue]
    pause: Pause | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Queues:
    """Both queues of the installation, the places of projects, and what is paused."""

    at: datetime
    queues: Sequence[Queue]
    places: Sequence[Place]
    pauses: Sequence[Pause]


_DUE = jobs.c.run_at <= func.now()
_STANDING = case(
    (jobs.c.state != State.QUEUED, jobs.c.state),
    (and_(_DUE, pauses.holds_back()), WaitReason.PAUSED.value),
    (_DUE, "due"),
    else_=func.coalesce(jobs.c.wait_reason, WaitReason.RETRY.value),
).label("standing")
_WORK = (
    select(
        jobs.c.project_id,
        jobs.c.priority,
        _STANDING,
        func.count().label("number"),
        func.min(jobs.c.run_at).label("oldest"),
    )
    .where(jobs.c.state.in_([State.QUEUED, State.DISPATCHED, State.RUNNING]))
    .group_by(jobs.c.project_id, jobs.c.priority, _STANDING)
)
_RATES = (
    select(
        jobs.c.project_id,
        jobs.c.priority,
        func.count().filter(events.c.seq == 1).label("came"),
        func.count().filter(events.c.data["to"].astext.in_(sorted(TERMINAL))).label("went"),
    )
    .select_from(events.join(jobs, jobs.c.id == events.c.job_id))
    .where(events.c.at > func.now() - timedelta(seconds=RATE_WINDOW_S), events.c.type == "job.state")
    .group_by(jobs.c.project_id, jobs.c.priority)
)
_PROJECTS = (
    select(
        projects.c.id,
        projects.c.name,
        projects.c.weight,
        projects.c.max_in_flight,
        projects.c.tokens_per_minute,
        turns.c.reached,
        turns.c.held,
        turns.c.at,
        turns.c.dispatched,
    )
    .select_from(projects.outerjoin(turns, turns.c.project_id == projects.c.id))
    .order_by(projects.c.name)
)


def look(connection: Connection) -> Queues:
    """Look at everybody's jobs that have not ended, and at what was done in the last minute."""
    now: datetime = connection.scalars(select(func.now())).one()
    of_project: dict[uuid.UUID, list[Queue]] = defaultdict(lambda: [Queue(name=each) for each in Priority])
    everybodys = [Queue(name=each) for each in Priority]
    for row in connection.execute(_WORK):
        for queue in _both(everybodys, of_project[row.project_id], row.priority):
            _add(queue, row.standing, row.number, row.oldest)
    for row in connection.execute(_RATES):
        for queue in _both(everybodys, of_project[row.project_id], row.priority):
            queue.came += row.came
            queue.went += row.went
    found = pauses.standing(connection)
    rows = connection.execute(_PROJECTS).all()
    come = {
        row.id: 0
        if row.at is None
        else Turn(reached=row.reached, held=row.held, at=row.at).now(now, row.weight)
        for row in rows
    }
    furthest = max(come.values(), default=0)
    places = [
        Place(
            id=row.id,
            name=row.name,
            weight=row.weight,
            max_in_flight=row.max_in_flight,
            tokens_per_minute=row.tokens_per_minute,
            behind_s=round((furthest - come[row.id]) / 1_000_000, 3),
            dispatched_ever=row.dispatched or 0,
            queues=of_project[row.id],
            pause=pauses.of_project(found, row.id),
        )
        for row in rows
    ]
    return Queues(at=now, queues=everybodys, places=places, pauses=found)


def _both(everybodys: Iterable[Queue], own: Iterable[Queue], priority: str) -> list[Queue]:
    return [queue for queue in (*everybodys, *own) if queue.name == priority]


def _add(queue: Queue, standing: str, number: int, oldest: datetime) -> None:
    if standing == State.RUNNING:
        queue.running += number
    elif standing == State.DISPATCHED:
        queue.dispatched += number
    elif standing == "due":
        queue.due += number
        queue.oldest_due_at = min(queue.oldest_due_at or oldest, oldest)
    else:
        queue.waiting[standing] += number


def document(seen: Queues, places: Iterable[Place]) -> dict[str, Any]:
    """Write them as the API and the command line show them, with these of the places."""
    return {
        "at": seen.at,
        "queues": [_queue(seen, queue) for queue in seen.queues],
        "projects": [
            {
                "project": to_edge("prj", place.id),
                "name": place.name,
                "weight": place.weight,
                "max_in_flight": place.max_in_flight,
                "tokens_per_minute": place.tokens_per_minute,
                "behind_s": place.behind_s,
                "dispatched_ever": place.dispatched_ever,
                "paused": pause_document(place.pause),
                "queues": [_queue(seen, queue) for queue in place.queues],
            }
            for place in places
        ],
    }


def pause_document(pause: Pause | None) -> dict[str, Any] | None:
    """Write a pause as the API and the command line show it."""
    if pause is None:
        return None
    return {
        "what": pause.part.what,
        "name": pause.name,
        "reason": pause.reason,
        "actor": pause.actor,
        "since": pause.since,
    }


def _queue(seen: Queues, queue: Queue) -> dict[str, Any]:
    oldest = queue.oldest_due_at
    return {
        "name": queue.name,
        "due": queue.due,
        "waiting": dict(sorted(queue.waiting.items())),
        "dispatched": queue.dispatched,
        "running": queue.running,
        "oldest_due_s": 0.0 if oldest is None else round(max(0.0, (seen.at - oldest).total_seconds()), 3),
        "rate_per_min": {"in": queue.came, "out": queue.went},
        "paused": pause_document(pauses.of_queue(seen.pauses, queue.name)),
    }
