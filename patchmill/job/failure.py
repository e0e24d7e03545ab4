"""What ended a call that was not answered, as far as a decision about it needs to know."""

from dataclasses import dataclass
from enum import StrEnum


class FailureClass(StrEnum):
    """What kind of failure ended a call, as far as a decision needs to know."""

    CONCURRENCY = "concurrency"  # 429 concurrency_limit
    SPEND_CAP = "spend_cap"  # 429 for a spend cap; the header says until when
    SERVER = "server"  # 5xx
    CONNECT = "connect"  # no byte was sent
    NOT_SENT = "not_sent"  # given up by us before a byte was sent
    ACCOUNT = "account"  # 401, 402, 403: the account, not the request
    MODEL = "model"  # this model cannot be reached with this key
    CONTEXT_TOO_LONG = "context_too_long"
    REQUEST = "request"  # 400, 404, 413, 422: the same body fails the same way
    EMPTY = "empty"  # a complete answer without any text: billed
    PROTOCOL = "protocol"  # a complete answer that the protocol does not allow: billed
    INTERRUPTED = "interrupted"  # the model broke off for lack of resources: may be billed
    STALLED = "stalled"  # sent, and then nothing came for too long: may be billed
    BROKEN = "broken"  # sent, and then no complete answer: may be billed
    DEADLINE = "deadline"  # sent, and no complete answer in time: may be billed
    CANCELLED = "cancelled"  # given up by us while it ran: may be billed


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One failed call: its class, what went wrong, and the wait that the gateway asked for, in seconds.

    `quoted` says that the message is the gateway's, not ours.
    """

    failure: FailureClass
    message: str
    retry_after_s: float | None = None
    quoted: bool = False

    def told(self) -> str:
        """Give the message, with who said it where that was not us."""
        return gateway_said(self.message) if self.quoted else self.message


def gateway_said(message: str) -> str:
    """Write what the gateway said so that nobody takes it for our own words."""
    return f"the gateway said: {message}"
