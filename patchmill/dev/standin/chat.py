"""`POST /v1/chat/completions`: from a request's arrival to its row in the ledger."""

import asyncio
import time
import uuid
from collections.abc import Iterator
from http import HTTPStatus

from starlette.types import Receive, Scope, Send

from patchmill.dev.standin import chat_request, json_answers, model, wire
from patchmill.dev.standin.catalogue import MODELS
from patchmill.dev.standin.chat_request import ChatRequest
from patchmill.dev.standin.connection import ClientLeft, Connection
from patchmill.dev.standin.faults import FaultKind, refusal_of
from patchmill.dev.standin.gateway import Gateway, sent_key
from patchmill.dev.standin.ledger import Billing, LedgerRow, now
from patchmill.dev.standin.refusal import Refusal, error_envelope
from patchmill.dev.standin.tokens import BYTES_PER_TOKEN, PromptCache, count_tokens, cut, pieces
from patchmill.dev.standin.wire_cases import CASES, Billed, Ending, Reply, WireCase
from patchmill.dev.standin.wire_cases.playing import play

CLIENT_CLOSED_STATUS = 499
_PIECE_CHARACTERS = 16
_PIECES_PER_SEND = 16
_REASONING = "The stand-in gateway does not reason; this sentence takes the place of reasoning."
_HTML = b"<!doctype html><title>Gateway</title><h1>The gateway is being served.</h1>"


