"""The list of jobs of every project, narrowed by its address."""

from fastapi import APIRouter, Request, Response

from api.dashboard import filters
from api.dashboard.page_route import PageRoute
from api.dashboard.rendering import page
from api.dashboard.session import Viewer
from api.parts import PartsOf
from api.query import to_cursor
from patchmill.store import jobs, overview
from patchmill.store.ids import to_edge

ROWS = 50

router = APIRouter(route_class=PageRoute)


@router.get("/jobs")
def list_jobs(request: Request, person: Viewer, parts: PartsOf) -> Response:
    """Show a page of jobs, newest first."""
    del person
    chosen = filters.read(request.query_params)
    with parts.database.begin() as connection:
        found = jobs.find_many(
            connection, chosen.project_id, chosen.filter, before=chosen.before, limit=ROWS + 1
        )
        names = overview.project_names(connection)
    rows = found[:ROWS]
    older = chosen.address(cursor=to_cursor(rows[-1].id)) if len(found) > ROWS else None
    values = {
        "rows": rows,
        "chosen": chosen,
        "choices": filters.CHOICES,
        "projects": [(to_edge("prj", project_id), name) for project_id, name in names.items()],
        "names": names,
        "older": older,
        "newest": chosen.address() if chosen.before else None,
    }
    return page(request, "jobs", values)
