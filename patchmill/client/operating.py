"""What operators see and do over the API: workers, queues, pauses, and many jobs at once."""

from collections.abc import Mapping
from typing import Any, Literal, TypedDict, cast
from urllib.parse import quote

from patchmill.client.connection import Connection
from patchmill.client.documents import Pause

LONG_S = 120.0  # for up to 10,000 jobs


class Worker(TypedDict):
    """A start of a worker process: `state` is working, draining, silent or stopped."""

    id: str
    name: str
    version: str | None
    state: str
    started_at: str
    heartbeat_at: str
    stopped_at: str | None
    jobs: int
    slots: int | None


class Queue(TypedDict):
    """One of the two queues: what is due, what waits and for what, what runs."""

    name: str
    due: int
    waiting: dict[str, int]
    dispatched: int
    running: int
    oldest_due_s: float
    rate_per_min: dict[str, int]
    paused: Pause | None


class ProjectQueues(TypedDict):
    """A project's part of the queues, and its place among the projects."""

    project: str
    name: str
    weight: int
    max_in_flight: int | None
    tokens_per_minute: int | None
    behind_s: float
    dispatched_ever: int
    paused: Pause | None
    queues: list[Queue]


class Queues(TypedDict):
    """The queues of the installation, and of the key's project."""

    at: str
    queues: list[Queue]
    projects: list[ProjectQueues]


class Sort(TypedDict):
    """Jobs of one state, and of one outcome or error where they have one."""

    state: str
    outcome: str | None
    error: str | None
    jobs: int


class Bulk(TypedDict):
    """How many jobs a filter named, of which sorts; of how many it was done, and how many are left."""

    matched: int
    sorts: list[Sort]
    done: int
    left: int
    as_of: str


Act = Literal["retry", "cancel"]


def workers_of(connection: Connection) -> list[Worker]:
    """Give the worker processes."""
    return cast("list[Worker]", connection.json("GET", "/v1/workers")["data"])


def queues_of(connection: Connection) -> Queues:
    """Give the queues."""
    return cast("Queues", connection.json("GET", "/v1/queues"))


def act_on_all(
    connection: Connection,
    act: Act,
    filters: Mapping[str, Any],
    *,
    expect: int | None,
    as_of: str | None,
    limit: int | None,
) -> Bulk:
    """Count the jobs, or do it to them; what may have been done is not sent again."""
    more = {"expect": expect, "as_of": as_of, "limit": limit}
    body = {**filters, **{name: value for name, value in more.items() if value is not None}}
    counts = expect is None
    path = f"/v1/jobs/{act}"
    answer = connection.json("POST", path, json=body, repeatable=counts, more_s=0 if counts else LONG_S)
    return cast("Bulk", answer)


def change_pause(
    connection: Connection,
    verb: Literal["pause", "resume"],
    *,
    project: str | None,
    queue: str | None,
    body: Mapping[str, Any] | None,
    params: Mapping[str, str],
) -> None:
    """Pause or resume one project, one queue, or all calls; doing so again changes nothing."""
    if project is not None and queue is not None:
        raise ValueError("name a project or a queue, not both")
    path = "/v1/gateway"
    if project is not None:
        path = f"/v1/projects/{quote(project, safe='')}"
    elif queue is not None:
        path = f"/v1/queues/{quote(queue, safe='')}"
    options: dict[str, Any] = {} if body is None else {"json": dict(body)}
    connection.send("POST", f"{path}/{verb}", params=dict(params), **options)
