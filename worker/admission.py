"""What one call may take at most, held before it is sent: over its job's cap, its run's, and every budget."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from patchmill.budget.ledger import Fit, Room, affordable_output, fit, worst_case
from patchmill.budget.prices import Price, highest_rates, rates_at
from patchmill.budget.tokens import input_bound
from patchmill.call.request import ChatRequest, request_body
from patchmill.job.retry import NoRoom, without_room
from patchmill.store import ledger
from patchmill.store.budgets import prices_of
from patchmill.store.claims import Claim


class NoPrice(Exception):
    """No price is known for a model, and without a price no call is made."""


def admit(
    connection: Connection, claim: Claim, plan: ledger.CallPlan, largest: ChatRequest, *, floor_tokens: int
) -> ledger.AdmittedCall:
    """Hold the worst case of a request, with fewer tokens for the answer where only that fits.

    No fewer than `floor_tokens`, though, since a shorter answer would be of no use.

    Raises:
        NoPrice: the model has none, now or for a part of the time that the call may take.
        ledger.Refused: it does not fit even so.
        LostClaim: the job was taken from this worker.
        CancelRequested: somebody asked to stop the job.
    """
    prices = prices_of(connection, plan.model)
    entering = input_bound(
        len(request_body(largest)),
        len(plan.messages),
        largest.able,
        structured=largest.response_format is not None,
    )
    floor = min(floor_tokens, largest.max_tokens)
    return ledger.admit(
        connection,
        claim.job_id,
        claim.fence,
        plan,
        lambda rooms: _decide(
            rooms,
            prices=prices,
            entering=entering,
            wanted=largest.max_tokens,
            floor=floor,
            deadline_s=plan.deadline_s,
        ),
    )


def _decide(
    rooms: Sequence[Room],
    *,
    prices: Sequence[Price],
    entering: int,
    wanted: int,
    floor: int,
    deadline_s: float,
) -> ledger.Admission:
    now = datetime.now(UTC)
    highest = highest_rates(prices, now, now + timedelta(seconds=deadline_s))
    current = rates_at(prices, now)
    if highest is None or current is None:
        raise NoPrice
    output = affordable_output(entering, wanted, floor, highest, rooms)
    hold = worst_case(entering, output, highest)
    for room in rooms:
        blocked = fit(hold, room)
        if blocked is not Fit.FITS:
            raise ledger.Refused(without_room(_no_room(blocked, room, now)))
    return ledger.Admission(max_tokens=output, hold=hold, rates=current)


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
