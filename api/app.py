"""The composition of the HTTP door: settings in, one ASGI application out."""

import uuid
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import anyio.to_thread
from fastapi import FastAPI

from api import health, jobs, keys, openapi, problems, results, submit, usage
from api.database import Database
from api.middleware import BodyLimit, RequestContext
from api.parts import Parts
from api.waiting import Broadcaster
from api.waking import Waker
from patchmill.queue.dispatch import Broker
from patchmill.settings import Settings, services
from patchmill.store import jobs as stored_jobs
from patchmill.store.engine import open_engine
from patchmill.store.key_secret import load_pepper

THREADS = 16  # endpoints at work at once; each holds at most one connection
READERS = 1  # of what those who wait are waiting for


def create_app(settings: Settings) -> FastAPI:
    """Make the application; it connects on first use.

    Raises:
        ConfigurationError: a setting is missing or cannot work.
    """
    parts = _compose(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        try:
            yield
        finally:
            parts.waiting.release()
            parts.broker.close()
            parts.database.close()

    app = FastAPI(
        lifespan=lifespan,
        docs_url="/docs",
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.parts = parts
    routers = [module.router for module in (submit, jobs, results, usage, keys, health)]
    for router in routers:
        app.include_router(router)
    problems.install(app)
    openapi.install(app, routers)
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes)
    app.add_middleware(RequestContext)
    return app


def _compose(settings: Settings) -> Parts:
    where = services(settings)
    database = Database(open_engine(where.database_url, pool_size=THREADS + READERS))
    broker = Broker(where.redis_url)

    def ended_among(job_ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
        with database.begin() as connection:
            return stored_jobs.ended_among(connection, job_ids)

    return Parts(
        database=database,
        broker=broker,
        waker=Waker(broker),
        waiting=Broadcaster(ended_among),
        pepper=load_pepper(settings.key_pepper_file, settings.data_dir),
        model=settings.model,
        call_deadline_s=settings.call_deadline_s,
        max_file_bytes=settings.max_file_bytes,
    )
