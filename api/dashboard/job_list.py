"""The list of jobs of every project, narrowed by its address."""

from fastapi import APIRouter, Request, Response

from api.dashboard import filters
from api.dashboard.page_route import PageRoute
from api.dashboard.rendering import page
from api.dashboard.session import Viewer
from api.parts import PartsOf
from api.query import paged
from patchmill.store import jobs, overview
from patchmill.store.ids import to_edge

ROWS = 50

router = APIRouter(route_class=PageRoute)


@router.get("/jobs")
def list_jobs(request: Request, person: Viewer, parts: PartsOf) -> Response:
    """Show a page of jobs, newest first."""
    del person
    chosen = filters.read_jobs(request.query_params)
    with parts.database.begin() as connection:
        found = jobs.find_many(
            connection, chosen.project_id, chosen.filter, before=chosen.before, limit=ROWS + 1
        )
        rows, older = paged(found, ROWS)
        names = overview.project_names(connection)
        asked = overview.asked_of(connection, [row.id for row in rows])
    values = {
        "rows": rows,
        "chosen": chosen,
        "choices": filters.JOB_CHOICES,
        "projects": [(to_edge("prj", project_id), name) for project_id, name in names.items()],
        "names": names,
        "asked": asked,
        "older": chosen.address(cursor=older) if older else None,
        "newest": chosen.address() if chosen.before else None,
    }
    return page(request, "jobs", values)
