"""The windows of budgets as rooms: made on demand, locked by id, and counted after each transfer."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, RowMapping, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from patchmill.budget.ledger import Account, Amount, Room, Transfer
from patchmill.budget.windows import bounds
from patchmill.store.budgets import BudgetRow, budgets_over
from patchmill.store.ids import new_id
from patchmill.store.tables import call_windows, windows

_COUNTERS = {Account.HELD: "held", Account.SETTLED: "settled", Account.UNCERTAIN: "uncertain"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopedRoom:
    """A budget's current window, locked, and the room in it."""

    window_id: uuid.UUID
    budget: BudgetRow
    room: Room


def lock_rooms(connection: Connection, project_id: uuid.UUID, key_id: uuid.UUID | None) -> list[ScopedRoom]:
    """Lock the current window of every budget over a project and key, by id; missing ones are made."""
    found = budgets_over(connection, project_id, key_id)
    if not found:
        return []
    now: datetime = connection.scalars(select(func.now())).one()
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
    connection.execute(upsert(windows).values(fresh).on_conflict_do_nothing())
    current = [
        (windows.c.budget_id == budget.id) & (windows.c.starts_at == spans[budget.id].starts_at)
        for budget in found
    ]
    rows = connection.execute(
        select(windows).where(or_(*current)).order_by(windows.c.id).with_for_update(key_share=True)
    ).mappings()
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
        budget=f"bud_{budget.id.hex}",
    )
    return ScopedRoom(window_id=row["id"], budget=budget, room=room)


def count_hold(
    connection: Connection, call_id: uuid.UUID, hold: Amount, scoped: Sequence[ScopedRoom]
) -> None:
    """Count a hold in every locked window; the caps that it was admitted under are written down."""
    for each in scoped:
        connection.execute(insert(call_windows).values(call_id=call_id, window_id=each.window_id))
        connection.execute(
            update(windows)
            .where(windows.c.id == each.window_id)
            .values(
                cap_picos=each.budget.limit_picos,
                cap_tokens=each.budget.limit_tokens,
                held_picos=windows.c.held_picos + hold.picos,
                held_tokens=windows.c.held_tokens + hold.tokens,
            )
        )


def count_transfers(connection: Connection, call_id: uuid.UUID, transfers: Sequence[Transfer]) -> bool:
    """Count a call's transfers in its windows, locked by id; overrun is not theirs to bear.

    Says whether there were any windows.
    """
    change: dict[str, int] = {}
    for transfer in transfers:
        if transfer.debit is Account.OVERRUN:
            continue
        for account, sign in ((transfer.debit, -1), (transfer.credit, 1)):
            if account not in _COUNTERS:
                continue
            for unit, amount in (("picos", transfer.amount.picos), ("tokens", transfer.amount.tokens)):
                name = f"{_COUNTERS[account]}_{unit}"
                change[name] = change.get(name, 0) + sign * amount
    ids = connection.scalars(
        select(windows.c.id)
        .join(call_windows, call_windows.c.window_id == windows.c.id)
        .where(call_windows.c.call_id == call_id)
        .order_by(windows.c.id)
        .with_for_update(key_share=True, of=windows)
    ).all()
    if ids and change:
        values = {name: windows.c[name] + amount for name, amount in change.items()}
        connection.execute(update(windows).where(windows.c.id.in_(ids)).values(**values))
    return bool(ids)
