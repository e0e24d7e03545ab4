"""What a call must fit in besides its job's own cap: its run's cap, and the windows of budgets.

Windows are made on demand, locked by id, and counted after each transfer.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Connection,
    DateTime,
    RowMapping,
    Text,
    Uuid,
    bindparam,
    cast,
    column,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from patchmill.budget.ledger import Account, Amount, Room, Transfer
from patchmill.budget.windows import bounds
from patchmill.store.budgets import BudgetRow, budgets_over
from patchmill.store.ids import new_id, to_edge
from patchmill.store.tables import call_windows, jobs, runs, windows

_COUNTERS = {Account.HELD: "held", Account.SETTLED: "settled", Account.UNCERTAIN: "uncertain"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopedRoom:
    """A budget's current window, locked, and the room in it."""

    window_id: uuid.UUID
    budget: BudgetRow
    room: Room


RUN_CAP_LOCK = 0x72756E  # the first half of an advisory lock; the second is a hash of the run's id

_CAP_OF_RUN = select(runs.c.max_cost_picos).where(runs.c.id == bindparam("run_id"))
_ADMIT_ALONE = select(
    func.pg_advisory_xact_lock(RUN_CAP_LOCK, func.hashtext(bindparam("run_name", type_=Text)))
)
_SPENT_IN_RUN = select(
    *(
        cast(func.coalesce(func.sum(jobs.c[name]), 0), BigInteger).label(name)
        for name in ("cost_picos", "held_picos", "uncertain_picos")
    )
).where(jobs.c.run_id == bindparam("run_id"))


def room_of_run(connection: Connection, run_id: uuid.UUID) -> Room | None:
    """Give the room that a run's own cap leaves, or None without a cap.

    Until the transaction ends no other call of this run is admitted: each sees the holds of those before it.
    It is not the run's row that is locked, which comes after the windows in the order of locks.
    """
    cap = connection.scalar(_CAP_OF_RUN, {"run_id": run_id})
    if cap is None:
        return None
    connection.execute(_ADMIT_ALONE, {"run_name": run_id.hex})
    spent = connection.execute(_SPENT_IN_RUN, {"run_id": run_id}).one()
    return Room(
        cap_tokens=None,
        cap_picos=cap,
        settled=Amount(tokens=0, picos=spent.cost_picos),
        held=Amount(tokens=0, picos=spent.held_picos),
        uncertain=Amount(tokens=0, picos=spent.uncertain_picos),
        resets_at=None,
        waits=False,
        budget=to_edge("run", run_id),
    )


_NOW = select(func.now())
_MAKE_MISSING = upsert(windows).on_conflict_do_nothing()
_CURRENT = (
    func.unnest(
        bindparam("budget_ids", type_=ARRAY(Uuid)), bindparam("starts", type_=ARRAY(DateTime(timezone=True)))
    )
    .table_valued(column("budget_id", Uuid), column("starts_at", DateTime(timezone=True)), name="current")
    .render_derived()
)
_LOCK_CURRENT = (
    select(windows)
    .join(
        _CURRENT,
        (windows.c.budget_id == _CURRENT.c.budget_id) & (windows.c.starts_at == _CURRENT.c.starts_at),
    )
    .order_by(windows.c.id)
    .with_for_update(of=windows, key_share=True)
)


def lock_rooms(connection: Connection, project_id: uuid.UUID, key_id: uuid.UUID | None) -> list[ScopedRoom]:
    """Lock the current window of every budget over a project and key, by id; missing ones are made."""
    found = budgets_over(connection, project_id, key_id)
    if not found:
        return []
    now: datetime = connection.scalars(_NOW).one()
    spans = {budget.id: bounds(budget.window, budget.time_zone, now) for budget in found}
    fresh = [
        {
            "id": new_id(),
            "budget_id": budget.id,
            "starts_at": spans[budget.id].starts_at,
            "resets_at": spans[budget.id].resets_at,
            "cap_picos": budget.limit_picos,
            "cap_tokens": budget.limit_tokens,
        }
        for budget in found
    ]
    connection.execute(_MAKE_MISSING, fresh)
    current = {
        "budget_ids": [budget.id for budget in found],
        "starts": [spans[budget.id].starts_at for budget in found],
    }
    rows = connection.execute(_LOCK_CURRENT, current).mappings()
    budgets = {budget.id: budget for budget in found}
    return [_scoped(budgets[row["budget_id"]], row) for row in rows]