class Exchange:
    """One request on its way through the gateway; `settle` writes its row, once."""

    def __init__(self, gateway: Gateway, scope: Scope, connection: Connection, request_id: str) -> None:
        self._gateway = gateway
        self._connection = connection
        self._headers: list[tuple[bytes, bytes]] = scope["headers"]
        self._request_id = request_id
        self._arrived_at = now()
        self._created = int(time.time())
        self._stream = False
        self._messages_sha256: str | None = None
        self._request: ChatRequest | None = None
        self._input_tokens = 0
        self._cached_tokens = 0
        self._max_tokens = 0
        self._blocks: tuple[bytes, ...] = ()
        self._produced_tokens = 0
        self._admitted = False
        self._model_asked = False
        self._settled = False
        self._wire_case: str | None = None
        gateway.ledger.arrive()

    async def run(self) -> None:
        """Answer, or refuse; whatever happens, the request ends with a row in the ledger."""
        try:
            await self._answer()
        except Refusal as refusal:
            self._settle(refusal.status, Billing.NOT_BILLED, code=refusal.code)
            body = wire.encode(refusal.envelope())
            await self._connection.respond(refusal.status, body, **refusal.headers)
        except ClientLeft:
            self._settle_left()
        except Exception as error:
            self._settle(500, Billing.NOT_BILLED, code="internal_error")
            if self._connection.started:
                raise
            # A fault of the stand-in itself must look like one, not like a broken connection.
            body = wire.encode(error_envelope(500, "internal_error", f"The stand-in failed: {error!r}"))
            await self._connection.respond(500, body)
        finally:
            self._settle_left()
            self._connection.stop_watching()

    async def _answer(self) -> None:
        gateway, connection = self._gateway, self._connection
        gateway.authenticate(self._headers)
        request = self._check(await connection.read_body(chat_request.MAX_BODY_BYTES))
        gateway.admit()
        self._admitted = True
        self._request = request
        prompt = request.prompt
        rule = gateway.behaviour.take_fault(prompt, stream=self._stream)
        if rule is not None and rule.wire_case is not None:
            await self._play(CASES[rule.wire_case], request)
        fault = None if rule is None else rule.fault
        refusal = None if fault is None else refusal_of(fault, concurrency=gateway.concurrency)
        scripted = gateway.behaviour.take_answer(prompt) if refusal is None else None
        self._model_asked = refusal is None and fault is not FaultKind.HTML
        if fault is FaultKind.HOLD:
            await self._hold()
        await connection.pause(gateway.behaviour.latency_ms)
        if refusal is not None:
            raise refusal
        if fault is FaultKind.HTML:
            # No answer was made behind such a page, so nothing is billed.
            self._settle(200, Billing.NOT_BILLED)
            await connection.respond(200, _HTML, "text/html; charset=utf-8")
            return
        self._read_cache(request)
        if fault is FaultKind.STALL:
            await connection.start(200, self._content_type, {})
            await connection.until_left()
        content = "" if fault is FaultKind.EMPTY else await self._content(request, scripted)
        await (self._send_stream if request.stream else self._send_plain)(request, content, fault)

    def _check(self, body: bytes) -> ChatRequest:
        document = chat_request.read_json(body)
        self._messages_sha256 = chat_request.messages_sha256(document)
        request = chat_request.check(document)
        _, self._input_tokens, self._max_tokens = chat_request.check_limits(request)
        self._stream = bool(request.stream)
        return request

    async def _play(self, case: WireCase, request: ChatRequest) -> None:
        """Answer as the case does; ends with ClientLeft, once the connection is no more."""
        gateway = self._gateway
        self._wire_case = case.name
        self._model_asked = case.billed
        scripted = gateway.behaviour.take_answer(request.prompt) if case.answers else ""
        await self._connection.pause(gateway.behaviour.latency_ms)
        reply = await self._reply(case, request, scripted if case.says is None else case.says)
        if case.usage is Billed.ZERO:
            self._input_tokens = self._cached_tokens = 0
        said = ""

        def settle() -> None:
            if case.usage in {Billed.WHOLE, Billed.UNCACHED}:
                self._produced_tokens = reply.usage.output_tokens
            ended = reply.finish if case.ending is Ending.END else "truncated"
            self._settle(case.status, Billing.BILLED, finish=ended)

        def told(text: str) -> None:
            nonlocal said
            said += text
            if case.usage is not Billed.ZERO:
                self._produced_tokens = count_tokens(said)
            # Billed as soon as all is told: whoever has read the end finds the row in the ledger.
            if case.usage is not Billed.PRODUCED and len(said) >= len(reply.reasoning) + len(reply.content):
                settle()

        if not case.billed:
            spoilt = "stream_error" if case.status == HTTPStatus.OK else None
            self._settle(case.status, Billing.NOT_BILLED, finish=spoilt, code=case.code)
        await play(case, reply, self._connection, told=told, ended=settle)

    async def _reply(self, case: WireCase, request: ChatRequest, scripted: str | None) -> Reply:
        self._read_cache(request)
        if case.usage is Billed.UNCACHED:
            self._cached_tokens = 0
        text = await self._content(request, scripted)
        if case.overruns:
            text += "." * ((self._max_tokens + 1) * BYTES_PER_TOKEN)
        reasoning, content, finish = self._shape(case.thinks, text)
        content = text if case.overruns else content
        headers = self._gateway.quota_headers(sent_key(self._headers))
        return Reply(
            request_id=self._request_id,
            created=self._created,
            model=request.model,
            content=content,
            reasoning=reasoning,
            finish=finish,
            usage=self._usage(reasoning, content),
            max_tokens=self._max_tokens,
            stream=self._stream,
            headers=(*headers.items(), ("X-Request-Id", self._request_id)),
        )

    def _read_cache(self, request: ChatRequest) -> None:
        self._blocks = PromptCache.blocks(request.model, request.prompt)
        self._cached_tokens = min(self._gateway.cache.cached_tokens(self._blocks), self._input_tokens)

    async def _hold(self) -> None:
        signal = self._gateway.release_signal
        self._gateway.holding += 1
        try:
            await self._connection.until(signal)
        finally:
            self._gateway.holding -= 1

    async def _content(self, request: ChatRequest, scripted: str | None) -> str:
        if scripted is not None:
            return scripted
        turns = [model.Turn(role=message.role, text=message.text) for message in request.messages]
        text = await asyncio.to_thread(model.answer, turns)
        if request.wants_json:
            text = json_answers.as_json(text, request)
        ends = [text.index(stop) for stop in request.stops if stop in text]
        return text[: min(ends)] if ends else text

    @property
    def _content_type(self) -> str:
        return "text/event-stream; charset=utf-8" if self._stream else "application/json"

    def _shape(self, thought: str, content: str) -> tuple[str, str, str]:
        """Reasoning, content and finish reason, cut at `max_tokens`."""
        reasoning = cut(thought, self._max_tokens)
        room = self._max_tokens - count_tokens(reasoning)
        kept = cut(content, room)
        return reasoning, kept, "stop" if kept == content else "length"

    def _usage(self, reasoning: str, content: str) -> wire.UsageReport:
        return wire.UsageReport(
            input_tokens=self._input_tokens,
            cached_tokens=self._cached_tokens,
            output_tokens=count_tokens(reasoning) + count_tokens(content),
            reasoning_tokens=count_tokens(reasoning),
        )

    def _envelope(self, request: ChatRequest) -> wire.Envelope:
        return wire.Envelope(request_id=self._request_id, created=self._created, model=request.model)

    async def _send_plain(self, request: ChatRequest, content: str, fault: FaultKind | None) -> None:
        await self._connection.pause(self._gateway.behaviour.first_token_ms)
        if fault is FaultKind.STREAM_ERROR:
            raise Refusal(status=500, code="internal_error", message="The answer broke off.")
        reasoning, content, finish = self._shape(_thought(request), content)
        usage = self._usage(reasoning, content)
        envelope = self._envelope(request)
        body = envelope.plain(content=content, reasoning=reasoning, finish=finish, usage=usage)
        self._produced_tokens = usage.output_tokens
        if fault is FaultKind.TRUNCATE:
            self._settle(200, Billing.BILLED, finish="truncated")
            await self._connection.start(200, self._content_type, {"content-length": str(len(body))})
            # Returning before the promised length makes the server close the connection.
            await self._connection.send(body[: len(body) // 2], more=True)
            return
        self._settle(200, Billing.BILLED, finish=finish)
        await self._connection.respond(200, body)

    async def _send_stream(self, request: ChatRequest, content: str, fault: FaultKind | None) -> None:
        connection, envelope = self._connection, self._envelope(request)
        reasoning, content, finish = self._shape(_thought(request), content)
        broken = fault in {FaultKind.TRUNCATE, FaultKind.STREAM_ERROR}
        if broken:
            content = content[: len(content) // 2]
        await connection.start(200, self._content_type, {"cache-control": "no-cache"})
        await connection.pause(self._gateway.behaviour.first_token_ms)
        await connection.send(envelope.delta_frame({"role": "assistant", "content": ""}), more=True)
        await self._send_pieces(envelope, reasoning, content)
        if fault is FaultKind.TRUNCATE:
            self._settle(200, Billing.BILLED, finish="truncated")
            return
        if fault is FaultKind.STREAM_ERROR:
            self._settle(200, Billing.NOT_BILLED, finish="stream_error")
            error = error_envelope(500, "internal_error", "The answer broke off.")
            await connection.send(wire.error_frame(error), more=False)
            return
        last = envelope.delta_frame({}, finish)
        if request.wants_usage_frame:
            last += envelope.usage_frame(self._usage(reasoning, content))
        # Settled before the last bytes: whoever has read them finds the row in the ledger.
        self._settle(200, Billing.BILLED, finish=finish)
        await connection.send(last + wire.DONE, more=False)

    async def _send_pieces(self, envelope: wire.Envelope, reasoning: str, content: str) -> None:
        delay_ms = self._gateway.behaviour.chunk_delay_ms
        batch: list[bytes] = []
        sent = ""
        for field, piece in _deltas(reasoning, content):
            batch.append(envelope.delta_frame({field: piece}))
            sent += piece
            if delay_ms or len(batch) == _PIECES_PER_SEND:
                await self._connection.send(b"".join(batch), more=True)
                batch.clear()
                self._produced_tokens = count_tokens(sent)
                await self._connection.pause(delay_ms)
        if batch:
            await self._connection.send(b"".join(batch), more=True)
        self._produced_tokens = count_tokens(reasoning) + count_tokens(content)

    def _settle_left(self) -> None:
        """The client, or the whole server, went away: bill what was produced, if a model was asked at all."""
        billed = self._model_asked
        status = 200 if self._connection.started else CLIENT_CLOSED_STATUS
        outcome = Billing.BILLED if billed else Billing.NOT_BILLED
        self._settle(status, outcome, finish="client_closed")

    def _settle(
        self, status: int, outcome: Billing, *, finish: str | None = None, code: str | None = None
    ) -> None:
        if self._settled:
            return
        self._settled = True
        gateway, request = self._gateway, self._request
        billed = outcome is Billing.BILLED and request is not None
        if self._admitted:
            gateway.admitted -= 1
        cost_picos = 0
        if request is not None and billed:
            gateway.cache.remember(self._blocks)
            cost_picos = MODELS[request.model].cost_picos(
                input_tokens=self._input_tokens,
                cached_tokens=self._cached_tokens,
                output_tokens=self._produced_tokens,
            )
        gateway.ledger.write(
            LedgerRow(
                request_id=self._request_id,
                at=self._arrived_at,
                model=None if request is None else request.model,
                key=gateway.key_name(sent_key(self._headers)),
                stream=self._stream,
                status=status,
                code=code,
                outcome=outcome,
                input_tokens=self._input_tokens if billed else 0,
                cached_tokens=self._cached_tokens if billed else 0,
                output_tokens=self._produced_tokens if billed else 0,
                cost_picos=cost_picos,
                finish=finish,
                messages_sha256=self._messages_sha256,
                wire_case=self._wire_case,
            )
        )


def _thought(request: ChatRequest) -> str:
    return _REASONING if request.wants_reasoning else ""


def _deltas(reasoning: str, content: str) -> Iterator[tuple[str, str]]:
    for piece in pieces(reasoning, _PIECE_CHARACTERS):
        yield "reasoning_content", piece
    for piece in pieces(content, _PIECE_CHARACTERS):
        yield "content", piece


def new_request_id() -> str:
    """A fresh id, for the answer and the `x-request-id` header."""
    return f"chatcmpl-{uuid.uuid4()}"


async def complete_chat(
    gateway: Gateway, scope: Scope, receive: Receive, send: Send, request_id: str
) -> None:
    """Serve one chat request."""
    await Exchange(gateway, scope, Connection(scope, receive, send), request_id).run()
