"""What one call may take at most, held before it is sent: over its job's cap, its run's, and every budget."""

from collections.abc import Sequence
from datetime import UTC

from sqlalchemy import Engine

from patchmill.budget.admission import Asking, answer
from patchmill.budget.ledger import Amount, Fit, Room, shortfall
from patchmill.budget.prices import MAX_PICOS
from patchmill.budget.tokens import input_bound
from patchmill.call.request import ChatRequest, request_body
from patchmill.job.retry import NoRoom, beyond_counting, in_a_crowd, without_room
from patchmill.store import ledger, shared_time
from patchmill.store.claims import Claim
from patchmill.store.engine import one_by_one
from patchmill.store.prices import PriceList
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
    asking = Asking(
        input_tokens=input_bound(
            len(request_body(largest)),
            len(plan.messages),
            largest.able,
            structured=largest.structured,
        ),
        output_tokens=largest.max_tokens,
        floor_tokens=floor_tokens,
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


def _hold(
    engine: Engine, claim: Claim, plan: ledger.CallPlan, asking: Asking, prices: PriceList
) -> ledger.AdmittedCall:
    with one_by_one(engine) as connection:
        return ledger.admit(
            connection, claim.job_id, claim.fence, plan, lambda rooms: _decide(rooms, asking, prices)
        )


def _decide(rooms: Sequence[Room], asking: Asking, prices: PriceList) -> ledger.Admission:
    now = shared_time.now()
    found = answer(asking, prices.rows, rooms, now)
    if found is None:
        raise NoPrice
    if found.hold.picos > MAX_PICOS:
        raise ledger.Refused(beyond_counting())
    if found.blocked is not None:
        raise ledger.Refused(without_room(_no_room(found.hold, found.fit, found.blocked)))
    return ledger.Admission(
        max_tokens=found.output_tokens,
        hold=found.hold,
        rates=found.price.rates,
        price_id=found.price.id,
        price_mark=prices.mark,
    )


def _no_room(hold: Amount, blocked: Fit, room: Room) -> NoRoom:
    resets_at = room.resets_at
    return NoRoom(
        budget=room.budget,
        name=room.name,
        only_held=blocked is Fit.WAIT,
        over=blocked is Fit.OVER,
        waits=room.waits,
        resets_in_s=room.resets_in_s,
        resets_at=None if resets_at is None else resets_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        shortfall=shortfall(hold, room),
        tokens=hold.tokens,
        picos=hold.picos,
    )
