"""Which part of the installation `pause`, `resume` and `queues` are about, and what is paused there."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any, cast

import typer
from sqlalchemy import Connection

from patchmill.client.documents import Pause
from patchmill.client.http import Client
from patchmill.errors import ConfigurationError
from patchmill.job.pause import Part
from patchmill.job.record import Priority
from patchmill.store.access import find_project
from patchmill.store.pauses import standing
from patchmill.store.queues import pause_document

Project = Annotated[str | None, typer.Option(help="This project alone, by its name.", show_default=False)]
Queue = Annotated[str | None, typer.Option(help="This queue alone: interactive or bulk.", show_default=False)]


def part_of(connection: Connection, *, project: str | None, queue: str | None) -> Part | None:
    """Give the project of a name, or a queue; None when neither is named.

    Raises:
        ConfigurationError: both are named, or there is none of that name.
    """
    _refuse_both(project, queue)
    if queue is not None:
        if queue not in {*Priority}:
            raise ConfigurationError(f"there is no queue `{queue}`; there are interactive and bulk")
        return Part(queue=Priority(queue))
    if project is None:
        return None
    project_id = find_project(connection, project)
    if project_id is None:
        raise ConfigurationError(f"there is no project `{project}`")
    return Part(project_id=project_id)


def pause_by_key(client: Client, *, project: str | None, queue: str | None, reason: str) -> bool:
    """Let the server pause, as `store.pauses` and `store.circuits` do on the host; False: it was already."""
    _refuse_both(project, queue)
    if project is None and queue is None:
        paused = client.gateway()["reason"] == "operator"
    else:
        paused = _stopped(client, project=project, queue=queue, model=None)
    client.pause(reason, project=_own(client, project), queue=queue)
    return not paused


def resume_by_key(client: Client, *, project: str | None, queue: str | None, model: str | None) -> bool:
    """Let the server resume; False: nothing was paused."""
    _refuse_both(project, queue)
    stopped = _stopped(client, project=project, queue=queue, model=model)
    client.resume(project=_own(client, project), queue=queue, model=model)
    return stopped


def _own(client: Client, name: str | None) -> str | None:
    """Give the id of the key's project, which is the one that may be named."""
    if name is None:
        return None
    [own] = client.projects.list()
    if own["name"] != name:
        raise ConfigurationError(
            f"the key is of the project `{own['name']}`; for `{name}` take one of it, or the host's database"
        )
    return own["id"]


def _stopped(client: Client, *, project: str | None, queue: str | None, model: str | None) -> bool:
    if project is not None:
        return any(each["paused"] is not None for each in client.projects.list())
    if queue is not None:
        return any(each["paused"] is not None for each in client.queues()["queues"] if each["name"] == queue)
    gateway = client.gateway()
    states = (
        [gateway["state"]]
        if model is None
        else [each["state"] for each in gateway["models"] if each["model"] == model]
    )
    return any(state != "ok" for state in states)


def _refuse_both(project: str | None, queue: str | None) -> None:
    if project is not None and queue is not None:
        raise ConfigurationError("name a project or a queue, not both")


def documents_of_pauses(connection: Connection) -> list[Pause]:
    """Give all that is paused of projects and queues, as the API writes it."""
    return cast("list[Pause]", as_api_writes([pause_document(each) for each in standing(connection)]))


def as_api_writes(document: Any) -> Any:
    """Write times as the API does."""
    return json.loads(json.dumps(document, default=_instant))


def _instant(value: Any) -> str:
    if not isinstance(value, datetime):
        raise TypeError(f"{value!r} is no time")
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
