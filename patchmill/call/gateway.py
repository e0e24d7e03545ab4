"""The client of the model gateway: one request on the wire, never sent again, becomes one typed outcome."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from datetime import datetime
from types import SimpleNamespace

import aiohttp
import httpx
from aiohttp.http_exceptions import HttpProcessingError
from httpx_aiohttp import AiohttpTransport

from patchmill.call.address import checked_key, endpoint
from patchmill.call.clocks import DEFAULT_CLOCKS, Clocks, Watch
from patchmill.call.exchange import Exchange
from patchmill.call.outcome import Judge
from patchmill.call.reply import CallOutcome
from patchmill.call.request import ChatRequest, request_body
from patchmill.call.stream import MalformedAnswer
from patchmill.job.failure import Failure

MAX_ERROR_BYTES = 64 * 1024
MAX_HEADER_BYTES = 64 * 1024
KEEP_ALIVE_S = 15.0

# How long a closing may take after the outcome is known, and how long the end of a body may lag behind its
# `[DONE]` before its connection is given up instead of kept for the next call.
_CLOSE_GRACE_S = 0.5
_DRAIN_GRACE_S = 0.05

_BROKEN_WIRE = (httpx.HTTPError, aiohttp.ClientError, HttpProcessingError, OSError)

_log = logging.getLogger(__name__)
_current: ContextVar[Exchange] = ContextVar("patchmill_gateway_exchange")


class Gateway:
    """Calls one OpenAI-compatible gateway with one key; used from one event loop, closed by `aclose`.

    `base_url` is what stands before `/chat/completions`; `now` gives the wall clock, aware, for the resets
    that the gateway names in Unix time. Nothing is retried, redirected or read from proxy variables.

    Raises:
        ConfigurationError: the URL is not HTTP, or the key cannot stand in a header.
    """

    def __init__(
        self, *, base_url: str, api_key: str, now: Callable[[], datetime], clocks: Clocks = DEFAULT_CLOCKS
    ) -> None:
        self._url = endpoint(base_url, "chat/completions")
        key = checked_key(api_key)
        self._clocks = clocks
        self._judge = Judge(secret=key, now=now)
        self._running: set[Watch] = set()
        # One context for all connections, because loading certificates takes tens of milliseconds; plain
        # HTTP, which the stand-in speaks, never uses it.
        tls = httpx.create_ssl_context(verify=self._url.scheme == "https")

        def open_session() -> aiohttp.ClientSession:
            trace = aiohttp.TraceConfig()
            trace.on_request_headers_sent.append(_note_sent)
            return aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=tls, limit=0, keepalive_timeout=KEEP_ALIVE_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                max_line_size=MAX_HEADER_BYTES,
                max_field_size=MAX_HEADER_BYTES,
                trace_configs=[trace],
                trust_env=False,
            )

        # The transport opens the session upon the first call, since a session belongs to a running loop. Its
        # own timeouts are off: the clocks of each call bound all of it.
        self._client = httpx.AsyncClient(
            transport=AiohttpTransport(verify=tls, client=open_session),
            timeout=httpx.Timeout(None),
            trust_env=False,
            follow_redirects=False,
            # An identity encoding, because a compressed stream arrives in lumps; gzip is read all the same.
            headers={
                "Authorization": f"Bearer {key}",
                "Content-Type": "application/json",
                "Accept-Encoding": "identity",
                "User-Agent": "patchmill",
            },
        )

    async def chat(
        self,
        request: ChatRequest,
        *,
        deadline_s: float,
        on_first_token: Callable[[], None] | None = None,
    ) -> CallOutcome:
        """Send the request once and wait for its outcome, at most `deadline_s` seconds and a short closing.

        `on_first_token` is called on the loop, at most once, when the first of a stream's output came; it
        must not block. Never raises for what the gateway or the network does. A cancelled call closes its
        connection and raises `CancelledError`; whether it was billed is then unknown.

        Raises:
            UnicodeEncodeError: a message holds half of a surrogate pair; nothing was sent.
        """
        body = request_body(request)
        watch = Watch(self._clocks, deadline_s=deadline_s, streamed=request.streamed)
        exchange = Exchange(request=request, body=body, watch=watch, on_first_token=on_first_token)
        failure: Failure | None = None
        token = _current.set(exchange)
        try:
            async with watch:
                self._running.add(watch)
                await self._exchange(exchange)
        except TimeoutError:
            if watch.ran_out is None:
                raise
            failure = watch.ran_out
        except (*_BROKEN_WIRE, MalformedAnswer) as error:
            failure = self._judge.broken(error)
            if _refused_by_closed_transport(error):
                watch.sent_at = None
        finally:
            self._running.discard(watch)
            _current.reset(token)
        loop_time = asyncio.get_running_loop().time()
        return self._judge.outcome(exchange, failure, loop_time=loop_time)

    def give_up(self) -> None:
        """End every call that runs now; each comes to the outcome that what it has seen allows."""
        for watch in self._running:
            watch.give_up()

    async def aclose(self) -> None:
        """Close every connection; the gateway cannot be used afterwards."""
        await self._client.aclose()

    async def _exchange(self, exchange: Exchange) -> None:
        accept = "text/event-stream" if exchange.request.streamed else "application/json"
        request = self._client.build_request(
            "POST", self._url, content=exchange.body, headers={"Accept": accept}
        )
        response = await self._client.send(request, stream=True)
        exchange.headers = response.headers
        exchange.content_type = response.headers.get("content-type", "").lower()
        exchange.status = response.status_code
        try:
            await _read(response, exchange)
        finally:
            # Bounded, because it waits for a request body that the gateway may never read to its end.
            with contextlib.suppress(TimeoutError, *_BROKEN_WIRE):
                async with asyncio.timeout(_CLOSE_GRACE_S):
                    await response.aclose()


async def _note_sent(_session: aiohttp.ClientSession, _context: SimpleNamespace, _params: object) -> None:
    """Note that bytes of this task's request may leave from now on.

    The kind of exception cannot tell: the transport reports a connection that dropped after sending with the
    class that it uses for connecting.
    """
    _current.get().watch.sent()


def _refused_by_closed_transport(error: BaseException) -> bool:
    """Whether a kept connection turned out closed before the first byte was written to it.

    Head and body leave in one write, so nothing was sent. This goes by the words of aiohttp, since its class
    is the same for a connection lost later; should they change, such a call counts as possibly billed.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, aiohttp.ClientConnectionResetError):
            return str(cause) == "Cannot write to closing transport"
        cause = cause.__cause__
    return False


