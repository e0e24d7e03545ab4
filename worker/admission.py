"""What one call may take at most, held before it is sent: over its job's cap, its run's, and every budget."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine

from patchmill.budget.ledger import Fit, Room, affordable_output, fit, worst_case
from patchmill.budget.prices import highest_rates, price_at
from patchmill.budget.tokens import input_bound
from patchmill.call.request import ChatRequest, request_body
from patchmill.job.retry import NoRoom, in_a_crowd, without_room
from patchmill.store import ledger
from patchmill.store.claims import Claim
from patchmill.store.engine import one_by_one
from patchmill.store.price_lists import PriceList
from worker.price_lists import PriceLists

PRICE_READS = 4  # for one call: a list may change while a hold is made with it


class NoPrice(Exception):
    """No price is known for a model, and without a price no call is made."""


def admit(
    engine: Engine,
    claim: Claim,
    plan: ledger.CallPlan,
    largest: ChatRequest,
    *,
    floor_tokens: int,
    prices: PriceLists,
) -> ledger.AdmittedCall:
    """Hold the worst case of a request, with fewer tokens for the answer where only that fits.

    No fewer than `floor_tokens`, though, since a shorter answer would be of no use.

    Raises:
        NoPrice: the model has none, now or for a part of the time that the call may take.
        ledger.Refused: it does not fit even so.
        LostClaim: the job was taken from this worker.
        CancelRequested: somebody asked to stop the job.
    """
    asking = _Asking(
        entering=input_bound(
            len(request_body(largest)),
            len(plan.messages),
            largest.able,
            structured=largest.response_format is not None,
        ),
        wanted=largest.max_tokens,
        floor=min(floor_tokens, largest.max_tokens),
        deadline_s=plan.deadline_s,
    )
    known = prices.known(plan.model)
    if known is not None:
        try:
            return _hold(engine, claim, plan, asking, known)
        except (NoPrice, ledger.PricesChanged):
            pass  # it may be of old
    for _ in range(PRICE_READS):
        try:
            return _hold(engine, claim, plan, asking, prices.read(plan.model))
        except ledger.PricesChanged:
            continue
    raise ledger.Refused(in_a_crowd())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asking:
    """The size of a request: the bound of its prompt, the answer that it wants, and the least of use."""

    entering: int
    wanted: int
    floor: int
    deadline_s: float


def _hold(
    engine: Engine, claim: Claim, plan: ledger.CallPlan, asking: _Asking, prices: PriceList
) -> ledger.AdmittedCall:
    with one_by_one(engine) as connection:
        return ledger.admit(
            connection, claim.job_id, claim.fence, plan, lambda rooms: _decide(rooms, asking, prices)
        )


def _decide(rooms: Sequence[Room], asking: _Asking, prices: PriceList) -> ledger.Admission:
    now = datetime.now(UTC)
    highest = highest_rates(prices.rows, now, now + timedelta(seconds=asking.deadline_s))
    current = price_at(prices.rows, now)
    if highest is None or current is None:
        raise NoPrice
    output = affordable_output(asking.entering, asking.wanted, asking.floor, highest, rooms)
    hold = worst_case(asking.entering, output, highest)
    for room in rooms:
        blocked = fit(hold, room)
        if blocked is not Fit.FITS:
            raise ledger.Refused(without_room(_no_room(blocked, room, now)))
    return ledger.Admission(
        max_tokens=output,
        hold=hold,
        rates=current.rates,
        price_id=current.id,
        price_mark=prices.mark,
    )


def _no_room(blocked: Fit, room: Room, now: datetime) -> NoRoom:
    resets_at = room.resets_at
    return NoRoom(
        budget=room.budget,
        only_held=blocked is Fit.WAIT,
        over=blocked is Fit.OVER,
        waits=room.waits,
        resets_in_s=None if resets_at is None else (resets_at - now).total_seconds(),
        resets_at=None if resets_at is None else resets_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
    )
