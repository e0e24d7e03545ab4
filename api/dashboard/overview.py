"""The front page: what waits, what runs, what fails, what it costs."""

import json
from datetime import timedelta

from fastapi import APIRouter, Request, Response

from api.dashboard.page_route import PageRoute
from api.dashboard.rendering import page
from api.dashboard.session import Viewer
from api.parts import PartsOf
from patchmill.store import jobs, overview, shared_time
from patchmill.store.jobs import JobFilter
from patchmill.store.stats import stats

LATEST = 10
FAILURES_WITHIN = timedelta(hours=24)
FIRST_JOB = {
    "kind": "fix",
    "file": {"path": "hello.py", "content": "import os\nprint(42)\n"},
    "findings": [
        {"tool": "ruff", "rule": "F401", "message": "unused import", "start_line": 1, "end_line": 1}
    ],
}

router = APIRouter(route_class=PageRoute)


@router.get("/")
def show_overview(request: Request, person: Viewer, parts: PartsOf) -> Response:
    """Show the installation as it is now."""
    del person
    with parts.database.begin() as connection:
        numbers = stats(connection, None, lease_ttl_s=parts.lease_ttl_s)
        latest = jobs.find_many(connection, None, JobFilter(), before=None, limit=LATEST)
        failures = overview.failures(connection, shared_time.now() - FAILURES_WITHIN)
        names = overview.project_names(connection)
        asked = overview.asked_of(connection, [row.id for row in latest])
    values = {
        "stats": numbers,
        "slots": parts.slots.read(on_the_wire=numbers.on_the_wire),
        "latest": latest,
        "asked": asked,
        "failures": failures,
        "names": names,
        "site": f"{request.url.scheme}://{request.url.netloc}",
        "first_job": json.dumps(FIRST_JOB),
    }
    return page(request, "overview", values)
