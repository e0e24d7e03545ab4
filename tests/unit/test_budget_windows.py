from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchmill.budget.windows import WindowKind, bounds

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]
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
