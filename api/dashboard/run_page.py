"""The page of one run: how far its jobs are, and what it left out."""

import uuid

from fastapi import APIRouter, Request, Response

from api.dashboard.page_route import PageRoute
from api.dashboard.rendering import page
from api.dashboard.session import Viewer
from api.database import Connection
from api.parts import PartsOf
from patchmill.errors import NotFound
from patchmill.store import jobs, overview, runs
from patchmill.store.ids import from_edge
from patchmill.store.jobs import JobFilter
from patchmill.store.runs import RunRow

MAX_ROWS = 100

router = APIRouter(route_class=PageRoute)


@router.get("/runs/{run_id}")
def show_run(request: Request, run_id: str, person: Viewer, parts: PartsOf) -> Response:
    """Show a run as it is now."""
    del person
    identity = from_edge("run", run_id)
    with parts.database.begin() as connection:
        run = None if identity is None else _find(connection, identity)
        if run is None:
            raise NotFound(f"there is no run {run_id[:100]}")
        counts = runs.counts_of(connection, [run])[run.id]
        usage = runs.usage_of(connection, [run])[run.id]
        of_run = JobFilter(run=run.id)
        rows = jobs.find_many(connection, run.project_id, of_run, before=None, limit=MAX_ROWS)
        names = overview.project_names(connection)
        asked = overview.asked_of(connection, [row.id for row in rows])
    values = {
        "run": run,
        "counts": counts,
        "usage": usage,
        "rows": rows,
        "names": names,
        "asked": asked,
        "max_rows": MAX_ROWS,
    }
    return page(request, "run", values)


def _find(connection: Connection, run_id: uuid.UUID) -> RunRow | None:
    """Give a run of any project."""
    project_id = overview.project_of_run(connection, run_id)
    return None if project_id is None else runs.find(connection, project_id, run_id)
