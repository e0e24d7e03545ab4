from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from patchmill.budget.forecast import exhausted_at, pace_since
from patchmill.budget.windows import WindowKind

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TWO_HOURS_AGO = NOON - timedelta(hours=2)


def test_what_is_left_lasts_as_long_as_it_did_to_spend_as_much() -> None:
    end = exhausted_at([(300, 100)], since=TWO_HOURS_AGO, now=NOON, resets_at=NOON + timedelta(days=1))

    assert end == NOON + timedelta(hours=6)


def test_the_axis_that_ends_first_counts() -> None:
    end = exhausted_at([(300, 100), (50, 100)], since=TWO_HOURS_AGO, now=NOON, resets_at=None)

    assert end == NOON + timedelta(hours=1)


def test_an_end_after_the_windows_is_none() -> None:
    in_six_hours = {"since": TWO_HOURS_AGO, "now": NOON, "resets_at": NOON + timedelta(hours=6)}

    assert exhausted_at([(300, 100)], **in_six_hours) is None
    assert exhausted_at([(299, 100)], **in_six_hours) is not None


def test_without_a_pace_nobody_knows() -> None:
    assert exhausted_at([(300, 0)], since=TWO_HOURS_AGO, now=NOON, resets_at=None) is None


def test_what_is_used_up_is_so_now() -> None:
    assert exhausted_at([(300, 0), (0, 0)], since=TWO_HOURS_AGO, now=NOON, resets_at=None) == NOON
    assert exhausted_at([(-5, 10)], since=TWO_HOURS_AGO, now=NOON, resets_at=None) == NOON


@given(st.integers(1, 2**63 - 1), st.integers(1, 2**63 - 1), st.integers(0, 10**12))
def test_no_amount_leads_out_of_the_calendar(left: int, spent: int, span_us: int) -> None:
    end = exhausted_at(
        [(left, spent)], since=NOON - timedelta(microseconds=span_us), now=NOON, resets_at=None
    )

    assert end is None or end >= NOON


def test_the_pace_is_of_late_and_no_older_than_window_and_budget() -> None:
    def since(starts_at: datetime, created_at: datetime) -> datetime:
        return pace_since(WindowKind.DAY, starts_at=starts_at, created_at=created_at, now=NOON)

    long_ago, hour_ago = NOON - timedelta(days=9), NOON - timedelta(hours=1)
    assert since(NOON - timedelta(hours=12), long_ago) == NOON - timedelta(hours=4)
    assert since(hour_ago, long_ago) == hour_ago
    assert since(NOON - timedelta(hours=12), hour_ago) == hour_ago
