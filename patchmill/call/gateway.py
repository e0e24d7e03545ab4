"""The client of the model gateway: one request on the wire, never sent again, becomes one typed outcome."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import aiohttp
import httpx
from aiohttp.http_exceptions import HttpProcessingError
from httpx_aiohttp import AiohttpTransport

from patchmill.call.failures import clean, failure_of_frame, failure_of_status, read_report
from patchmill.call.reply import Answered, CallOutcome, CallTimings, Rejected, Unknown
from patchmill.call.stream import AnswerBuilder, Event, MalformedAnswer, SseParser, storable
from patchmill.errors import ConfigurationError
from patchmill.job.failure import Failure, FailureClass

MAX_ANSWER_BYTES = 4 * 1024 * 1024
MAX_ERROR_BYTES = 64 * 1024
MAX_HEADER_BYTES = 64 * 1024
KEEP_ALIVE_S = 15.0
CONNECT_TIMEOUT_S = 10.0
STAND_IN_FINGERPRINT = "stand-in"

# How long a closing may take after the outcome is known, and how long the end of a body may lag behind its
# `[DONE]` before its connection is given up instead of kept for the next call.
_CLOSE_GRACE_S = 0.5
_DRAIN_GRACE_S = 0.05

_BROKEN_WIRE = (httpx.HTTPError, aiohttp.ClientError, HttpProcessingError, OSError)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """What is asked: `messages` are `{"role", "content"}` in order, `max_tokens` bounds the answer."""

    model: str
    messages: Sequence[Mapping[str, str]]
    max_tokens: int
    stream: bool
    response_format: Mapping[str, Any] | None = None


@dataclass(slots=True, kw_only=True)
class _Exchange:
    """What has happened on the wire so far; readable at any moment, whatever ended the call."""

    request: ChatRequest
    started_at: float
    sent: bool = False
    first_token_at: float | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = ""
    error_body: bytearray = field(default_factory=bytearray)
    answer: AnswerBuilder = field(default_factory=AnswerBuilder)
    ended: bool = False

    def timings(self, now: float) -> CallTimings:
        first_at = self.first_token_at
        return CallTimings(
            first_token_ms=None if first_at is None else round((first_at - self.started_at) * 1000),
            total_ms=round((now - self.started_at) * 1000),
        )


_current: ContextVar[_Exchange] = ContextVar("patchmill_gateway_exchange")


def request_body(request: ChatRequest) -> bytes:
    """Build the exact bytes of the request's body; their number bounds its prompt tokens."""
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [dict(message) for message in request.messages],
        "max_tokens": request.max_tokens,
        "stream": request.stream,
    }
    if request.response_format is not None:
        body["response_format"] = dict(request.response_format)
    if request.stream:
        body["stream_options"] = {"include_usage": True}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


