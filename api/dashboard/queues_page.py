"""The queues, the projects in them and the workers, with the hands that pause and resume them."""

from collections.abc import Mapping
from http import HTTPStatus
from itertools import chain

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from api.dashboard.page_route import PageRoute
from api.dashboard.rendering import page
from api.dashboard.session import Acting, Form, Viewer, local
from api.database import Connection
from api.parts import PartsOf
from api.workers import document
from patchmill.errors import NotFound
from patchmill.job.pause import MAX_REASON, Part
from patchmill.job.record import Priority
from patchmill.store import overview, pauses, queues, workers
from patchmill.store.ids import known_id, no_such

HERE = "/queues"

router = APIRouter(prefix=HERE, route_class=PageRoute)


@router.get("")
def show_queues(request: Request, person: Viewer, parts: PartsOf) -> Response:
    """Show what is due, waits and runs, whose turn it is, and who works."""
    del person
    with parts.database.begin() as connection:
        seen = queues.look(connection)
        processes = workers.list_recent(connection, lease_ttl_s=parts.lease_ttl_s)
    held = parts.slots.held()
    everybodys = [("everybody", queue) for queue in seen.queues]
    own = chain.from_iterable([(place.name, queue) for queue in place.queues] for place in seen.places)
    values = {
        "seen": seen,
        "rows": [*everybodys, *((name, queue) for name, queue in own if _busy(queue))],
        "workers": [document(each, held) for each in processes],
        "max_reason": MAX_REASON,
    }
    return page(request, "queues", values)


@router.post("/pause")
def pause(person: Acting, form: Form, parts: PartsOf) -> Response:
    """Let no job of a project or a queue begin from now on."""
    with parts.database.begin() as connection:
        reason = form.get("reason", "").strip()[:MAX_REASON]
        pauses.pause(connection, _part(connection, form), reason, actor=person.actor)
    return RedirectResponse(HERE, HTTPStatus.SEE_OTHER)


@router.post("/resume")
def resume(person: Acting, form: Form, parts: PartsOf) -> Response:
    """Let the jobs of a project or a queue begin again."""
    with parts.database.begin() as connection:
        pauses.resume(connection, _part(connection, form), actor=person.actor)
    parts.waker.wake()
    return RedirectResponse(local(form.get("back", HERE)), HTTPStatus.SEE_OTHER)


def _part(connection: Connection, form: Mapping[str, str]) -> Part:
    queue = form.get("queue")
    if queue is not None:
        if queue not in {*Priority}:
            raise NotFound(f"there is no queue {queue[:100]}")
        return Part(queue=Priority(queue))
    project = form.get("project", "")
    project_id = known_id("prj", project)
    if project_id not in overview.project_names(connection):
        raise no_such("prj", project)
    return Part(project_id=project_id)


def _busy(queue: queues.Queue) -> bool:
    """Say whether a project has anything to do with a queue now."""
    numbers = (queue.due, queue.waiting.total(), queue.dispatched, queue.running, queue.came, queue.went)
    return any(numbers)