def _scoped(budget: BudgetRow, row: RowMapping) -> ScopedRoom:
    room = Room(
        cap_tokens=budget.limit_tokens,
        cap_picos=budget.limit_picos,
        settled=Amount(tokens=row["settled_tokens"], picos=row["settled_picos"]),
        held=Amount(tokens=row["held_tokens"], picos=row["held_picos"]),
        uncertain=Amount(tokens=row["uncertain_tokens"], picos=row["uncertain_picos"]),
        resets_at=row["resets_at"],
        waits=budget.at_limit == "wait",
        budget=to_edge("bud", budget.id),
    )
    return ScopedRoom(window_id=row["id"], budget=budget, room=room)


_SEEN_THROUGH = insert(call_windows)
_COUNT_HOLD = (
    update(windows)
    .where(windows.c.id == bindparam("window_id"))
    .values(
        held_picos=windows.c.held_picos + bindparam("more_picos", type_=BigInteger),
        held_tokens=windows.c.held_tokens + bindparam("more_tokens", type_=BigInteger),
    )
)
_OF_CALL = (
    select(windows.c.id)
    .join(call_windows, call_windows.c.window_id == windows.c.id)
    .where(call_windows.c.call_id == bindparam("call_id"))
    .order_by(windows.c.id)
    .with_for_update(key_share=True, of=windows)
    .cte("of_call")
)
_COUNTED = [f"{counter}_{unit}" for counter in _COUNTERS.values() for unit in ("picos", "tokens")]
_COUNT_TRANSFERS = (
    update(windows)
    .where(windows.c.id == _OF_CALL.c.id)
    .values({name: windows.c[name] + bindparam(f"{name}_more", type_=BigInteger) for name in _COUNTED})
)


def count_hold(
    connection: Connection, call_id: uuid.UUID, hold: Amount, scoped: Sequence[ScopedRoom]
) -> None:
    """Count a hold in every locked window; the caps that it was admitted under are written down."""
    if not scoped:
        return
    connection.execute(_SEEN_THROUGH, [{"call_id": call_id, "window_id": each.window_id} for each in scoped])
    counted = [
        {
            "window_id": each.window_id,
            "cap_picos": each.budget.limit_picos,
            "cap_tokens": each.budget.limit_tokens,
            "more_picos": hold.picos,
            "more_tokens": hold.tokens,
        }
        for each in scoped
    ]
    connection.execute(_COUNT_HOLD, counted)


def count_transfers(connection: Connection, call_id: uuid.UUID, transfers: Sequence[Transfer]) -> bool:
    """Count a call's transfers in its windows, locked by id; overrun is not theirs to bear.

    Says whether there were any windows.
    """
    more = dict.fromkeys(_COUNTED, 0)
    for transfer in transfers:
        if transfer.debit is Account.OVERRUN:
            continue
        for account, sign in ((transfer.debit, -1), (transfer.credit, 1)):
            if account not in _COUNTERS:
                continue
            more[f"{_COUNTERS[account]}_picos"] += sign * transfer.amount.picos
            more[f"{_COUNTERS[account]}_tokens"] += sign * transfer.amount.tokens
    changes = {f"{name}_more": change for name, change in more.items()}
    return connection.execute(_COUNT_TRANSFERS, {"call_id": call_id, **changes}).rowcount > 0
