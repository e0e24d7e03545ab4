"""The dashboard as a part of the application."""

from fastapi import FastAPI

from api.dashboard import (
    assets,
    job_list,
    job_page,
    live,
    overview,
    page_route,
    reference,
    rendering,
    run_list,
    run_page,
    sign_in,
    spend_page,
)
from api.dashboard.sign_in import SignIns
from patchmill.store.ids import to_edge

PAGES = (sign_in, overview, job_list, job_page, run_list, run_page, spend_page, reference, live, assets)


def install(app: FastAPI) -> None:
    """Serve the pages; comes after the problem documents, whose place a page takes in a browser."""
    app.state.sign_ins = SignIns()
    rendering.allow("asset", assets.address)
    rendering.allow("edge", to_edge)
    for module in PAGES:
        app.include_router(module.router, include_in_schema=False)
    page_route.install(app)
