"""Whether a call would be admitted now, and by what it is blocked if not: admission without a hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from patchmill.budget.ledger import Amount, Fit, Room, affordable_output, fit, worst_case
from patchmill.budget.prices import Price, highest_rates, rates_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A call that is asked about: its prompt's bound, and how long its answer shall and must be."""

    prices: Sequence[Price]
    input_tokens: int
    output_tokens: int
    floor_tokens: int
    deadline_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What would be held, and the first room that it does not fit, with what would make it fit."""

    hold: Amount
    blocked: Room | None
    answer: Fit


def standing(wanted: Wanted, rooms: Sequence[Room], now: datetime) -> Standing | None:
    """Say what the admission of a call would answer at this moment; None without a price."""
    highest = highest_rates(wanted.prices, now, now + timedelta(seconds=wanted.deadline_s))
    if highest is None or rates_at(wanted.prices, now) is None:
        return None
    floor = min(wanted.floor_tokens, wanted.output_tokens)
    output = affordable_output(wanted.input_tokens, wanted.output_tokens, floor, highest, rooms)
    hold = worst_case(wanted.input_tokens, output, highest)
    for room in rooms:
        answer = fit(hold, room)
        if answer is not Fit.FITS:
            return Standing(hold=hold, blocked=room, answer=answer)
    return Standing(hold=hold, blocked=None, answer=Fit.FITS)
