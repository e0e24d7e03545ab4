"""What models were found to be able to do, and the parameters that they refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, union, update
from sqlalchemy.dialects.postgresql import insert as upsert

from patchmill.store.tables import models, prices


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedModel:
    """One model as it was found: `capability` holds only what was tried, `dropped` what it refused."""

    name: str
    capability: Mapping[str, Any]
    dropped: frozenset[str]
    tried_at: datetime | None


def learned(connection: Connection) -> dict[str, LearnedModel]:
    """Give what is known of every model beyond what is documented, by name."""
    rows = connection.execute(
        select(models.c.name, models.c.capability, models.c.dropped, models.c.tried_at)
    ).mappings()
    return {row["name"]: LearnedModel(**{**row, "dropped": frozenset(row["dropped"])}) for row in rows}


def drop_parameter(connection: Connection, name: str, parameter: str) -> bool:
    """Remember that a model refuses a parameter; False when that was known."""
    connection.execute(upsert(models).values(name=name, capability={}).on_conflict_do_nothing())
    changed = connection.execute(
        update(models)
        .where(models.c.name == name, ~models.c.dropped.contains([parameter]))
        .values(dropped=func.array_append(models.c.dropped, parameter), changed_at=func.now())
    )
    return changed.rowcount == 1


def learn(connection: Connection, name: str, found: Mapping[str, Any]) -> None:
    """Add to what is known of a model."""
    connection.execute(
        upsert(models)
        .values(name=name, capability=dict(found))
        .on_conflict_do_update(
            index_elements=["name"],
            set_={"capability": models.c.capability.op("||")(dict(found)), "changed_at": func.now()},
        )
    )


def store_capability(connection: Connection, name: str, capability: Mapping[str, Any]) -> None:
    """Keep what a trial found, in place of everything that was known before."""
    values = {"capability": dict(capability), "dropped": [], "tried_at": func.now(), "changed_at": func.now()}
    connection.execute(
        upsert(models).values(name=name, **values).on_conflict_do_update(index_elements=["name"], set_=values)
    )


def known_names(connection: Connection) -> list[str]:
    """Give every model that has a price or was tried, in order."""
    return sorted(connection.scalars(union(select(models.c.name), select(prices.c.model))))
