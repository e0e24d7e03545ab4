"""Local time: when the days of a time zone begin, and what its clocks show during a period.

Windows of budgets and sums of usage follow the same calendar, whatever the database knows of time zones.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_STEP = timedelta(hours=12)  # clocks do not change back within that time


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """What clocks show during a period: they are ahead of UTC by one offset after the other.

    There is one offset more than there are changes.
    """

    changes: tuple[datetime, ...]
    offsets: tuple[timedelta, ...]


def midnight(day: date, time_zone: str) -> datetime:
    """Give the instant, in UTC, at which a day begins; where clocks skip midnight, that is when they do."""
    return datetime.combine(day, time.min, ZoneInfo(time_zone)).astimezone(UTC)


def local_day(at: datetime, time_zone: str) -> date:
    """Give the day that a calendar in the time zone shows at an instant."""
    return at.astimezone(ZoneInfo(time_zone)).date()


def clock(time_zone: str, since: datetime, until: datetime) -> Clock:
    """Give what the clocks of a time zone show from an instant until another."""
    zone = ZoneInfo(time_zone)
    changes = tuple(_changes(zone, since, until))
    return Clock(changes=changes, offsets=tuple(_offset(zone, at) for at in (since, *changes)))


def _changes(zone: ZoneInfo, since: datetime, until: datetime) -> Iterator[datetime]:
    at = since
    while at < until:
        after = min(at + _STEP, until)
        if _offset(zone, at) != _offset(zone, after):
            yield _change_between(zone, at, after)
        at = after


def _change_between(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """Give the first instant with the later offset; it is a whole second."""
    early, late = before.replace(microsecond=0), after
    while late - early > timedelta(seconds=1):
        between = (early + (late - early) / 2).replace(microsecond=0)
        if _offset(zone, between) == _offset(zone, before):
            early = between
        else:
            late = between
    return late.replace(microsecond=0)


def _offset(zone: ZoneInfo, at: datetime) -> timedelta:
    offset = at.astimezone(zone).utcoffset()
    return offset if offset is not None else timedelta(0)
