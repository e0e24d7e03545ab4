"""What the gateway billed beside what the ledger says, for one hour and one model.

The gateway files a call under some hour, and nobody says by which of its times. A call that was on the wire
near the border of an hour may therefore stand in either, and both are right.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from patchmill.budget.ledger import NOTHING, Amount, Spent, cost
from patchmill.budget.prices import PICOS_PER_USD, Rates

CREDIT_PICOS = PICOS_PER_USD // 1_000_000  # the gateway's unit: some count money in whole ones
HOUR = timedelta(hours=1)
COMPLETE_AFTER = timedelta(minutes=15)  # so long after its end an hour's use is taken for complete
_MOST_YEARS = timedelta(days=3650)


class Verdict(StrEnum):
    """How a difference is explained, from nothing to be explained to not at all."""

    EQUAL = "equal"
    BORDER = "border"  # by calls that were on the wire when the hour began or ended
    UNCERTAIN = "uncertain"  # by calls of which nobody knows whether they were billed
    TRIAL = "trial"  # by the calls of `patchmill doctor --gateway`, which are in no ledger
    OTHERS = "others"  # by others who use the account, which is not said to be Patchmill's alone
    DRIFT = "drift"


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """Calls, and what they used and cost."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    picos: int = 0

    @property
    def tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens

    def plus(self, other: "Use") -> "Use":
        """Add another's calls."""
        return Use(
            calls=self.calls + other.calls,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            picos=self.picos + other.picos,
        )

    def minus(self, other: "Use") -> "Use":
        """Give what this has more than another; below zero where it has less."""
        return Use(
            calls=self.calls - other.calls,
            input_tokens=self.input_tokens - other.input_tokens,
            output_tokens=self.output_tokens - other.output_tokens,
            picos=self.picos - other.picos,
        )

    def covers(self, other: "Use") -> bool:
        """Whether another is a part of this, as far as sums can tell."""
        rest = self.minus(other)
        return min(rest.calls, rest.input_tokens, rest.output_tokens) >= 0 and (
            rest.picos >= 0 or money_agrees(self, other.picos)
        )


NO_USE = Use()


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnUse:
    """What the ledger says of one model in one hour.

    `settled` are the calls that were sent in the hour. Of all settled calls `inside` can belong to no other
    hour, and `near` may. `doubtful_calls` are the uncertain ones that may belong to it, with their `doubt`;
    `uncertain_near` of them may belong to another. `on_the_wire` may still be settled in it.
    """

    settled: Use = NO_USE
    inside: Use = NO_USE
    near: Use = NO_USE
    uncertain_calls: int = 0  # sent in the hour, with their holds
    uncertain: Amount = NOTHING
    doubtful_calls: int = 0
    doubt: Amount = NOTHING
    uncertain_near: int = 0
    on_the_wire: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What the numbers of an hour show of its uncertain calls: none was billed, or the only one for this."""

    billed: Use | None


def money_agrees(theirs: Use, picos: int) -> bool:
    """Whether money is the same: to the pico-dollar, or to a credit a call where whole credits are told."""
    difference = abs(theirs.picos - picos)
    return difference == 0 or (
        theirs.picos % CREDIT_PICOS == 0 and difference <= CREDIT_PICOS * max(1, theirs.calls)
    )


def agrees(theirs: Use, ours: Use) -> bool:
    """Whether both say the same."""
    counts = theirs.minus(ours)
    same = counts.calls == counts.input_tokens == counts.output_tokens == 0
    return same and money_agrees(theirs, ours.picos)


def judge(theirs: Use, ours: OwnUse, *, alone: bool, tried: bool) -> Verdict:
    """Explain the difference; `alone`: nobody else uses the account, `tried`: a trial of ours may have."""
    if agrees(theirs, ours.settled) or agrees(theirs, ours.inside.plus(ours.near)):
        return Verdict.EQUAL
    if theirs.covers(ours.inside):
        if ours.near.calls and ours.inside.plus(ours.near).covers(theirs):
            return Verdict.BORDER
        if _doubt_explains(theirs, ours):
            return Verdict.UNCERTAIN
        if tried:
            return Verdict.TRIAL
        if not alone and theirs.calls > ours.inside.calls:
            return Verdict.OTHERS
    return Verdict.DRIFT


def _doubt_explains(theirs: Use, ours: OwnUse) -> bool:
    """Whether what is more than settled may be calls of which nobody knows: none costs more than its hold."""
    excess = theirs.minus(ours.inside)
    if not ours.doubtful_calls or not 1 <= excess.calls <= ours.near.calls + ours.doubtful_calls:
        return False
    most = ours.near.picos + ours.doubt.picos
    return excess.tokens <= ours.near.tokens + ours.doubt.tokens and (
        excess.picos <= most or money_agrees(theirs, ours.inside.picos + most)
    )


def prove(theirs: Use, ours: OwnUse, verdict: Verdict, rates: Rates) -> Proof | None:
    """Say what became of the uncertain calls, if the numbers leave one explanation alone; else None.

    `rates` are those that one of them was to be billed at. The account must be Patchmill's alone.
    """
    if not ours.uncertain_calls or ours.near.calls or ours.uncertain_near or ours.on_the_wire:
        return None
    if verdict is Verdict.EQUAL:
        return Proof(billed=None)
    excess = theirs.minus(ours.settled)
    if verdict is not Verdict.UNCERTAIN or (ours.uncertain_calls, excess.calls) != (1, 1):
        return None
    # Otherwise not all of the excess is this call's: a price has changed, for example.
    return Proof(billed=excess) if _may_cost(excess, rates) else None


def _may_cost(use: Use, rates: Rates) -> bool:
    """Whether so many tokens cost this at these rates, with some of the input from the cache or none."""
    entering, leaving = use.input_tokens, use.output_tokens
    bounds = [
        cost(Spent(input_tokens=entering, cached_tokens=cached, output_tokens=leaving), rates)
        for cached in (0, entering)
    ]
    return min(bounds) - CREDIT_PICOS < use.picos < max(bounds) + CREDIT_PICOS


def whole_hours(since: datetime, now: datetime, *, back: timedelta) -> list[datetime]:
    """Give the hours that began after `since` and are complete by now, those of the last `back`."""
    ends = hour_of(now - COMPLETE_AFTER)
    first = max(ends - back, hour_of(since + HOUR - timedelta(microseconds=1)))
    return [first + number * HOUR for number in range(int((ends - first) / HOUR))]


def hour_of(at: datetime) -> datetime:
    """Give the beginning of the hour that an instant lies in."""
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def exhausted_at(
    available_picos: int, spent_picos: int, *, over: timedelta, now: datetime
) -> datetime | None:
    """Say when a balance is used up if money goes on to be spent as it lately was; None if it is not."""
    if spent_picos <= 0:
        return None
    seconds = max(0, available_picos) * int(over.total_seconds()) // spent_picos
    return now + timedelta(seconds=seconds) if seconds <= _MOST_YEARS.total_seconds() else None