class Gateway:
    """Calls one OpenAI-compatible gateway with one key; used from one event loop, closed by `aclose`.

    `base_url` ends before `/chat/completions`; `now` gives the wall clock, aware, for the resets that the
    gateway names in Unix time. Nothing is retried, redirected or read from proxy variables.

    Raises:
        ConfigurationError: the URL is not HTTP, or the key cannot stand in a header.
    """

    def __init__(self, *, base_url: str, api_key: str, now: Callable[[], datetime]) -> None:
        try:
            url = httpx.URL(base_url.rstrip("/") + "/chat/completions")
        except httpx.InvalidURL as error:
            raise ConfigurationError("The gateway's URL cannot be read.") from error
        if url.scheme not in {"http", "https"} or not url.host:
            raise ConfigurationError("The gateway's URL must begin with http:// or https://, then its host.")
        if not api_key or not api_key.isascii() or not api_key.isprintable():
            raise ConfigurationError("The gateway's key must be printable ASCII, and not empty.")
        self._url = url
        self._key = api_key
        self._now = now
        # One context for all connections, because loading certificates takes tens of milliseconds; plain
        # HTTP, which the stand-in speaks, never uses it.
        tls = httpx.create_ssl_context(verify=url.scheme == "https")

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

        # The transport opens the session upon the first call, since a session belongs to a running loop.
        self._client = httpx.AsyncClient(
            transport=AiohttpTransport(verify=tls, client=open_session),
            timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT_S, pool=CONNECT_TIMEOUT_S),
            trust_env=False,
            follow_redirects=False,
            # An identity encoding, because a compressed stream arrives in lumps; gzip is read all the same.
            headers={
                "Authorization": f"Bearer {api_key}",
                "Content-Type": "application/json",
                "Accept-Encoding": "identity",
                "User-Agent": "patchmill",
            },
        )

    async def chat(self, request: ChatRequest, *, deadline_s: float) -> CallOutcome:
        """Send the request once and wait for its outcome, at most `deadline_s` seconds and a short closing.

        Never raises for what the gateway or the network does. A cancelled call closes its connection and
        raises `CancelledError`; whether it was billed is then unknown.
        """
        loop = asyncio.get_running_loop()
        exchange = _Exchange(request=request, started_at=loop.time())
        failure: Failure | None = None
        token = _current.set(exchange)
        try:
            async with asyncio.timeout(deadline_s) as deadline:
                await self._exchange(exchange)
        except TimeoutError:
            if not deadline.expired():
                raise
            failure = Failure(
                failure=FailureClass.DEADLINE, message=f"no complete answer within {deadline_s:g} s"
            )
        except (*_BROKEN_WIRE, MalformedAnswer) as error:
            failure = self._broken(error)
            exchange.sent = exchange.sent and not _refused_by_closed_transport(error)
        finally:
            _current.reset(token)
        return self._outcome(exchange, failure, exchange.timings(loop.time()))

    async def aclose(self) -> None:
        """Close every connection; the gateway cannot be used afterwards."""
        await self._client.aclose()

    async def _exchange(self, exchange: _Exchange) -> None:
        accept = "text/event-stream" if exchange.request.stream else "application/json"
        request = self._client.build_request(
            "POST", self._url, content=request_body(exchange.request), headers={"Accept": accept}
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

    def _outcome(self, exchange: _Exchange, failure: Failure | None, timings: CallTimings) -> CallOutcome:
        """Decide what the call came to, from how far it got rather than from what broke it."""
        answer = exchange.answer
        if not exchange.sent:
            message = failure.message if failure else "the request was not sent"
            return Rejected(
                failure=Failure(failure=FailureClass.CONNECT, message=message),
                status=None,
                code=None,
                timings=timings,
            )
        if exchange.status is not None and not httpx.codes.is_success(exchange.status):
            return self._refused(exchange, exchange.status, timings)
        if answer.error is not None:
            return self._error_in_answer(exchange, failure, timings)
        if answer.complete:
            return self._answered(exchange, timings)
        if failure is None:
            kind = clean(exchange.content_type, secret=self._key) or "no content type"
            failure = Failure(
                failure=FailureClass.BROKEN, message=f"the answer ended before it was complete ({kind})"
            )
        return Unknown(failure=failure, partial=answer.text, usage=answer.usage, timings=timings)

    def _answered(self, exchange: _Exchange, timings: CallTimings) -> Answered:
        answer = exchange.answer
        request_id = exchange.headers.get("x-request-id")
        if answer.usage is None and answer.raw_usage is not None:
            report = clean(json.dumps(answer.raw_usage), secret=self._key)
            _log.warning("the gateway's usage report cannot be true: %s", report)
        return Answered(
            text=answer.text,
            finish_reason=answer.finish_reason or "",
            usage=answer.usage,
            returned_model=answer.returned_model,
            gateway_request_id=storable(request_id)[:200] if request_id else answer.request_id,
            stand_in=answer.fingerprint == STAND_IN_FINGERPRINT,
            timings=timings,
        )

    def _refused(self, exchange: _Exchange, status: int, timings: CallTimings) -> CallOutcome:
        """An answer other than 2xx is never billed, however its body ended; 408 alone is not believed."""
        report = read_report(_error_field(bytes(exchange.error_body)), secret=self._key)
        failure = failure_of_status(status, report, exchange.headers, now=self._now())
        if failure.failure is FailureClass.BROKEN:
            return Unknown(failure=failure, partial="", usage=None, timings=timings)
        return Rejected(failure=failure, status=status, code=report.code or report.type, timings=timings)

    def _error_in_answer(
        self, exchange: _Exchange, failure: Failure | None, timings: CallTimings
    ) -> CallOutcome:
        """An error that ends a stream is not billed; within a plain 200, or before more chunks, it may be."""
        answer = exchange.answer
        report = read_report(answer.error, secret=self._key)
        reported = failure_of_frame(report)
        if exchange.ended and _streamed(exchange) and answer.error_is_last:
            code = report.code or report.type
            return Rejected(failure=reported, status=exchange.status, code=code, timings=timings)
        broken = failure or Failure(failure=FailureClass.BROKEN, message=reported.message)
        return Unknown(failure=broken, partial=answer.text, usage=answer.usage, timings=timings)

    def _broken(self, error: Exception) -> Failure:
        message = clean(str(error), secret=self._key) or type(error).__name__
        return Failure(failure=FailureClass.BROKEN, message=message)


async def _note_sent(_session: aiohttp.ClientSession, _context: SimpleNamespace, _params: object) -> None:
    """Note that bytes of this task's request may leave from now on.

    The kind of exception cannot tell: the transport reports a connection that dropped after sending with the
    class that it uses for connecting.
    """
    _current.get().sent = True


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


def _streamed(exchange: _Exchange) -> bool:
    """Whether the body is a stream: as its type says, or as it was asked for where the type says neither."""
    if "event-stream" in exchange.content_type:
        return True
    return exchange.request.stream and "json" not in exchange.content_type


async def _read(response: httpx.Response, exchange: _Exchange) -> None:
    chunks = response.aiter_bytes()
    if not httpx.codes.is_success(response.status_code):
        async for chunk in chunks:
            exchange.error_body += chunk
            if len(exchange.error_body) > MAX_ERROR_BYTES:
                return
    elif _streamed(exchange):
        await _read_stream(chunks, exchange)
    else:
        body = bytearray()
        async for chunk in chunks:
            body += chunk
            _check_size(len(body))
        exchange.answer.add_body(bytes(body))
    exchange.ended = True


async def _read_stream(chunks: AsyncIterator[bytes], exchange: _Exchange) -> None:
    parser = SseParser()
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        _check_size(size)
        _add_events(parser.feed(chunk), exchange)
        if parser.done:
            # The end of the body nearly always came with it, and lets the connection serve another call.
            with contextlib.suppress(TimeoutError, *_BROKEN_WIRE):
                async with asyncio.timeout(_DRAIN_GRACE_S):
                    async for surplus in chunks:
                        size += len(surplus)
                        _check_size(size)
            return
    _add_events(parser.close(), exchange)


def _add_events(events: list[Event], exchange: _Exchange) -> None:
    for event in events:
        exchange.answer.add_event(event)
        if exchange.first_token_at is None and exchange.answer.has_output:
            exchange.first_token_at = asyncio.get_running_loop().time()


def _check_size(size: int) -> None:
    if size > MAX_ANSWER_BYTES:
        raise MalformedAnswer(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")


def _error_field(body: bytes) -> object:
    """Find the `error` of a refusal's body; None for a page of HTML, or for JSON without one."""
    try:
        document = json.loads(body.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return document.get("error") if isinstance(document, dict) else None
