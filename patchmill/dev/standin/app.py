"""The stand-in's routes, and the headers that every response carries."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from patchmill.dev.standin.account import Account
from patchmill.dev.standin.catalogue import CONTEXT_TOKENS, MODELS
from patchmill.dev.standin.chat.exchange import complete_chat, new_request_id
from patchmill.dev.standin.control import Control
from patchmill.dev.standin.gateway import Gateway, Options, sent_key
from patchmill.dev.standin.refusal import Refusal, error_envelope

CHAT_PATH = "/v1/chat/completions"


class StandIn:
    """The ASGI application: the chat route directly, everything else through Starlette's router."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._others = _other_routes(gateway)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event."""
        if scope["type"] != "http":
            await self._others(scope, receive, send)
            return
        request_id = new_request_id()
        send = self._with_headers(scope, send, request_id)
        if scope["path"] == CHAT_PATH and scope["method"] == "POST":
            await complete_chat(self._gateway, scope, receive, send, request_id)
        else:
            await self._others(scope, receive, send)

    def _with_headers(self, scope: Scope, send: Send, request_id: str) -> Send:
        key = sent_key(scope["headers"])

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name for name, _ in message["headers"]}
                extra = {**self._gateway.quota_headers(key), "x-request-id": request_id}
                pairs = [(name.lower().encode(), value.encode()) for name, value in extra.items()]
                message["headers"] = [
                    *message["headers"],
                    *(pair for pair in pairs if pair[0] not in present),
                ]
            await send(message)

        return send_with_headers


def build_app(options: Options) -> ASGIApp:
    """A stand-in gateway with a ledger and behaviour of its own, as an ASGI application."""
    return StandIn(Gateway(options))


def _other_routes(gateway: Gateway) -> Starlette:
    async def list_models(request: Request) -> Response:
        gateway.authenticate(request.headers.raw)
        data = [
            {
                "id": card.name,
                "object": "model",
                "owned_by": "stand-in",
                "context_tokens": CONTEXT_TOKENS,
                "max_output_tokens": card.max_output_tokens,
            }
            for card in MODELS.values()
            if card.name not in gateway.behaviour.missing_models
        ]
        return JSONResponse({"object": "list", "data": data})

    async def refuse(_request: Request, error: Exception) -> Response:
        if isinstance(error, Refusal):
            return JSONResponse(error.envelope(), status_code=error.status, headers=error.headers)
        if isinstance(error, HTTPException):
            code = "not_found" if error.status_code == 404 else "method_not_allowed"  # noqa: PLR2004 - HTTP
            body = error_envelope(error.status_code, code, f"{error.detail}.")
            return JSONResponse(body, status_code=error.status_code, headers=error.headers)
        raise error

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        gateway.ledger.close()

    return Starlette(
        routes=[
            Route("/v1/models", list_models, methods=["GET"]),
            *Account(gateway).routes(),
            *Control(gateway).routes(),
        ],
        exception_handlers={Refusal: refuse, HTTPException: refuse},
        lifespan=lifespan,
    )
