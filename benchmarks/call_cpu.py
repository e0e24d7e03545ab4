"""What a call costs in CPU beyond its socket: our client beside bare aiohttp and bare httpx.

`python -m benchmarks.call_cpu` measures them in turn, in one process, against a server in another. The bare
clients read the bytes of an answer and throw them away; ours parses, checks and adds up. Exits 1 when ours
costs more than the target beyond the socket, which is what bare aiohttp costs.
"""

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from datetime import UTC, datetime

import aiohttp
import httpx
import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.token_server import TOKENS
from patchmill.call.gateway import Gateway
from patchmill.call.loop import CallLoop
from patchmill.call.reply import Answered
from patchmill.call.request import ChatRequest, request_body

KEY = "sk-byts-bench"
IN_FLIGHT = 25
CALLS = 200
ROUNDS = 3
TARGET_MS = 3.0
PROMPT = "Mend this line. " * 200
HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}

Call = Callable[[ChatRequest], Awaitable[None]]
Client = Callable[[str], AbstractAsyncContextManager[Call]]


@asynccontextmanager
async def bare_aiohttp(url: str) -> AsyncIterator[Call]:
    """Read the bytes with aiohttp."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def call(request: ChatRequest) -> None:
            body = request_body(request)
            async with session.post(f"{url}/chat/completions", data=body, headers=HEADERS) as response:
                size = 0
                async for chunk in response.content.iter_any():
                    size += len(chunk)
                assert size > TOKENS

        yield call


@asynccontextmanager
async def bare_httpx(url: str) -> AsyncIterator[Call]:
    """Read the bytes with a plain AsyncClient."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(limits=limits, timeout=30, trust_env=False, headers=HEADERS) as client:

        async def call(request: ChatRequest) -> None:
            body = request_body(request)
            async with client.stream("POST", f"{url}/chat/completions", content=body) as response:
                size = 0
                async for chunk in response.aiter_raw():
                    size += len(chunk)
                assert size > TOKENS

        yield call


@asynccontextmanager
async def ours(url: str) -> AsyncIterator[Call]:
    """Make whole calls with our client."""
    gateway = Gateway(base_url=url, api_key=KEY, now=lambda: datetime.now(UTC))

    async def call(request: ChatRequest) -> None:
        outcome = await gateway.chat(request, deadline_s=30)
        assert isinstance(outcome, Answered), outcome
        assert outcome.usage is not None

    try:
        yield call
    finally:
        await gateway.aclose()


async def _burst(call: Call, request: ChatRequest, calls: int) -> None:
    """Make so many calls, `IN_FLIGHT` at a time."""
    left = iter(range(calls))

    async def worker() -> None:
        for _ in left:
            await call(request)

    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))


def cpu_ms(client: Client, url: str, request: ChatRequest) -> float:
    """Measure the CPU-ms of one call, all threads of this process counted."""

    async def run() -> float:
        async with client(url) as call:
            await _burst(call, request, IN_FLIGHT * 2)
            before = time.process_time()
            await _burst(call, request, CALLS)
            return (time.process_time() - before) * 1000 / CALLS

    return uvloop.run(run())


def from_threads_ms(url: str, request: ChatRequest) -> float:
    """Measure the same for calls as a worker makes them: from threads that wait."""
    loop = CallLoop(Gateway(base_url=url, api_key=KEY, now=lambda: datetime.now(UTC)), limit=IN_FLIGHT)
    loop.start()
    with ThreadPoolExecutor(IN_FLIGHT) as threads:

        def burst(calls: int) -> None:
            made = threads.map(lambda _: loop.call(request, deadline_s=30), range(calls))
            assert all(isinstance(outcome, Answered) for outcome in made)

        burst(IN_FLIGHT * 2)
        before = time.process_time()
        burst(CALLS)
        spent = time.process_time() - before
    loop.stop()
    return spent * 1000 / CALLS


@contextmanager
def token_server() -> Iterator[str]:
    """Run the server in a process of its own; yields its base URL."""
    command = [sys.executable, "-m", "benchmarks.token_server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
        finally:
            process.terminate()


def main() -> int:
    """Measure everything and print one table."""
    clients: dict[str, Callable[[str, ChatRequest], float]] = {
        "bare aiohttp (the socket)": lambda url, request: cpu_ms(bare_aiohttp, url, request),
        "bare httpx": lambda url, request: cpu_ms(bare_httpx, url, request),
        "Patchmill": lambda url, request: cpu_ms(ours, url, request),
        "Patchmill, from threads": from_threads_ms,
    }
    messages = [{"role": "user", "content": PROMPT}]
    table = Table("CPU-ms a call", *(f"{kind}" for kind in ("stream", "beyond", "plain", "beyond")))
    measured: dict[tuple[str, bool], list[float]] = {}
    with token_server() as url:
        for _ in range(ROUNDS):
            for stream in (True, False):
                request = ChatRequest(
                    model="deepseek-v4-flash", messages=messages, max_tokens=1024, stream=stream
                )
                for name, measure in clients.items():
                    measured.setdefault((name, stream), []).append(measure(url, request))
    middle = {key: statistics.median(values) for key, values in measured.items()}
    socket = next(iter(clients))
    for name in clients:
        cells = [
            text
            for stream in (True, False)
            for text in (
                f"{middle[name, stream]:.2f}",
                f"{middle[name, stream] - middle[socket, stream]:+.2f}",
            )
        ]
        table.add_row(name, *cells)
    Console(soft_wrap=True).print(table)
    print(f"medians of {ROUNDS} rounds of {CALLS} calls, {IN_FLIGHT} in flight, {TOKENS} tokens an answer")
    worst = max(middle["Patchmill", stream] - middle[socket, stream] for stream in (True, False))
    print(f"beyond the socket: {worst:.2f} CPU-ms, {TARGET_MS:g} allowed")
    return 0 if worst <= TARGET_MS else 1


if __name__ == "__main__":
    sys.exit(main())
