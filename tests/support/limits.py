"""Budgets in tests, made and changed straight in the store."""

import uuid

from sqlalchemy import Engine, text

from patchmill.budget.windows import WindowKind
from patchmill.store.budgets import add_budget
from patchmill.store.ids import new_id


def limit(
    engine: Engine,
    picos: int | None = None,
    tokens: int | None = None,
    *,
    window: WindowKind = WindowKind.DAY,
    at_limit: str = "wait",
    project_id: uuid.UUID | None = None,
) -> uuid.UUID:
    """Limit the installation, or a project; gives the budget's id."""
    with engine.begin() as connection:
        return add_budget(
            connection,
            name=f"budget {new_id()}",
            scope="installation" if project_id is None else "project",
            project_id=project_id,
            key_id=None,
            window=window,
            time_zone="UTC",
            limit_picos=picos,
            limit_tokens=tokens,
            at_limit=at_limit,
        )


def change(engine: Engine, statement: str, **values: object) -> None:
    """Change rows as no part of the service would."""
    with engine.begin() as connection:
        connection.execute(text(statement), values)
