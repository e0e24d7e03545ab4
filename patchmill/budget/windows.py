"""The windows of a budget: rows with a start, made on demand, so that nothing is ever reset."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from zoneinfo import available_timezones

from patchmill.budget.local_time import local_day, midnight

STEPS_OF_TOTAL = 31  # days that a total is shown in; what came before them is one step
BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)  # where a `total` window starts
# Another zone on each host, and none at all: processes would not agree on when a day begins.
_NO_PLACES = frozenset({"localtime", "Factory"})


class WindowKind(StrEnum):
    """How long a budget's limit counts."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    TOTAL = "total"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """A window's time: from `starts_at` until `resets_at`, which is None for ever."""

    starts_at: datetime
    resets_at: datetime | None


@cache
def time_zones() -> frozenset[str]:
    """Give the names of time zones; to look for them takes as long as many requests."""
    return frozenset(available_timezones()) - _NO_PLACES


def bounds(kind: WindowKind, time_zone: str, at: datetime) -> Bounds:
    """Give the window that holds the instant, by the calendar of the time zone.

    Days, weeks (from Monday) and months begin at local midnight, so a day with a change of clocks has 23
    or 25 hours; hours are counted in UTC and never change length.
    """
    today = local_day(at, time_zone)
    match kind:
        case WindowKind.TOTAL:
            return Bounds(starts_at=BEGINNING, resets_at=None)
        case WindowKind.HOUR:
            start = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
            return Bounds(starts_at=start, resets_at=start + timedelta(hours=1))
        case WindowKind.DAY:
            first, after = today, today + timedelta(days=1)
        case WindowKind.WEEK:
            first = today - timedelta(days=today.weekday())
            after = first + timedelta(days=7)
        case WindowKind.MONTH:
            first = today.replace(day=1)
            after = (first + timedelta(days=32)).replace(day=1)
    return Bounds(starts_at=midnight(first, time_zone), resets_at=midnight(after, time_zone))


def steps(kind: WindowKind, time_zone: str, now: datetime) -> list[datetime]:
    """Give the beginnings of the steps in which the current window is shown, up to now.

    An hour is shown by five minutes, a day by hours (23 or 25 of them where clocks change), and what is
    longer by days of the time zone.
    """
    window = bounds(kind, time_zone, now)
    if kind in {WindowKind.HOUR, WindowKind.DAY}:
        length = timedelta(minutes=5) if kind is WindowKind.HOUR else timedelta(hours=1)
        count = (now - window.starts_at) // length + 1
        return [window.starts_at + number * length for number in range(count)]
    days: list[datetime] = []
    day = bounds(WindowKind.DAY, time_zone, now).starts_at
    while day > window.starts_at and (kind is not WindowKind.TOTAL or len(days) < STEPS_OF_TOTAL):
        days.append(day)
        day = bounds(WindowKind.DAY, time_zone, day - timedelta(microseconds=1)).starts_at
    return [window.starts_at, *reversed(days)]
