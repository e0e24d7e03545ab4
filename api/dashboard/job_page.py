"""The page of one job, and what can be done about it there."""

import uuid
from http import HTTPStatus

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from api.dashboard import job_view
from api.dashboard.page_route import PageRoute
from api.dashboard.rendering import page
from api.dashboard.session import Acting, Admin, Form, Viewer, local
from api.database import Connection
from api.parts import Parts, PartsOf
from patchmill.errors import Conflict, NotFound
from patchmill.store import auditing, call_log, jobs, retries
from patchmill.store.ids import from_edge, to_edge
from patchmill.store.jobs import JobRow

MAX_NUMBER = 1_000_000

router = APIRouter(prefix="/jobs/{job_id}", route_class=PageRoute)


@router.get("")
def show_job(request: Request, job_id: str, person: Viewer, parts: PartsOf) -> Response:
    """Show a job as it is now."""
    del person
    return _page(request, parts, job_id)


@router.post("/retry")
def retry_job(request: Request, job_id: str, person: Acting, form: Form, parts: PartsOf) -> Response:
    """Ask for a job that has ended once more; a conflict is told on the job's page."""
    try:
        with parts.database.begin() as connection:
            row = _find(connection, job_id)
            retries.retry(connection, row.project_id, row.id, actor=person.actor)
    except Conflict as conflict:
        return _page(request, parts, job_id, said=str(conflict), status=HTTPStatus.CONFLICT)
    parts.waker.wake()
    return _back(form.get("back"), row.id)


@router.post("/cancel")
def cancel_job(job_id: str, person: Acting, form: Form, parts: PartsOf) -> Response:
    """Cancel a waiting job, ask a running one to stop; one that has ended stays as it is."""
    with parts.database.begin() as connection:
        row = _find(connection, job_id)
        jobs.cancel(connection, row.project_id, row.id)
        subject = to_edge("job", row.id)
        auditing.record(connection, actor=person.actor, action="job.cancel", subject=subject, details={})
    return _back(form.get("back"), row.id)


@router.get("/calls/{number}")
def show_call(request: Request, job_id: str, number: int, person: Admin, parts: PartsOf) -> Response:
    """Show the prompt and the answer of a call; the audit says who looked."""
    if not 0 < number < MAX_NUMBER:
        raise NotFound(f"there is no call {number}")
    with parts.database.begin() as connection:
        row = _find(connection, job_id)
        found = call_log.calls_of(connection, row.id, after=number - 1, limit=1)
        if not found or found[0].number != number:
            raise NotFound(f"this job has no call {number}")
        subject = to_edge("call", found[0].id)
        auditing.record(connection, actor=person.actor, action="call.read", subject=subject, details={})
    return page(request, "call", {"call": found[0], "row": row})


def _page(
    request: Request,
    parts: Parts,
    job_id: str,
    *,
    said: str | None = None,
    status: HTTPStatus = HTTPStatus.OK,
) -> Response:
    with parts.database.begin() as connection:
        loaded = job_view.load(connection, _find(connection, job_id))
    return page(request, "job", {**job_view.job_values(loaded), "said": said}, status=status)


def _find(connection: Connection, text: str) -> JobRow:
    identity = from_edge("job", text)
    row = None if identity is None else job_view.find(connection, identity)
    if row is None:
        raise NotFound(f"there is no job {text[:100]}")
    return row


def _back(address: str | None, job_id: uuid.UUID) -> Response:
    target = local(address) if address else f"/jobs/{to_edge('job', job_id)}"
    return RedirectResponse(target, HTTPStatus.SEE_OTHER)
