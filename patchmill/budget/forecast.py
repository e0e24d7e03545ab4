"""When a budget will be used up, if what was spent lately goes on."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from patchmill.budget.windows import WindowKind

# How far back the pace is measured: about a sixth of a window.
LOOK_BACK = {
    WindowKind.HOUR: timedelta(minutes=10),
    WindowKind.DAY: timedelta(hours=4),
    WindowKind.WEEK: timedelta(hours=28),
    WindowKind.MONTH: timedelta(days=5),
    WindowKind.TOTAL: timedelta(days=7),
}
FURTHEST = timedelta(days=36_525)  # nobody can say what is in a hundred years


def pace_since(kind: WindowKind, *, starts_at: datetime, created_at: datetime, now: datetime) -> datetime:
    """Give since when the pace is measured: no earlier than the window and the budget began."""
    return max(now - LOOK_BACK[kind], starts_at, created_at)


def exhausted_at(
    left_and_spent: Iterable[tuple[int, int]], *, since: datetime, now: datetime, resets_at: datetime | None
) -> datetime | None:
    """Give the instant at which the first axis has nothing left, or None.

    Each axis, money or tokens, gives what is left of its limit and what was spent of it since `since`. None
    is for a pace of nothing, and for an end that comes only after the window's.
    """
    span = (now - since) // timedelta(microseconds=1)
    ends = []
    for left, spent in left_and_spent:
        if left <= 0:
            return now
        if spent > 0:
            microseconds = left * max(span, 0) // spent
            if microseconds <= FURTHEST // timedelta(microseconds=1):
                ends.append(now + timedelta(microseconds=microseconds))
    first = min(ends, default=None)
    return None if first is None or (resets_at is not None and first >= resets_at) else first
