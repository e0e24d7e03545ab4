"""What has happened on the wire in one call so far; readable at any moment, whatever ended it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from patchmill.call.body import BodyReader
from patchmill.call.clocks import Watch
from patchmill.call.reply import CallTimings
from patchmill.call.request import ChatRequest
from patchmill.call.stream import AnswerBuilder


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One request and what came of it; `ended` when the body was read as far as it matters."""

    request: ChatRequest
    body: bytes
    watch: Watch
    on_first_token: Callable[[], None] | None = None
    first_token_at: float | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = ""
    error_body: bytearray = field(default_factory=bytearray)
    reader: BodyReader = field(default_factory=BodyReader)
    ended: bool = False

    @property
    def sent(self) -> bool:
        """Whether any byte of the request may have left."""
        return self.watch.sent_at is not None

    @property
    def answer(self) -> AnswerBuilder:
        """The answer so far."""
        return self.reader.answer

    def timings(self, now: float) -> CallTimings:
        """Give the times so far; `now` is the loop's."""
        started_at, sent_at, first_at = self.watch.started_at, self.watch.sent_at, self.first_token_at
        return CallTimings(
            queue_ms=_ms((now if sent_at is None else sent_at) - started_at),
            first_token_ms=None if first_at is None else _ms(first_at - started_at),
            total_ms=_ms(now - started_at),
        )


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
