"""Whether a call may be made now, how long its answer may become, and what is in the way if it may not.

A worker asks this before it holds money, and an estimate asks it without holding any.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from patchmill.budget.ledger import Amount, Fit, Room, affordable_output, fit, worst_case
from patchmill.budget.prices import Price, highest_rates, price_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """A call's size: the bound of its prompt, the answer that it wants, and the least that is of use."""

    input_tokens: int
    output_tokens: int
    floor_tokens: int
    deadline_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the call holds, the price that it is paid by, and the first room that it does not fit.

    `output_tokens` are as many as are wanted or, where only fewer fit, as many as do.
    """

    output_tokens: int
    hold: Amount
    price: Price
    blocked: Room | None
    fit: Fit


def answer(asking: Asking, prices: Sequence[Price], rooms: Sequence[Room], now: datetime) -> Answer | None:
    """Answer a call that asks for room; None without a price for all of the time that it may take."""
    highest = highest_rates(prices, now, now + timedelta(seconds=asking.deadline_s))
    price = price_at(prices, now)
    if highest is None or price is None:
        return None
    floor = min(asking.floor_tokens, asking.output_tokens)
    output = affordable_output(asking.input_tokens, asking.output_tokens, floor, highest, rooms)
    hold = worst_case(asking.input_tokens, output, highest)
    fits = ((room, fit(hold, room)) for room in rooms)
    blocked, how = next(((room, how) for room, how in fits if how is not Fit.FITS), (None, Fit.FITS))
    return Answer(output_tokens=output, hold=hold, price=price, blocked=blocked, fit=how)
