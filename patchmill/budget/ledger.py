"""Hold, send, settle: how much a call may take, whether it fits, and what it took in the end.

The accounts of one movement are `available`, `held`, `settled`, `uncertain` and `overrun`; a transfer
moves tokens and pico-dollars from one to another and is never changed afterwards.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from patchmill.budget.models import ModelCapability
from patchmill.budget.prices import Rates, to_usd
from patchmill.budget.tokens import input_bound


class Account(StrEnum):
    """Where money is."""

    AVAILABLE = "available"
    HELD = "held"
    SETTLED = "settled"
    UNCERTAIN = "uncertain"
    OVERRUN = "overrun"  # more than the hold: the operator's, never the budget's


class Phase(StrEnum):
    """Which step of a call a transfer belongs to; each happens at most once a call."""

    HOLD = "hold"
    POST = "post"
    RELEASE = "release"
    SUSPEND = "suspend"
    OVERRUN = "overrun"


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """Tokens and pico-dollars."""

    tokens: int
    picos: int

    def plus(self, other: "Amount") -> "Amount":
        """Add another amount."""
        return Amount(tokens=self.tokens + other.tokens, picos=self.picos + other.picos)

    def minus(self, other: "Amount") -> "Amount":
        """Give what this is more than another amount."""
        return Amount(tokens=self.tokens - other.tokens, picos=self.picos - other.picos)


NOTHING = Amount(tokens=0, picos=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """One movement from the account that gives to the account that takes."""

    phase: Phase
    debit: Account
    credit: Account
    amount: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a gateway reported: `cached` is a part of `input_tokens`.

    `picos` is what it cost, where that is known otherwise than by the rates.
    """

    input_tokens: int
    cached_tokens: int
    output_tokens: int
    picos: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """One scope's state: its caps (None: unlimited), and what is settled, held and uncertain."""

    cap_tokens: int | None
    cap_picos: int | None
    settled: Amount = NOTHING
    held: Amount = NOTHING
    uncertain: Amount = NOTHING
    resets_at: datetime | None = None
    waits: bool = False  # the policy at the limit: wait for the next window, or fail
    budget: str | None = None  # whose it is: `bud_…`, or `run_…` for a run's cap; None: the job's own cap
    name: str = "max_cost_usd of the job"  # the same, as people know it
    resets_in_s: float | None = None  # by the clock that begins windows; whoever decides may have another

    @property
    def used(self) -> Amount:
        """What is spoken for."""
        return self.settled.plus(self.held).plus(self.uncertain)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a call was admitted on, which never changes: its hold, and the rates that it is paid by."""

    model: str
    hold: Amount
    rates: Rates

    def used(self, spent: Spent | None) -> Amount:
        """Give what was used, nothing where that is not known."""
        if spent is None:
            return NOTHING
        return Amount(tokens=spent.input_tokens + spent.output_tokens, picos=cost(spent, self.rates))

    def overran(self, spent: Spent | None) -> bool:
        """Say whether more was used than held."""
        used = self.used(spent)
        return used.tokens > self.hold.tokens or used.picos > self.hold.picos


def name_of_budget(name: str, scope: str, window: str) -> str:
    """Name a budget by what people know of it: its name, whose spending it limits, and in which window."""
    return f"the budget `{name}` ({scope}, {window})"


class Fit(StrEnum):
    """Whether a hold fits a scope, and if not, what would make it fit."""

    FITS = "fits"
    WAIT = "wait"  # once what is held has settled
    EXHAUSTED = "exhausted"  # once the window ends
    OVER = "over"  # never: the limit itself is smaller


def worst_case(input_tokens: int, output_tokens: int, rates: Rates) -> Amount:
    """Bound a call from above: every input token at the dearer input rate, every output token used."""
    input_picos = max(rates.input_picos, rates.cached_picos)
    return Amount(
        tokens=input_tokens + output_tokens,
        picos=input_tokens * input_picos + output_tokens * rates.output_picos,
    )


def cost(spent: Spent, rates: Rates) -> int:
    """Price what was used, in pico-dollars."""
    if spent.picos is not None:
        return spent.picos
    fresh = spent.input_tokens - spent.cached_tokens
    return (
        fresh * rates.input_picos
        + spent.cached_tokens * rates.cached_picos
        + spent.output_tokens * rates.output_picos
    )


def fit(hold: Amount, room: Room) -> Fit:
    """Say whether the hold fits; `OVER` compares with the limit, never with what is held."""
    return max(
        _fit_axis(hold.tokens, room.cap_tokens, room.settled.tokens, room.held.tokens, room.uncertain.tokens),
        _fit_axis(hold.picos, room.cap_picos, room.settled.picos, room.held.picos, room.uncertain.picos),
        key=list(Fit).index,
    )


def _fit_axis(hold: int, cap: int | None, settled: int, held: int, uncertain: int) -> Fit:
    if cap is None or settled + held + uncertain + hold <= cap:
        return Fit.FITS
    if hold > cap:
        return Fit.OVER
    return Fit.WAIT if settled + uncertain + hold <= cap else Fit.EXHAUSTED


def shortfall(hold: Amount, room: Room) -> str:
    """Say what a hold that does not fit may take, and what the scope has left of its limit."""
    settled, held, uncertain = room.settled, room.held, room.uncertain
    money = _fit_axis(hold.picos, room.cap_picos, settled.picos, held.picos, uncertain.picos)
    if room.cap_picos is not None and money is fit(hold, room):
        left = max(0, room.cap_picos - settled.picos - held.picos - uncertain.picos)
        return f"it may cost ${to_usd(hold.picos)}, and ${to_usd(left)} of ${to_usd(room.cap_picos)} is left"
    cap = room.cap_tokens or 0
    left = max(0, cap - settled.tokens - held.tokens - uncertain.tokens)
    return f"it may take {hold.tokens:,} tokens, and {left:,} of {cap:,} are left"


def affordable_output(input_tokens: int, wanted: int, floor: int, rates: Rates, rooms: Iterable[Room]) -> int:
    """Give the largest `max_tokens` of at most `wanted` whose hold fits every room, or `floor`.

    A smaller request is better than a wait; what does not fit even at the floor is for `fit` to answer.
    """
    output = wanted
    empty = worst_case(input_tokens, 0, rates)
    for room in rooms:
        if room.cap_tokens is not None:
            output = min(output, room.cap_tokens - room.used.tokens - empty.tokens)
        if room.cap_picos is not None and rates.output_picos > 0:
            left = room.cap_picos - room.used.picos - empty.picos
            output = min(output, left // rates.output_picos)
    return max(output, min(floor, wanted))


def smallest_hold(prompt_bytes: int, floor: int, limits: ModelCapability, rates: Rates) -> Amount:
    """The hold of a prompt with no file in it and the smallest useful answer: less admits nothing."""
    return worst_case(input_bound(prompt_bytes, 2, limits), floor, rates)


def settled(hold: Amount, used: Amount, source: Account) -> tuple[Transfer, ...]:
    """Post what was used and release the rest from `held`, or from `uncertain` once evidence arrives.

    What exceeds the hold becomes overrun: it is recorded, and no budget bears it.
    """
    posted = Amount(tokens=min(used.tokens, hold.tokens), picos=min(used.picos, hold.picos))
    rest, over = hold.minus(posted), used.minus(posted)
    transfers = [Transfer(phase=Phase.POST, debit=source, credit=Account.SETTLED, amount=posted)]
    if rest != NOTHING:
        transfers.append(Transfer(phase=Phase.RELEASE, debit=source, credit=Account.AVAILABLE, amount=rest))
    if over != NOTHING:
        transfers.append(
            Transfer(phase=Phase.OVERRUN, debit=Account.OVERRUN, credit=Account.SETTLED, amount=over)
        )
    return tuple(transfers)


def voided(hold: Amount, source: Account) -> tuple[Transfer, ...]:
    """Release a hold whose request was not billed."""
    return (Transfer(phase=Phase.RELEASE, debit=source, credit=Account.AVAILABLE, amount=hold),)


def suspended(hold: Amount) -> tuple[Transfer, ...]:
    """Keep a hold against the cap whose request may have been billed; time alone never frees it."""
    return (Transfer(phase=Phase.SUSPEND, debit=Account.HELD, credit=Account.UNCERTAIN, amount=hold),)
