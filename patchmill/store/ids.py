"""UUIDv7 inside (RFC 9562, section 5.7), and a readable prefix at the edge: `job_0197c5…`."""

import os
import uuid
from datetime import datetime

from sqlalchemy import ColumnElement, Uuid, func

from patchmill.errors import NotFound
from patchmill.store import shared_time


def new_id() -> uuid.UUID:
    """Make a UUIDv7: 48 bits of Unix milliseconds, then random bits; ids made later sort later."""
    milliseconds = int(shared_time.timestamp() * 1000)
    value = int.from_bytes(milliseconds.to_bytes(6) + os.urandom(10))
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    return uuid.UUID(int=value)


def new_id_each() -> ColumnElement[uuid.UUID]:
    """Give an expression that makes such an id for each row of a statement."""
    return func.new_id(type_=Uuid)


def first_id(at: datetime) -> uuid.UUID:
    """Give the lowest UUIDv7 of an instant: what was made since then has a higher id."""
    milliseconds = max(0, int(at.timestamp() * 1000))
    return uuid.UUID(int=(milliseconds << 80) | (0x7 << 76))


def to_edge(prefix: str, identity: uuid.UUID) -> str:
    """Write an id as users see it."""
    return f"{prefix}_{identity.hex}"


def from_edge(prefix: str, text: str) -> uuid.UUID | None:
    """Read an id as users write it, or None when it is not one of this kind."""
    head, _, tail = text.partition("_")
    if head != prefix or len(tail) != 32 or not all(digit in "0123456789abcdef" for digit in tail):  # noqa: PLR2004 - hex digits of a UUID
        return None
    return uuid.UUID(hex=tail)


def known_id(prefix: str, text: str) -> uuid.UUID:
    """Read the id of a job, run or key as users write it; raises NotFound for what cannot be one."""
    found = from_edge(prefix, text)
    if found is None:
        raise no_such(prefix, text)
    return found


def no_such(prefix: str, text: str) -> NotFound:
    """Say that there is no such job, run or key."""
    return NotFound(f"there is no {prefix} {text[:100]}")
