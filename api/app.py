"""The composition of the HTTP door: settings in, one ASGI application out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio.to_thread
from fastapi import FastAPI

from api import (
    budgets,
    bulk,
    calls,
    ended_jobs,
    estimates,
    events,
    gateway,
    health,
    jobs,
    keys,
    metrics,
    models,
    openapi,
    pauses,
    prices,
    problem_kinds,
    problems,
    projects,
    queues,
    results,
    runs,
    stats,
    submit,
    uncertain,
    usage,
    webhooks,
    workers,
)
from api.courier import CONNECTIONS, Courier, Pace
from api.dashboard import install as dashboard
from api.database import Database
from api.middleware import BodyLimit, HeadAsGet, RequestContext
from api.parts import Parts
from api.slots import SlotBoard
from api.waiting import Broadcaster
from api.waking import Waker
from patchmill.deliver.post import Poster
from patchmill.job.ladder import Policy
from patchmill.job.retry import UnknownPolicy
from patchmill.queue.dispatch import Broker
from patchmill.queue.slots import SlotLeases
from patchmill.settings import Settings, allowed_networks, services
from patchmill.store.engine import open_engine
from patchmill.store.key_secret import load_pepper

THREADS = 16  # endpoints at work at once; each holds at most one connection
READERS = 1  # of what those who wait are waiting for
ROUTED = (  # in the order in which the reference lists them
    submit,
    jobs,
    ended_jobs,
    bulk,
    events,
    calls,
    results,
    runs,
    budgets,
    prices,
    estimates,
    stats,
    usage,
    gateway,
    pauses,
    queues,
    workers,
    uncertain,
    models,
    projects,
    keys,
    webhooks,
    health,
    metrics,
    problem_kinds,
)


def create_app(settings: Settings, *, pace: Pace | None = None) -> FastAPI:
    """Make the application; it connects on first use. `pace` is how its courier delivers to webhooks.

    Raises:
        ConfigurationError: a setting is missing or cannot work.
    """
    parts = _compose(settings, pace or Pace())

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        parts.courier.start()
        telling = asyncio.create_task(anyio.to_thread.run_sync(parts.database.tell_at_start))
        try:
            yield
        finally:
            await asyncio.gather(telling, return_exceptions=True)  # before its connection is closed
            parts.waiting.release()
            await parts.courier.stop()
            parts.broker.close()
            parts.slots.close()
            parts.database.close()

    app = FastAPI(
        lifespan=lifespan,
        docs_url=None,  # a page of the dashboard's takes its place
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.parts = parts
    routers = [module.router for module in ROUTED]
    for router in routers:
        app.include_router(router)
    problems.install(app)
    dashboard.install(app)
    openapi.install(app, routers)
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes)
    app.add_middleware(HeadAsGet)
    app.add_middleware(RequestContext)
    return app


def _compose(settings: Settings, pace: Pace) -> Parts:
    where = services(settings)
    database = Database(open_engine(where.database_url, pool_size=THREADS + READERS))
    broker = Broker(where.redis_url, max_connections=THREADS)
    pepper = load_pepper(settings.key_pepper_file, settings.data_dir)
    networks = allowed_networks(settings)
    outbox = Database(open_engine(where.database_url, pool_size=CONNECTIONS))

    return Parts(
        database=database,
        broker=broker,
        waker=Waker(broker),
        waiting=Broadcaster(database),
        courier=Courier(outbox, pepper, Poster(networks), pace),
        webhook_networks=networks,
        pepper=pepper,
        policy=Policy(
            model=settings.model,
            escalation_model=settings.escalation_model,
            fallback_model=settings.fallback_model,
            unknown=UnknownPolicy(settings.unknown_policy),
        ),
        call_deadline_s=settings.call_deadline_s,
        lease_ttl_s=settings.lease_ttl_s,
        slots=SlotBoard(SlotLeases(where.redis_url), cap=settings.gateway_concurrency),
        max_file_bytes=settings.max_file_bytes,
        retention_days=settings.retention_days,
    )
