"""Sending an answer: as one document, or as a stream of events."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from patchmill.dev.standin.behaviour import StreamedUsage
from patchmill.dev.standin.chat import wire
from patchmill.dev.standin.chat.answering import Choice
from patchmill.dev.standin.chat.request import ChatRequest
from patchmill.dev.standin.chat.row_in_progress import RowInProgress
from patchmill.dev.standin.chat.tool_calls import ToolCall
from patchmill.dev.standin.connection import Connection
from patchmill.dev.standin.delays import draw
from patchmill.dev.standin.faults import FaultKind
from patchmill.dev.standin.gateway import Gateway
from patchmill.dev.standin.refusal import Refusal, error_envelope
from patchmill.dev.standin.tokens import count_tokens, pieces

_PIECE_CHARACTERS = 16
_PIECES_PER_SEND = 16
EVENT_STREAM = "text/event-stream; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """One answer on its way to the client; the row says what is billed for it."""

    gateway: Gateway
    connection: Connection
    row: RowInProgress
    envelope: wire.Envelope

    async def plain(self, choices: Sequence[Choice], fault: FaultKind | None) -> None:
        """Send one document."""
        await self._pause_before_first_token()
        if fault is FaultKind.STREAM_ERROR:
            raise Refusal(status=500, code="internal_error", message="The answer broke off.")
        usage = self._usage(choices)
        body = self.envelope.plain(
            [_message(choice) for choice in choices], [choice.finish for choice in choices], usage
        )
        self.row.output_tokens = usage.output_tokens
        if fault is FaultKind.TRUNCATE:
            self.row.bill("truncated")
            await self.connection.start(200, "application/json", {"content-length": str(len(body))})
            # Returning before the promised length makes the server close the connection.
            await self.connection.send(body[: len(body) // 2], more=True)
            return
        self.row.bill(choices[0].finish)
        await self.connection.respond(200, body)

    async def streamed(
        self, request: ChatRequest, choices: Sequence[Choice], fault: FaultKind | None
    ) -> None:
        """Send a stream of events."""
        await self.connection.start(200, EVENT_STREAM, {"cache-control": "no-cache"})
        await self._pause_before_first_token()
        said = [_half(choice) for choice in choices] if _breaks(fault) else choices
        for index, choice in enumerate(said):
            await self._send_choice(index, choice)
        if fault is FaultKind.TRUNCATE:
            self.row.bill("truncated")
            return
        if fault is FaultKind.STREAM_ERROR:
            self.row.spoil("stream_error")
            error = error_envelope(500, "internal_error", "The answer broke off.")
            await self.connection.send(wire.error_frame(error), more=False)
            return
        last = self._last_frames(request, choices)
        # Settled before the last bytes: whoever has read them finds the row in the ledger.
        self.row.bill(choices[0].finish)
        await self.connection.send(last + wire.DONE, more=False)

    def _last_frames(self, request: ChatRequest, choices: Sequence[Choice]) -> bytes:
        when: StreamedUsage = self.gateway.behaviour.odd.streamed_usage
        asked = request.wants_usage_frame if when == "asked" else when == "always"
        usage = self._usage(choices)
        frames = [
            self.envelope.delta_frame(
                {},
                choice.finish,
                index=index,
                usage=usage if when == "on_finish" and index == len(choices) - 1 else None,
            )
            for index, choice in enumerate(choices)
        ]
        if asked:
            frames.append(self.envelope.usage_frame(usage))
        return b"".join(frames)

    async def _pause_before_first_token(self) -> None:
        gateway = self.gateway
        await self.connection.pause(draw(gateway.behaviour.first_token_ms, gateway.chance))

    async def _send_choice(self, index: int, choice: Choice) -> None:
        """Send one choice piece by piece; the row keeps up with what the client has been given."""
        gateway, connection = self.gateway, self.connection
        before = self.row.output_tokens
        opening: dict[str, object] = {"role": "assistant", "content": None if choice.calls else ""}
        await connection.send(self.envelope.delta_frame(opening, index=index), more=True)
        slow = gateway.behaviour.chunk_delay_ms != 0
        batch: list[bytes] = []
        sent = ""
        for delta, piece in _deltas(choice):
            batch.append(self.envelope.delta_frame(delta, index=index))
            sent += piece
            if slow or len(batch) == _PIECES_PER_SEND:
                await connection.send(b"".join(batch), more=True)
                batch.clear()
                self.row.output_tokens = before + count_tokens(sent)
                await connection.pause(draw(gateway.behaviour.chunk_delay_ms, gateway.chance))
        if batch:
            await connection.send(b"".join(batch), more=True)
        self.row.output_tokens = before + choice.output_tokens

    def _usage(self, choices: Sequence[Choice]) -> wire.UsageReport:
        return wire.UsageReport(
            input_tokens=self.row.input_tokens,
            cached_tokens=self.row.cached_tokens,
            output_tokens=sum(choice.output_tokens for choice in choices),
            reasoning_tokens=sum(choice.reasoning_tokens for choice in choices),
        )


def _breaks(fault: FaultKind | None) -> bool:
    return fault in {FaultKind.TRUNCATE, FaultKind.STREAM_ERROR}


def _half(choice: Choice) -> Choice:
    content = choice.content[: len(choice.content) // 2]
    calls = tuple(
        ToolCall(call_id=call.call_id, name=call.name, arguments=call.arguments[: len(call.arguments) // 2])
        for call in choice.calls
    )
    return Choice(reasoning=choice.reasoning, content=content, calls=calls, finish=choice.finish)


def _message(choice: Choice) -> dict[str, object]:
    message: dict[str, object] = {"role": "assistant", "content": choice.content}
    if choice.calls:
        message = {
            "role": "assistant",
            "content": None,
            "tool_calls": [call.document() for call in choice.calls],
        }
    if choice.reasoning:
        message["reasoning_content"] = choice.reasoning
    return message


def _deltas(choice: Choice) -> Iterator[tuple[dict[str, object], str]]:
    for piece in pieces(choice.reasoning, _PIECE_CHARACTERS):
        yield {"reasoning_content": piece}, piece
    for piece in pieces(choice.content, _PIECE_CHARACTERS):
        yield {"content": piece}, piece
    for index, call in enumerate(choice.calls):
        opening = {**call.document(), "function": {"name": call.name, "arguments": ""}}
        yield {"tool_calls": [{"index": index, **opening}]}, call.name
        for piece in pieces(call.arguments, _PIECE_CHARACTERS):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}, piece
