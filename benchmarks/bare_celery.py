"""The peer of the job benchmark: a Celery task that makes one call and one insert, and nothing else.

Same broker, same pool and number of threads, same HTTP transport, same database.
"""

import asyncio
import os
import threading

import httpx
from celery import Celery
from celery.signals import worker_ready
from httpx_aiohttp import AiohttpTransport
from sqlalchemy import create_engine, text

from patchmill.queue.app import make_celery

THREADS = int(os.environ["BENCH_THREADS"])
TASK = "bare.call_and_insert"

celery: Celery = make_celery(os.environ["BENCH_REDIS_URL"], concurrency=THREADS)
engine = create_engine(os.environ["BENCH_DATABASE_URL"], pool_size=16, max_overflow=0)
loop = asyncio.new_event_loop()
client = httpx.AsyncClient(
    transport=AiohttpTransport(), headers={"Authorization": f"Bearer {os.environ['BENCH_KEY']}"}, timeout=30
)


async def ask(body: bytes) -> str:
    """Make one plain call."""
    answer = await client.post(
        f"{os.environ['BENCH_GATEWAY_URL']}/chat/completions",
        content=body,
        headers={"Content-Type": "application/json"},
    )
    answer.raise_for_status()
    content: str = answer.json()["choices"][0]["message"]["content"]
    return content


@celery.task(name=TASK, ignore_result=True)
def call_and_insert(number: int, body: str) -> None:
    """Call the model and store the answer."""
    reply = asyncio.run_coroutine_threadsafe(ask(body.encode()), loop).result()
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO bare (number, reply) VALUES (:number, :reply)"),
            {"number": number, "reply": reply},
        )


@worker_ready.connect
def ready(**_: object) -> None:
    """Say that tasks are taken."""
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO bare_ready DEFAULT VALUES"))


if __name__ == "__main__":
    threading.Thread(target=loop.run_forever, daemon=True).start()
    celery.Worker(
        pool="threads",
        concurrency=THREADS,
        queues=("interactive",),
        loglevel="WARNING",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    ).start()
