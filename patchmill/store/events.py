"""Events read back: at least once, in order within a job.

Ids are given out when a transaction writes, not when it commits, so a reader looks again at the last
seconds and drops what it has seen; no transaction lasts longer than it looks back.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from patchmill.store.engine import TRANSACTION_LIMIT_S
from patchmill.store.tables import events

LOOK_BACK_S = 2 * TRANSACTION_LIMIT_S


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """Something that happened to a job; `seq` counts from 1 within it."""

    id: int
    project_id: uuid.UUID
    job_id: uuid.UUID
    seq: int
    type: str
    data: Mapping[str, Any]
    at: datetime


def recent(connection: Connection, *, after: int) -> list[EventRow]:
    """Give the events with a greater id than `after`, and again those of the last ten seconds."""
    since = func.now() - func.make_interval(0, 0, 0, 0, 0, 0, LOOK_BACK_S)
    rows = connection.execute(
        select(events).where((events.c.id > after) | (events.c.at > since)).order_by(events.c.id)
    ).mappings()
    return [EventRow(**row) for row in rows]


def last_id(connection: Connection) -> int:
    """Give the id of the newest event, 0 when there is none."""
    return connection.scalar(select(func.max(events.c.id))) or 0