async def _read(response: httpx.Response, exchange: Exchange) -> None:
    chunks = response.aiter_bytes()
    if httpx.codes.is_success(response.status_code):
        await _read_answer(chunks, exchange)
    else:
        # Nothing is billed, whatever else comes: the rest is the reason, and not worth a long wait.
        exchange.watch.last_words()
        async for chunk in chunks:
            exchange.error_body += chunk
            if len(exchange.error_body) > MAX_ERROR_BYTES:
                return
    exchange.ended = True


async def _read_answer(chunks: AsyncIterator[bytes], exchange: Exchange) -> None:
    reader = exchange.reader
    async for chunk in chunks:
        if reader.feed(chunk):
            _note_data(exchange)
        if reader.done:
            # The end of the body nearly always came with it, and lets the connection serve another call.
            with contextlib.suppress(TimeoutError, *_BROKEN_WIRE):
                async with asyncio.timeout(_DRAIN_GRACE_S):
                    await _drain(chunks)
            return
    reader.close()


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    """Read what follows the end of an answer, as far as it may still be the end of the body."""
    size = 0
    async for surplus in chunks:
        size += len(surplus)
        if size > MAX_ERROR_BYTES:
            return


def _note_data(exchange: Exchange) -> None:
    watch, answer = exchange.watch, exchange.answer
    watch.data()
    if answer.complete or answer.error is not None:
        watch.last_words()
    if exchange.first_token_at is None and answer.has_output:
        exchange.first_token_at = watch.data_at
        _tell_first_token(exchange)


def _tell_first_token(exchange: Exchange) -> None:
    if exchange.on_first_token is None:
        return
    try:
        exchange.on_first_token()
    except Exception:  # noqa: BLE001 - whatever it is, it is logged
        # The answer that follows is paid for: it is not given up because a note of it failed.
        _log.exception("the first token of a call could not be noted")
