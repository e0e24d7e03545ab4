"""Around every request: its id, its log line, HEAD as GET, its body's limit, the answer to the unexpected."""

import time
from http import HTTPStatus

import anyio
import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import answer
from patchmill.errors import PatchmillError, TooLarge
from patchmill.store.ids import new_id
from patchmill.telemetry import get_logger

REQUEST_ID = "X-Request-Id"

_log = get_logger("api.request")


class RequestContext:
    """Gives each request an id that its answer, its problems and its log lines carry.

    What no handler knows ends here as a 500, logged without the exception's message.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its id."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        request_id = f"req_{new_id().hex}"
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_with_id)
            except Exception:
                _log.exception("request_failed", method=scope["method"], path=scope["path"])
                if status:  # the answer has begun, and only breaking it off tells the client
                    raise
                await _unexpected(scope["path"], request_id)(scope, receive, send_with_id)
            key_id = state.get("key_id")
            _log.info(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                duration_ms=round((time.perf_counter() - began) * 1000, 1),
                key_id=None if key_id is None else str(key_id),
            )


class HeadAsGet:
    """Answers HEAD wherever there is GET: with its status and headers, and without its content.

    What would have gone on, a stream of events, ends where its content would begin.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, a HEAD as the GET that it asks about."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        with anyio.CancelScope() as answering:

            async def send_head(message: Message) -> None:
                if message["type"] == "http.response.start":
                    await send(message)
                elif not message.get("more_body", False):
                    await send({"type": "http.response.body"})
                else:
                    answering.cancel()

            await self._app({**scope, "method": "GET"}, receive, send_head)
        if answering.cancelled_caught:
            await send({"type": "http.response.body"})


class BodyLimit:
    """Refuses a body beyond the limit as soon as that is known, whether or not its length was announced."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on whose body breaks off at the limit, with the error that answers it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        too_large = announced.isdigit() and int(announced) > self._max_bytes
        received = 0

        async def receive_limited() -> Message:
            nonlocal received
            if too_large:
                raise self._refusal()
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise self._refusal()
            return message

        await self._app(scope, receive_limited, send)

    def _refusal(self) -> PatchmillError:
        return TooLarge(f"the body is larger than {self._max_bytes:,} bytes (PATCHMILL_MAX_BODY_BYTES)")


def _unexpected(path: str, request_id: str) -> ASGIApp:
    return answer(
        status=HTTPStatus.INTERNAL_SERVER_ERROR,
        code=PatchmillError.code,
        title=PatchmillError.title,
        detail="something went wrong that should not; the server's log has more under this request id",
        instance=path,
        request_id=request_id,
    )
