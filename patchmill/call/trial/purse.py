"""The money of a trial: a call's worst case must be left before it is sent, what it cost is counted after."""

from collections.abc import Mapping
from dataclasses import dataclass

from patchmill.budget.ledger import Spent, cost, worst_case
from patchmill.budget.prices import Rates
from patchmill.budget.tokens import input_bound
from patchmill.call.reply import Answered, CallOutcome, Rejected
from patchmill.call.request import ChatRequest, request_body


class CapReached(Exception):
    """A call's worst case is more than what is left, so it is not made."""


@dataclass(slots=True, kw_only=True)
class Purse:
    """What a trial may spend, and has spent, in pico-dollars; `rates` has each model with a price.

    `uncertain_picos` is the worst case of the calls that did not say what they cost, and `unpriced` counts
    the calls that were billed, or may be, at a price that nobody knows.
    """

    cap_picos: int
    rates: Mapping[str, Rates]
    spent_picos: int = 0
    uncertain_picos: int = 0
    calls: int = 0
    unpriced: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def check(self, request: ChatRequest) -> None:
        """Let a call be made.

        Raises:
            CapReached: its worst case is more than what is left.
        """
        most = self._worst(request, request.max_tokens)
        if most is not None and self.spent_picos + self.uncertain_picos + most > self.cap_picos:
            raise CapReached

    def settle(self, request: ChatRequest, outcome: CallOutcome) -> None:
        """Count what a call cost; one that was refused cost nothing."""
        self.calls += 1
        if isinstance(outcome, Rejected):
            return
        rates = self.rates.get(request.model)
        if rates is None:
            self.unpriced += 1
        usage = outcome.usage if isinstance(outcome, Answered) else None
        if usage is None:
            # An answer that came may be longer than was asked for; it has no more tokens than bytes.
            came = outcome.text if isinstance(outcome, Answered) else outcome.partial
            size = len((came + outcome.reasoning).encode("utf-8", "replace"))
            self.uncertain_picos += self._worst(request, max(request.max_tokens, size)) or 0
            return
        self.input_tokens += usage.input_tokens
        self.output_tokens += usage.output_tokens
        if rates is not None:
            spent = Spent(
                input_tokens=usage.input_tokens,
                cached_tokens=usage.cached_tokens,
                output_tokens=usage.output_tokens,
            )
            self.spent_picos += cost(spent, rates)

    def _worst(self, request: ChatRequest, output_tokens: int) -> int | None:
        rates = self.rates.get(request.model)
        if rates is None:
            return None
        size = len(request_body(request))
        entering = input_bound(size, len(request.messages), request.able, structured=request.structured)
        return worst_case(entering, output_tokens, rates).picos
