"""What a wire case is: the bytes that a server sends, how it ends, and what was billed."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from patchmill.dev.standin.wire_cases.reply import Reply, Step


class Ending(StrEnum):
    """What happens to the connection after the last step.

    `end` and `cut` close it in good order, `end` after a response that is complete by HTTP's framing, `cut`
    before; `reset` drops it with a TCP reset; `stall` sends nothing more until the client leaves.
    """

    END = "end"
    CUT = "cut"
    RESET = "reset"
    STALL = "stall"


class Mode(StrEnum):
    """The requests that a case can be played to: those for a stream, those for a plain answer, or both."""

    STREAM = "stream"
    PLAIN = "plain"
    ANY = "any"


class Billed(StrEnum):
    """The truth about the money.

    `whole`: input and the whole output. `uncached`: the same, with no input read from the cache. `produced`:
    input, and the output sent before the connection ended. `zero`: a call is counted, of no tokens.
    `nothing`: no call is counted. A client that leaves early pays for no more than what was sent by then.
    """

    NOTHING = "nothing"
    ZERO = "zero"
    PRODUCED = "produced"
    WHOLE = "whole"
    UNCACHED = "uncached"


@dataclass(frozen=True, slots=True, kw_only=True)
class WireCase:
    """One behaviour of a server on the wire.

    `summary` says what the server does. `steps` makes the bytes and pauses for one request. `answers` is
    false where no model is asked, so that a scripted answer is kept for the next request. `says` takes the
    place of the model's answer, `thinks` is reasoning before it, and `overruns` lengthens the answer past
    `max_tokens`.
    """

    name: str
    summary: str
    steps: Callable[[Reply], Iterable[Step]]
    usage: Billed = Billed.WHOLE
    ending: Ending = Ending.END
    mode: Mode = Mode.STREAM
    status: int = 200
    code: str | None = None
    answers: bool = True
    says: str | None = None
    thinks: str = ""
    overruns: bool = False

    @property
    def row(self) -> str:
        """The row of the case, such as `S6`: H of HTTP, S of the event stream, C of its chunks."""
        return self.name.partition("_")[0]

    @property
    def billed(self) -> bool:
        """Whether the gateway counts a call."""
        return self.usage is not Billed.NOTHING

    def fits(self, *, stream: bool) -> bool:
        """Whether it can be played to a request that asks for a stream, or does not."""
        return self.mode is Mode.ANY or (self.mode is Mode.STREAM) is stream
