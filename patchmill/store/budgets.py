"""Budgets as rows: made, changed, ended, listed, and what is used of them."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError

from patchmill.budget.ledger import NOTHING, Amount
from patchmill.budget.windows import Bounds, WindowKind, bounds
from patchmill.errors import Conflict
from patchmill.store.ids import new_id
from patchmill.store.tables import budgets, keys, windows


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetRow:
    """A limit on what a scope may spend in each window; money in pico-dollars."""

    id: uuid.UUID
    name: str
    scope: str
    project_id: uuid.UUID | None
    key_id: uuid.UUID | None
    window: WindowKind
    time_zone: str
    limit_picos: int | None
    limit_tokens: int | None
    at_limit: str
    alert_percent: tuple[int, ...]
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetUse:
    """A budget's current window: its time, and what is settled, held and uncertain in it."""

    bounds: Bounds
    settled: Amount
    held: Amount
    uncertain: Amount


_COLUMNS = [budgets.c[field.name] for field in fields(BudgetRow)]


def add_budget(
    connection: Connection,
    *,
    name: str,
    scope: str,
    project_id: uuid.UUID | None,
    key_id: uuid.UUID | None,
    window: WindowKind,
    time_zone: str,
    limit_picos: int | None,
    limit_tokens: int | None,
    at_limit: str,
    alert_percent: Sequence[int] = (),
) -> uuid.UUID:
    """Store a new budget.

    Raises:
        Conflict: another one has this name.
    """
    added: uuid.UUID | None = connection.scalar(
        upsert(budgets)
        .values(
            id=new_id(),
            name=name,
            scope=scope,
            project_id=project_id,
            key_id=key_id,
            window=window,
            time_zone=time_zone,
            limit_picos=limit_picos,
            limit_tokens=limit_tokens,
            at_limit=at_limit,
            alert_percent=list(alert_percent),
        )
        .on_conflict_do_nothing(index_elements=["name"], index_where=budgets.c.ended_at.is_(None))
        .returning(budgets.c.id)
    )
    if added is None:
        raise _named_already(name)
    return added


def change_budget(connection: Connection, budget: BudgetRow, changes: Mapping[str, Any]) -> BudgetRow:
    """Change columns of a budget that is held for it; windows keep the caps that calls were admitted under.

    Its current window is held meanwhile, so that no admission sees one limit and writes down another.

    Raises:
        Conflict: another one has the name.
    """
    if not {"limit_picos", "limit_tokens"}.isdisjoint(changes):
        _hold_window(connection, budget)
    changed = update(budgets).where(budgets.c.id == budget.id).values(**changes).returning(*_COLUMNS)
    try:
        with connection.begin_nested():
            row = connection.execute(changed).mappings().one()
    except IntegrityError as error:
        if "uq_budgets_name" not in str(error.orig):
            raise
        raise _named_already(str(changes["name"])) from None
    return _budget(dict(row))


def _hold_window(connection: Connection, budget: BudgetRow) -> None:
    span = bounds(budget.window, budget.time_zone, connection.scalars(select(func.now())).one())
    connection.execute(
        upsert(windows)
        .values(
            id=new_id(),
            budget_id=budget.id,
            starts_at=span.starts_at,
            resets_at=span.resets_at,
            cap_picos=budget.limit_picos,
            cap_tokens=budget.limit_tokens,
        )
        .on_conflict_do_nothing()
    )
    connection.execute(
        select(windows.c.id)
        .where(windows.c.budget_id == budget.id, windows.c.starts_at == span.starts_at)
        .with_for_update(key_share=True)
    )


def end_budget(connection: Connection, budget: BudgetRow) -> None:
    """End a budget: it limits no call from now on, and those admitted before count on in their windows."""
    connection.execute(update(budgets).where(budgets.c.id == budget.id).values(ended_at=func.now()))


def _named_already(name: str) -> Conflict:
    return Conflict(f"there is a budget named {name} already")


_BUDGETS_OVER = (
    select(*_COLUMNS)
    .where(
        budgets.c.ended_at.is_(None),
        or_(
            budgets.c.scope == "installation",
            budgets.c.project_id == bindparam("project_id"),
            budgets.c.key_id == bindparam("key_id"),  # of no budget, when no key is named
        ),
    )
    .order_by(budgets.c.id)
)


def budgets_over(connection: Connection, project_id: uuid.UUID, key_id: uuid.UUID | None) -> list[BudgetRow]:
    """Give the budgets that bear on a project's work, and on a key's when it is named."""
    rows = connection.execute(_BUDGETS_OVER, {"project_id": project_id, "key_id": key_id}).mappings()
    return [_budget(dict(row)) for row in rows]


def project_budgets(
    connection: Connection, project_id: uuid.UUID, *, before: uuid.UUID | None, limit: int
) -> list[BudgetRow]:
    """Give the budgets that a project sees, newest first: its own, its keys', the installation's."""
    statement = (
        select(*_COLUMNS)
        .where(budgets.c.ended_at.is_(None), _seen_by(project_id))
        .order_by(budgets.c.id.desc())
        .limit(limit)
    )
    if before is not None:
        statement = statement.where(budgets.c.id < before)
    return [_budget(dict(row)) for row in connection.execute(statement).mappings()]


_EVERY_BUDGET = select(*_COLUMNS).where(budgets.c.ended_at.is_(None)).order_by(budgets.c.id)


def every_budget(connection: Connection) -> list[BudgetRow]:
    """Give the budgets of the whole installation, oldest first."""
    return [_budget(dict(row)) for row in connection.execute(_EVERY_BUDGET).mappings()]


def project_budget(
    connection: Connection, project_id: uuid.UUID, budget_id: uuid.UUID, *, locked: bool = False
) -> BudgetRow | None:
    """Give one of the budgets that a project sees, held for a change if `locked`, or None."""
    statement = select(*_COLUMNS).where(
        budgets.c.id == budget_id, budgets.c.ended_at.is_(None), _seen_by(project_id)
    )
    if locked:
        statement = statement.with_for_update(key_share=True)
    row = connection.execute(statement).mappings().one_or_none()
    return None if row is None else _budget(dict(row))


def _seen_by(project_id: uuid.UUID) -> ColumnElement[bool]:
    own_keys = select(keys.c.id).where(keys.c.project_id == project_id)
    return or_(
        budgets.c.scope == "installation",
        budgets.c.project_id == project_id,
        budgets.c.key_id.in_(own_keys),
    )


def use_of(connection: Connection, budget: BudgetRow, at: datetime) -> BudgetUse:
    """Give a budget's use in the window that holds the instant."""
    span = bounds(budget.window, budget.time_zone, at)
    row = connection.execute(
        select(windows).where(windows.c.budget_id == budget.id, windows.c.starts_at == span.starts_at)
    ).one_or_none()
    if row is None:
        return unused(span)
    return BudgetUse(
        bounds=span,
        settled=Amount(tokens=row.settled_tokens, picos=row.settled_picos),
        held=Amount(tokens=row.held_tokens, picos=row.held_picos),
        uncertain=Amount(tokens=row.uncertain_tokens, picos=row.uncertain_picos),
    )


def unused(span: Bounds) -> BudgetUse:
    """Give the use of a window of which nothing was taken."""
    return BudgetUse(bounds=span, settled=NOTHING, held=NOTHING, uncertain=NOTHING)


def _budget(row: dict[str, Any]) -> BudgetRow:
    typed = {"window": WindowKind(row["window"]), "alert_percent": tuple(row["alert_percent"])}
    return BudgetRow(**{**row, **typed})
