"""Playing a wire case to one request: its steps as raw bytes, its ending, and its bill."""

import asyncio
from dataclasses import dataclass

from patchmill.dev.standin.chat.answering import content_for, cut_choice
from patchmill.dev.standin.chat.request import ChatRequest
from patchmill.dev.standin.chat.row_in_progress import RowInProgress
from patchmill.dev.standin.chat.wire import UsageReport
from patchmill.dev.standin.connection import Connection
from patchmill.dev.standin.delays import draw
from patchmill.dev.standin.gateway import Gateway
from patchmill.dev.standin.tokens import BYTES_PER_TOKEN, count_tokens
from patchmill.dev.standin.wire_cases.case import Billed, Ending, WireCase
from patchmill.dev.standin.wire_cases.reply import Pause, Reply


@dataclass(kw_only=True)
class Play:
    """One case on its way to one client; `said` is the output that the client has been given."""

    gateway: Gateway
    connection: Connection
    row: RowInProgress
    case: WireCase
    request: ChatRequest
    max_tokens: int
    created: int
    said: str = ""

    async def run(self) -> None:
        """Play the case; ends with ClientLeft, once the connection is no more."""
        gateway, connection, row, case = self.gateway, self.connection, self.row, self.case
        row.wire_case = case.name
        row.model_asked = case.billed
        scripted = gateway.behaviour.take_answer(self.request.prompt) if case.answers else ""
        await connection.pause(draw(gateway.behaviour.latency_ms, gateway.chance))
        reply = await self._reply(scripted if case.says is None else case.says)
        if not case.billed and case.status == 200:  # noqa: PLR2004 - HTTP
            row.spoil("stream_error")
        elif not case.billed:
            row.refuse(case.status, case.code)
        await self._steps(reply)
        if case.ending is not Ending.STALL:
            self._bill(reply)
            (connection.raw.reset if case.ending is Ending.RESET else connection.raw.close)()
        await connection.until_left()

    async def _steps(self, reply: Reply) -> None:
        connection = self.connection
        for step in self.case.steps(reply):
            if isinstance(step, Pause):
                await connection.pause(step.ms)
                continue
            # A client that left is noticed between two writes only if the loop gets its turn.
            await asyncio.sleep(0)
            connection.check()
            connection.started = connection.started or bool(step.data)
            await connection.raw.write(step.data)
            self._tell(step.text, reply)

    def _tell(self, text: str, reply: Reply) -> None:
        """Count the output that the client has been given with the last bytes."""
        self.said += text
        if self.case.usage is not Billed.ZERO:
            self.row.output_tokens = count_tokens(self.said)
        whole = len(self.said) >= len(reply.reasoning) + len(reply.content)
        # Billed as soon as all is told: whoever has read the end finds the row in the ledger.
        if whole and self.case.usage is not Billed.PRODUCED:
            self._bill(reply)

    def _bill(self, reply: Reply) -> None:
        if self.case.usage in {Billed.WHOLE, Billed.UNCACHED}:
            self.row.output_tokens = reply.usage.output_tokens
        self.row.bill(reply.finish if self.case.ending is Ending.END else "truncated")

    async def _reply(self, scripted: str | None) -> Reply:
        """What the case is about: the answer, its usage, and the gateway's headers."""
        row, case = self.row, self.case
        row.read_cache(self.request)
        if case.usage is Billed.UNCACHED:
            row.cached_tokens = 0
        text = await content_for(self.request, self.gateway.options.player) if scripted is None else scripted
        choice = cut_choice(text, reasoning=case.thinks, max_tokens=self.max_tokens)
        content = choice.content
        if case.overruns:
            content += "." * ((self.max_tokens + 1) * BYTES_PER_TOKEN)
        reply = Reply(
            request_id=row.request_id,
            created=self.created,
            model=self.request.model,
            content=content,
            reasoning=choice.reasoning,
            finish=choice.finish,
            usage=UsageReport(
                input_tokens=row.input_tokens,
                cached_tokens=row.cached_tokens,
                output_tokens=choice.reasoning_tokens + count_tokens(content),
                reasoning_tokens=choice.reasoning_tokens,
            ),
            max_tokens=self.max_tokens,
            stream=row.stream,
            headers=(*self.gateway.quota_headers(row.key).items(), ("X-Request-Id", row.request_id)),
        )
        if case.usage is Billed.ZERO:
            row.input_tokens = row.cached_tokens = 0
        return reply
