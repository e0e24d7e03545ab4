"""The page of one run: how far its jobs are, and what it left out."""

from fastapi import APIRouter, Request, Response

from api.dashboard.page_route import PageRoute
from api.dashboard.rendering import page
from api.dashboard.session import Viewer
from api.parts import PartsOf
from patchmill.errors import NotFound
from patchmill.store import jobs, overview
from patchmill.store.ids import from_edge
from patchmill.store.jobs import JobFilter

MAX_ROWS = 100

router = APIRouter(route_class=PageRoute)


@router.get("/runs/{run_id}")
def show_run(request: Request, run_id: str, person: Viewer, parts: PartsOf) -> Response:
    """Show a run as it is now."""
    del person
    identity = from_edge("run", run_id)
    with parts.database.begin() as connection:
        found = None if identity is None else overview.find_run(connection, identity)
        if found is None:
            raise NotFound(f"there is no run {run_id[:100]}")
        run, counts = found
        of_run = JobFilter(run=run.id)
        rows = jobs.find_many(connection, run.project_id, of_run, before=None, limit=MAX_ROWS)
        names = overview.project_names(connection)
    values = {"run": run, "counts": counts, "rows": rows, "names": names, "max_rows": MAX_ROWS}
    return page(request, "run", values)
