"""The list of runs of every project, narrowed by its address."""

from fastapi import APIRouter, Request, Response

from api.dashboard import charts, filters
from api.dashboard.page_route import PageRoute
from api.dashboard.rendering import page
from api.dashboard.session import Viewer
from api.parts import PartsOf
from api.query import paged
from patchmill.store import overview, runs
from patchmill.store.ids import to_edge
from patchmill.store.run_progress import Counts

ROWS = 50

router = APIRouter(route_class=PageRoute)


@router.get("/runs")
def list_runs(request: Request, person: Viewer, parts: PartsOf) -> Response:
    """Show a page of runs, newest first."""
    del person
    chosen = filters.read_runs(request.query_params)
    with parts.database.begin() as connection:
        found = runs.find_many(
            connection, chosen.project_id, chosen.filter, before=chosen.before, limit=ROWS + 1
        )
        rows, older = paged(found, ROWS)
        counts = runs.counts_of(connection, rows)
        usage = runs.usage_of(connection, rows)
        names = overview.project_names(connection)
    values = {
        "rows": rows,
        "counts": counts,
        "progress": {run_id: progress(each) for run_id, each in counts.items()},
        "usage": usage,
        "chosen": chosen,
        "choices": filters.RUN_CHOICES,
        "projects": [(to_edge("prj", project_id), name) for project_id, name in names.items()],
        "names": names,
        "older": chosen.address(cursor=older) if older else None,
        "newest": chosen.address() if chosen.before else None,
    }
    return page(request, "runs", values)


def progress(counts: Counts) -> list[charts.Part]:
    """Lay the jobs that have ended along a line as long as all jobs of the run."""
    ended = [(name, counts.jobs[name]) for name in ("succeeded", "failed", "cancelled")]
    return charts.parts(counts.jobs["total"], ended)
