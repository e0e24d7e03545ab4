from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchmill.budget.windows import BEGINNING, WindowKind, bounds, steps

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]
ZONES += ["America/Havana", "Africa/Cairo"]  # their clocks change at midnight
instants = st.floats(978_307_200, 2_114_380_800).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


@given(st.sampled_from(WindowKind), st.sampled_from(ZONES), instants)
def test_an_instant_lies_in_its_window(kind: WindowKind, zone: str, at: datetime) -> None:
    span = bounds(kind, zone, at)

    assert span.starts_at <= at
    assert span.resets_at is None or at < span.resets_at


@given(
    st.sampled_from([kind for kind in WindowKind if kind is not WindowKind.TOTAL]),
    st.sampled_from(ZONES),
    instants,
)
def test_windows_follow_each_other_without_gap_or_overlap(kind: WindowKind, zone: str, at: datetime) -> None:
    span = bounds(kind, zone, at)
    assert span.resets_at is not None

    following = bounds(kind, zone, span.resets_at)

    assert following.starts_at == span.resets_at
    assert bounds(kind, zone, span.starts_at) == span


@pytest.mark.parametrize(("day", "hours"), [((2026, 3, 29), 23), ((2026, 10, 25), 25), ((2026, 6, 1), 24)])
def test_a_day_with_a_change_of_clocks_has_its_own_length(day: tuple[int, int, int], hours: int) -> None:
    span = bounds(WindowKind.DAY, "Europe/Berlin", datetime(*day, 12, tzinfo=UTC))
    assert span.resets_at is not None

    assert span.resets_at - span.starts_at == timedelta(hours=hours)


def test_a_week_begins_on_monday_and_a_month_on_its_first() -> None:
    at = datetime(2026, 11, 22, 20, tzinfo=UTC)

    assert bounds(WindowKind.WEEK, "UTC", at).starts_at == datetime(2026, 11, 16, tzinfo=UTC)
    assert bounds(WindowKind.MONTH, "UTC", at).resets_at == datetime(2026, 12, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "hours"),
    [(datetime(2026, 3, 29, 21, 30, tzinfo=UTC), 23), (datetime(2026, 10, 25, 22, 30, tzinfo=UTC), 25)],
)
def test_a_day_is_shown_by_hours_of_which_clock_changes_make_23_or_25(at: datetime, hours: int) -> None:
    shown = steps(WindowKind.DAY, "Europe/Berlin", at)

    assert len(shown) == hours
    assert {later - earlier for earlier, later in pairwise(shown)} == {timedelta(hours=1)}


def test_a_month_is_shown_by_its_own_days_and_an_hour_by_five_minutes() -> None:
    month = steps(WindowKind.MONTH, "Europe/Berlin", datetime(2026, 3, 30, 12, tzinfo=UTC))
    hour = steps(WindowKind.HOUR, "UTC", datetime(2026, 3, 30, 12, 12, tzinfo=UTC))

    assert len(month) == 30
    assert month[0] == datetime(2026, 2, 28, 23, tzinfo=UTC)
    assert month[-1] == datetime(2026, 3, 29, 22, tzinfo=UTC)  # summer time since the day before
    assert hour == [datetime(2026, 3, 30, 12, minute, tzinfo=UTC) for minute in (0, 5, 10)]


def test_a_total_is_shown_by_its_beginning_and_the_last_days() -> None:
    total = steps(WindowKind.TOTAL, "UTC", datetime(2026, 3, 30, 12, tzinfo=UTC))

    assert total[0] == BEGINNING
    assert total[1:] == [datetime(2026, 2, 28, tzinfo=UTC) + timedelta(days=day) for day in range(31)]


@given(st.sampled_from(WindowKind), st.sampled_from(ZONES), instants)
def test_steps_begin_with_the_window_and_end_by_now(kind: WindowKind, zone: str, now: datetime) -> None:
    shown = steps(kind, zone, now)

    assert shown[0] == bounds(kind, zone, now).starts_at
    assert shown == sorted(set(shown))
    assert shown[-1] <= now
