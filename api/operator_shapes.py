"""The shapes of what operators see and do: workers, queues, pauses, and many jobs at once."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from api.fields import MAX_INT, Short
from api.fields import Instant as GivenInstant
from api.requests import Body
from api.schemas import Instant, Pause, Shape
from patchmill.job.pause import MAX_REASON
from patchmill.job.record import ErrorCode, KindName, Outcome, Priority
from patchmill.job.state import State
from patchmill.store.bulk import MOST
from patchmill.store.workers import Standing


class Worker(Shape):
    """A start of a worker process; `silent` ones have lost their jobs to others."""

    id: str
    name: str = Field(description="host and process id")
    version: str | None = Field(description="of Patchmill; null of one that is too old to tell")
    state: Standing
    started_at: Instant
    heartbeat_at: Instant
    stopped_at: Instant | None
    jobs: int = Field(description="that it runs")
    slots: int | None = Field(description="for calls, that it holds of the account's; null without Redis")


class WorkerList(Shape):
    """Worker processes that live, or ended or fell silent within the hour; the latest start first."""

    data: list[Worker]
    next_cursor: str | None


class Queue(Shape):
    """One of the two queues: `due` jobs are next, `waiting` ones are counted by what they wait for."""

    name: Priority
    due: int
    waiting: dict[str, int]
    dispatched: int
    running: int
    oldest_due_s: float = Field(description="how long the longest due job has been due; 0 without one")
    rate_per_min: dict[Literal["in", "out"], int] = Field(
        description="jobs that came in and that ended within the last minute"
    )
    paused: Pause | None


class ProjectQueues(Shape):
    """A project's part of the queues, and its place among the projects."""

    project: str
    name: str
    weight: int
    max_in_flight: int | None
    tokens_per_minute: int | None
    behind_s: float = Field(
        description="how far its turn is behind the one that has come furthest: the furthest behind is next"
    )
    dispatched_ever: int
    paused: Pause | None
    queues: list[Queue]


class Queues(Shape):
    """The queues of the installation, and of the projects that the key may see: its own."""

    at: Instant
    queues: list[Queue]
    projects: list[ProjectQueues]


class PauseRequest(Body):
    """Why, for those who look."""

    reason: Annotated[str, Field(max_length=MAX_REASON)] = ""


class BulkRequest(Body):
    """Which jobs, by the filters of `GET /v1/jobs`, and how many they are expected to be."""

    state: Annotated[State, Field(strict=False)] | None = None
    kind: Annotated[KindName, Field(strict=False)] | None = None
    outcome: Annotated[Outcome, Field(strict=False)] | None = None
    error: Annotated[ErrorCode, Field(strict=False)] | None = Field(
        default=None, description="the code of a failed job's error"
    )
    run: Short | None = Field(default=None, description="an id `run_…`")
    rule: Short | None = None
    repository: Short | None = None
    labels: dict[Short, Annotated[str, Field(max_length=200)]] | None = None
    created_after: GivenInstant | None = None
    created_before: GivenInstant | None = None
    q: Short | None = Field(default=None, description="a part of the path, or of an error's message")
    expect: Annotated[int, Field(ge=0, le=MAX_INT)] | None = Field(
        default=None, description="how many jobs this must be; without it they are only counted"
    )
    as_of: GivenInstant | None = Field(
        default=None, description="from the answer that counted: only what was so then belongs to it"
    )
    limit: Annotated[int, Field(ge=1, le=MOST)] = Field(
        default=MOST, description="of how many jobs at most it is done now"
    )


class SortCount(Shape):
    """Jobs of one state, and of one outcome or error where they have one."""

    state: State
    outcome: Outcome | None
    error: ErrorCode | None
    jobs: int


class BulkAnswer(Shape):
    """How many jobs the filter named, of which sorts, and of how many it was done."""

    matched: int
    sorts: list[SortCount]
    done: int
    left: int = Field(description="of those that matched: name them as `expect`, with `as_of`, to go on")
    as_of: Instant


FILTERS = (
    *("state", "kind", "outcome", "error", "run", "rule", "repository", "labels"),
    *("created_after", "created_before", "q"),
)


def as_given(asked: BulkRequest) -> dict[str, Any]:
    """Give the filters of a request as JSON, without those that were left out."""
    given = {name: getattr(asked, name) for name in FILTERS if getattr(asked, name) is not None}
    return {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in given.items()
    }


_AT = "2026-11-22T12:00:00.000000Z"
_BEAT = "2026-11-22T14:10:02.000000Z"
_PROJECT_ID = "prj_019ab3e8114c7b02b1c7d9e0f3a25b48"
PAUSE: dict[str, Any] = {
    "what": "project",
    "name": "default",
    "reason": "the invoice is being looked into",
    "actor": "user:ada",
    "since": _AT,
}
WORKERS: dict[str, Any] = {
    "data": [
        {
            "id": "wrk_019ab3f0c2d87e15a4b6c8d0e2f40617",
            "name": "mill-1:4711",
            "version": "0.1.0",
            "state": "working",
            "started_at": _AT,
            "heartbeat_at": _BEAT,
            "stopped_at": None,
            "jobs": 12,
            "slots": 13,
        }
    ],
    "next_cursor": None,
}
QUEUE: dict[str, Any] = {
    "name": "bulk",
    "due": 0,
    "waiting": {"budget": 2, "paused": 340},
    "dispatched": 0,
    "running": 3,
    "oldest_due_s": 0.0,
    "rate_per_min": {"in": 60, "out": 58},
    "paused": {"what": "queue", "name": "bulk", "reason": "the night's work", "actor": "host", "since": _AT},
}
_EMPTY: dict[str, Any] = {
    "name": "interactive",
    "due": 0,
    "waiting": {},
    "dispatched": 0,
    "running": 0,
    "oldest_due_s": 0.0,
    "rate_per_min": {"in": 0, "out": 0},
    "paused": None,
}
QUEUES: dict[str, Any] = {
    "at": _BEAT,
    "queues": [_EMPTY, QUEUE],
    "projects": [
        {
            "project": _PROJECT_ID,
            "name": "default",
            "weight": 2,
            "max_in_flight": 10,
            "tokens_per_minute": None,
            "behind_s": 4.2,
            "dispatched_ever": 1811,
            "paused": None,
            "queues": [_EMPTY, QUEUE],
        }
    ],
}
PAUSE_REQUESTS: dict[str, Any] = {"for a reason": {"reason": "the invoice is being looked into"}}
BULK_REQUESTS: dict[str, Any] = {
    "count": {"state": "failed", "error": "gateway_unavailable", "created_after": "2026-11-21T12:00:00Z"},
    "do it": {
        "state": "failed",
        "error": "gateway_unavailable",
        "created_after": "2026-11-21T12:00:00Z",
        "expect": 212,
        "as_of": "2026-11-22T12:00:00.000000Z",
    },
}
BULK_ANSWER: dict[str, Any] = {
    "matched": 212,
    "sorts": [{"state": "failed", "outcome": None, "error": "gateway_unavailable", "jobs": 212}],
    "done": 212,
    "left": 0,
    "as_of": _AT,
}
