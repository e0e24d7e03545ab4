"""The dashboard as a part of the application."""

from fastapi import Depends, FastAPI

from api.dashboard import (
    assets,
    budgets_page,
    gateway_page,
    job_list,
    job_page,
    live,
    notices,
    overview,
    page_route,
    queues_page,
    reference,
    rendering,
    run_list,
    run_page,
    sign_in,
    spend_page,
)
from api.dashboard.sign_in import SignIns
from patchmill.store.ids import to_edge

NOTICED = (
    *(overview, job_list, job_page, run_list, run_page),
    *(spend_page, budgets_page, queues_page, gateway_page),
)
PAGES = (*NOTICED, sign_in, reference, live, assets)


def install(app: FastAPI) -> None:
    """Serve the pages; comes after the problem documents, whose place a page takes in a browser."""
    app.state.sign_ins = SignIns()
    rendering.allow("asset", assets.address)
    rendering.allow("edge", to_edge)
    for module in PAGES:
        above = [Depends(notices.put_up)] if module in NOTICED else []
        app.include_router(module.router, include_in_schema=False, dependencies=above)
    page_route.install(app)
