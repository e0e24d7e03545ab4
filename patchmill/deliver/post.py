"""One POST to an address that was judged: no redirect, no proxy, no second look at the name."""

import asyncio
import math
import ssl
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import anyio
import anyio.to_thread
import httpcore
import httpx

from patchmill.deliver.addresses import Address, ForbiddenAddress, Network, judge, resolve
from patchmill.store import shared_time

TIMEOUT_S = 15.0  # for everything: name, connection, TLS, request and answer
CONNECT_TIMEOUT_S = 5.0  # for each address
MAX_READ_BYTES = 65_536  # of a connection, whatever they are: heads, trailers, and answers before the answer
MAX_ANSWER_BYTES = 1_024  # read so that a short answer ends in good order; nobody looks at it
MAX_REASON = 200  # characters of an error's own words
_ASKS_TO_WAIT = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)

Resolve = Callable[[str], list[Address]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of one attempt: a status, or an error; `retry_after_s` where the endpoint asked to wait."""

    status: int | None = None
    error: str | None = None
    retry_after_s: float | None = None
    latency_ms: int = 0

    @property
    def delivered(self) -> bool:
        """Whether the endpoint took the message."""
        return self.status is not None and HTTPStatus(200) <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def gone(self) -> bool:
        """Whether the endpoint wants no message ever again."""
        return self.status == HTTPStatus.GONE


class BoundedStream(httpcore.AsyncNetworkStream):
    """Reads so many bytes and no more: what an endpoint sends without end takes time from everybody."""

    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        self._inner = inner
        self._left = MAX_READ_BYTES

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore's name
        """Read what has come.

        Raises:
            httpcore.ReadError: more came than any answer needs.
        """
        if self._left <= 0:
            raise httpcore.ReadError(f"the answer goes on after {MAX_READ_BYTES:,} bytes")
        piece = await self._inner.read(min(max_bytes, self._left), timeout)
        self._left -= len(piece)
        return piece

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - httpcore's name
        """Write all of it."""
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's name
    ) -> httpcore.AsyncNetworkStream:
        """Speak TLS from now on, as bounded as before."""
        return BoundedStream(await self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        """Tell of the connection what httpcore asks."""
        return self._inner.get_extra_info(info)


class JudgedBackend(httpcore.AsyncNetworkBackend):
    """Connects to addresses, not to names: it looks a name up once, judges all it gets, and takes those."""

    def __init__(self, allowed: Collection[Network], look_up: Resolve) -> None:
        self._allowed = allowed
        self._resolve = look_up
        self._inner = httpcore.AnyIOBackend()
        # No bound of its own: names whose servers hang would hold up those of others. Whoever posts bounds
        # how many are looked up.
        self._threads = anyio.CapacityLimiter(math.inf)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's name
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first of the host's addresses that answers.

        Raises:
            ForbiddenAddress: the host has an address that may not be reached; nothing was sent to any.
            httpcore.ConnectError, httpcore.ConnectTimeout: none answers, or the name is not known.
        """
        try:
            found = await anyio.to_thread.run_sync(
                self._resolve, host, abandon_on_cancel=True, limiter=self._threads
            )
        except OSError as error:
            raise httpcore.ConnectError("the host's name is not known") from error
        judge(found, self._allowed)
        failed: Exception = httpcore.ConnectError("the host's name leads to no address")
        for address in found:
            try:
                stream = await self._inner.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
            else:
                return BoundedStream(stream)
        raise failed


class Poster:
    """Posts messages; each attempt has a connection of its own."""

    def __init__(
        self,
        allowed: Collection[Network] = (),
        *,
        look_up: Resolve = resolve,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._backend = JudgedBackend(allowed, look_up)
        self._timeout_s = timeout_s
        self._tls: ssl.SSLContext | None = None

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Post once, and say what came of it; raises nothing that an endpoint could cause."""
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout_s):
                status, retry_after = await self._send(httpx.URL(url), headers, body)
        except ForbiddenAddress as error:
            answer = Answer(error=str(error))
        except (TimeoutError, httpcore.TimeoutException):
            answer = Answer(error=f"no answer within {self._timeout_s:g} seconds")
        except httpcore.ConnectError as error:
            answer = Answer(error=f"cannot connect: {_reason(error)}")
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            answer = Answer(error=f"the connection broke: {_reason(error)}")
        except (httpx.InvalidURL, httpcore.UnsupportedProtocol, ValueError):
            answer = Answer(error="the URL cannot be used")
        else:
            answer = _judged(status, retry_after)
        return replace(answer, latency_ms=int((time.monotonic() - started) * 1_000))

    async def _send(self, url: httpx.URL, headers: Mapping[str, str], body: bytes) -> tuple[int, str | None]:
        sent = {"Host": url.netloc.decode("ascii"), "Accept": "*/*", "Connection": "close", **headers}
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        tls = await self._certificates() if url.scheme == "https" else None
        async with (
            httpcore.AsyncConnectionPool(
                ssl_context=tls, max_keepalive_connections=0, network_backend=self._backend
            ) as pool,
            pool.stream(
                "POST",
                target,
                headers=list(sent.items()),
                content=body,
                extensions={"timeout": {"connect": CONNECT_TIMEOUT_S}},
            ) as response,
        ):
            read = 0
            async for piece in response.aiter_stream():
                read += len(piece)
                if read >= MAX_ANSWER_BYTES:
                    break
            asked = {name.lower(): value for name, value in response.headers}.get(b"retry-after")
            return response.status, None if asked is None else asked.decode("latin-1")

    async def _certificates(self) -> ssl.SSLContext:
        """Load the certificates when they are first needed, in a thread: it takes a while."""
        if self._tls is None:
            self._tls = await anyio.to_thread.run_sync(httpx.create_ssl_context)
        return self._tls


def retry_after_s(text: str, now: datetime) -> float | None:
    """Read the header `Retry-After`, seconds or a date; None for what is neither."""
    text = text.strip()[:64]
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - now).total_seconds())


def _reason(error: Exception) -> str:
    return str(error)[:MAX_REASON] or type(error).__name__


def _judged(status: int, retry_after: str | None) -> Answer:
    if HTTPStatus(200) <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Answer(status=status)
    error = f"the endpoint answered {status}"
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        error += "; redirects are not followed"
    asked = None
    if retry_after is not None and status in _ASKS_TO_WAIT:
        asked = retry_after_s(retry_after, shared_time.now())
    return Answer(status=status, error=error, retry_after_s=asked)
