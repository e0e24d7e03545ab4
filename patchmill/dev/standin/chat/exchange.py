"""`POST /v1/chat/completions`: from a request's arrival to its row in the ledger."""

import time
import uuid

from starlette.types import Receive, Scope, Send

from patchmill.dev.standin.chat import request as chat_request
from patchmill.dev.standin.chat import wire
from patchmill.dev.standin.chat.answering import Choice, choose, cut_choice
from patchmill.dev.standin.chat.request import ChatRequest
from patchmill.dev.standin.chat.row_in_progress import RowInProgress
from patchmill.dev.standin.chat.rules import check_rules, model_not_found, model_not_in_group, refuse_fields
from patchmill.dev.standin.chat.sending import EVENT_STREAM, Sending
from patchmill.dev.standin.connection import ClientLeft, Connection
from patchmill.dev.standin.delays import draw
from patchmill.dev.standin.faults import FaultKind, refusal_of
from patchmill.dev.standin.gateway import Gateway, sent_key
from patchmill.dev.standin.refusal import Refusal, error_envelope
from patchmill.dev.standin.wire_cases import CASES
from patchmill.dev.standin.wire_cases.playing import Play

_HTML = b"<!doctype html><title>Gateway</title><h1>The gateway is being served.</h1>"


class Exchange:
    """One request on its way through the gateway; it ends with a row in the ledger, whatever happens."""

    def __init__(self, gateway: Gateway, scope: Scope, connection: Connection, request_id: str) -> None:
        self._gateway = gateway
        self._connection = connection
        self._headers: list[tuple[bytes, bytes]] = scope["headers"]
        self._request_id = request_id
        self._created = int(time.time())
        self._max_tokens = 0
        self._row = RowInProgress(gateway, request_id=request_id, key=sent_key(self._headers))

    async def run(self) -> None:
        """Answer, or refuse."""
        try:
            await self._answer()
        except Refusal as refusal:
            self._row.refuse(refusal.status, refusal.code)
            body = wire.encode(refusal.envelope())
            await self._connection.respond(refusal.status, body, **refusal.headers)
        except ClientLeft:
            self._row.leave(started=self._connection.started)
        except Exception as error:
            self._row.refuse(500, "internal_error")
            if self._connection.started:
                raise
            # A fault of the stand-in itself must look like one, not like a broken connection.
            body = wire.encode(error_envelope(500, "internal_error", f"The stand-in failed: {error!r}"))
            await self._connection.respond(500, body)
        finally:
            self._row.leave(started=self._connection.started)
            self._connection.stop_watching()

    async def _answer(self) -> None:
        gateway, connection, row = self._gateway, self._connection, self._row
        key = gateway.authenticate(self._headers)
        request = self._check(await connection.read_body(chat_request.MAX_BODY_BYTES))
        gateway.admit(key)
        row.admitted = True
        row.request = request
        strike = gateway.take_fault(request.prompt, model=request.model, stream=row.stream)
        if strike is not None and strike.wire_case is not None:
            await Play(
                gateway=gateway,
                connection=connection,
                row=row,
                case=CASES[strike.wire_case],
                request=request,
                max_tokens=self._max_tokens,
                created=self._created,
            ).run()
        fault = None if strike is None else strike.fault
        refusal = None if fault is None else refusal_of(fault, concurrency=gateway.concurrency)
        scripted = gateway.behaviour.take_answer(request.prompt) if refusal is None else None
        row.model_asked = refusal is None and fault is not FaultKind.HTML
        if fault is FaultKind.HOLD:
            await self._hold()
        await connection.pause(draw(gateway.behaviour.latency_ms, gateway.chance))
        if refusal is not None:
            raise refusal
        if fault is FaultKind.HTML:
            # No answer was made behind such a page, so nothing is billed.
            row.spoil()
            await connection.respond(200, _HTML, "text/html; charset=utf-8")
            return
        row.read_cache(request)
        if fault is FaultKind.STALL:
            await connection.start(200, EVENT_STREAM if row.stream else "application/json", {})
            await connection.until_left()
        choices = await self._choices(request, scripted, fault)
        sending = Sending(gateway=gateway, connection=connection, row=row, envelope=self._envelope(request))
        if row.stream:
            await sending.streamed(request, choices, fault)
        else:
            await sending.plain(choices, fault)

    def _check(self, body: bytes) -> ChatRequest:
        behaviour = self._gateway.behaviour
        document = chat_request.read_json(body)
        self._row.messages_sha256 = chat_request.messages_sha256(document)
        refuse_fields(document, behaviour.odd.refused_fields, strict=behaviour.odd.strict_fields)
        request = chat_request.check(document)
        if request.model in behaviour.missing_models:
            raise model_not_found(request.model)
        _, self._row.input_tokens, self._max_tokens = check_rules(request)
        if request.model in behaviour.models_not_in_group:
            raise model_not_in_group(request.model)
        self._row.stream = bool(request.stream)
        return request

    async def _choices(
        self, request: ChatRequest, scripted: str | None, fault: FaultKind | None
    ) -> list[Choice]:
        if fault is FaultKind.EMPTY:
            return [cut_choice("", max_tokens=self._max_tokens)]
        odd = self._gateway.behaviour.odd
        return await choose(
            request,
            scripted,
            player=self._gateway.options.player,
            request_id=self._request_id,
            max_tokens=self._max_tokens if not odd.ignores_max_tokens else chat_request.NO_LIMIT_TOKENS,
            fenced_json=odd.fenced_json,
        )

    async def _hold(self) -> None:
        signal = self._gateway.release_signal
        self._gateway.holding += 1
        try:
            await self._connection.until(signal)
        finally:
            self._gateway.holding -= 1

    def _envelope(self, request: ChatRequest) -> wire.Envelope:
        odd = self._gateway.behaviour.odd
        return wire.Envelope(
            request_id=self._request_id,
            created=self._created,
            model=odd.returned_model or request.model,
            cached_fields=odd.cached_fields,
        )


def new_request_id() -> str:
    """A fresh id, for the answer and the `x-request-id` header."""
    return f"chatcmpl-{uuid.uuid4()}"


async def complete_chat(
    gateway: Gateway, scope: Scope, receive: Receive, send: Send, request_id: str
) -> None:
    """Serve one chat request."""
    await Exchange(gateway, scope, Connection(scope, receive, send), request_id).run()
