from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchmill.budget.price_rows import (
    MAX_RATE_PICOS,
    PriceRow,
    calendar_of,
    document_of,
    hours_text,
    rate_of,
    rate_text,
    sorted_rows,
)
from patchmill.budget.prices import Calendar, Price, Rates, highest_rates, rates_at

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def row(number: int, picos: int = 1, **more: Any) -> PriceRow:
    rates = Rates(input_picos=picos, cached_picos=picos, output_picos=picos)
    price = Price(**{"model": "m", "rates": rates, "valid_from": LONG_AGO, **more})
    return PriceRow(id=number, price=price, source="test")


def statuses(*rows: PriceRow) -> dict[int, str]:
    return {each.id: status for each, status in sorted_rows(rows, NOON)}


@given(st.integers(0, MAX_RATE_PICOS))
def test_a_rate_survives_the_edge(picos: int) -> None:
    assert rate_of(rate_text(picos)) == picos


def test_rates_are_whole_pico_dollars_a_token() -> None:
    assert [rate_of(text) for text in ("0.14", "0.0028", "0", "1000000", "0.000001")] == [
        140_000,
        2_800,
        0,
        10**12,
        1,
    ]
    with pytest.raises(ValueError, match="a pico-dollar a token"):
        rate_of("0.0000001")
    with pytest.raises(ValueError, match="more than a dollar a token"):
        rate_of("1000000.000001")


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("Asia/Shanghai 9-18", ((9, 18),)),
        ("Asia/Shanghai 14-18,9-12", ((9, 12), (14, 18))),
        ("UTC 22-6", ((0, 6), (22, 24))),
        ("UTC 22-24", ((22, 24),)),
        ("UTC 18-0", ((18, 24),)),
        ("UTC 0-24, 0-24", ((0, 24),)),
    ],
)
def test_hours_are_read(text: str, hours: tuple[tuple[int, int], ...]) -> None:
    assert calendar_of(text).hours == hours


@pytest.mark.parametrize(
    "text",
    [
        "",
        "9-18",
        "UTC",
        "UTC ",
        "UTC 9",
        "UTC 9-9",
        "UTC 24-25",
        "UTC 9:30-10",
        "UTC -1-3",
        "UTC 9-18,",
        "Moon 9-18",
    ],
)
def test_hours_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"hours|time zone"):
        calendar_of(text)


@given(
    st.lists(
        st.tuples(st.integers(0, 23), st.integers(1, 24)).filter(lambda pair: pair[0] < pair[1]), min_size=1
    )
)
def test_hours_survive_the_edge(hours: list[tuple[int, int]]) -> None:
    calendar = Calendar(time_zone="UTC", hours=tuple(sorted(set(hours))))

    assert calendar_of(f"UTC {','.join(hours_text(calendar))}") == calendar


def test_a_later_row_with_the_same_hours_replaces_an_earlier_one() -> None:
    peak = calendar_of("UTC 9-18")
    soon, ended = NOON + timedelta(minutes=1), NOON - timedelta(minutes=1)

    assert statuses(row(1), row(2, valid_from=NOON)) == {1: "past", 2: "current"}
    assert statuses(row(1), row(2)) == {1: "past", 2: "current"}  # of two at once the one added later
    assert statuses(row(1), row(2, calendar=peak)) == {1: "current", 2: "current"}
    assert statuses(row(1), row(2, valid_from=soon)) == {1: "current", 2: "upcoming"}
    assert statuses(row(1), row(2, valid_to=ended)) == {1: "current", 2: "past"}
    assert statuses(row(1), row(2, model="other")) == {1: "current", 2: "current"}


def test_current_rows_come_first_and_past_ones_last() -> None:
    rows = [row(1), row(2, valid_from=NOON), row(3, valid_from=NOON + timedelta(days=1)), row(4, model="a")]

    assert [each.id for each, _ in sorted_rows(rows, NOON)] == [4, 2, 3, 1]


@given(
    st.lists(
        st.tuples(st.integers(1, 9), st.integers(-3, 3), st.sampled_from([None, "UTC 9-13"])), min_size=1
    )
)
def test_the_rates_that_hold_are_those_of_a_current_row(
    given_rows: list[tuple[int, int, str | None]],
) -> None:
    rows = [
        row(
            number,
            picos,
            valid_from=NOON + timedelta(hours=hours),
            calendar=None if hours_of is None else calendar_of(hours_of),
        )
        for number, (picos, hours, hours_of) in enumerate(given_rows)
    ]

    holds = rates_at([each.price for each in rows], NOON)

    current = [each.price.rates for each, status in sorted_rows(rows, NOON) if status == "current"]
    assert holds is None if not current else holds in current


@pytest.mark.parametrize(
    ("since", "peak"),
    [
        # Clocks go forward in Berlin at 01:00 UTC: 3 o'clock begins a minute after 1:59, local time.
        (datetime(2026, 3, 29, 0, 59, tzinfo=UTC), "Europe/Berlin 3-4"),
        # They go back at 01:00 UTC: 2 o'clock comes twice.
        (datetime(2026, 10, 25, 0, 59, tzinfo=UTC), "Europe/Berlin 2-3"),
        (datetime(2026, 10, 25, 1, 59, tzinfo=UTC), "Europe/Berlin 3-4"),
        # Half an hour of daylight saving, and three quarters of an offset.
        (datetime(2026, 4, 4, 14, 59, tzinfo=UTC), "Australia/Lord_Howe 1-2"),
        (datetime(2026, 6, 1, 3, 14, tzinfo=UTC), "Asia/Kathmandu 9-10"),
    ],
)
def test_a_hold_sees_the_peak_that_begins_a_minute_later(since: datetime, peak: str) -> None:
    prices = [row(1, 5).price, row(2, 50, calendar=calendar_of(peak)).price]
    instants = [since + timedelta(seconds=second) for second in range(121)]

    highest = highest_rates(prices, since, since + timedelta(minutes=2))

    assert highest is not None
    seen = {rates_at(prices, at).input_picos for at in instants}  # type: ignore[union-attr]  # a plain row is always there
    assert 50 in seen
    assert highest.input_picos == max(seen)


def test_a_document_reads_back() -> None:
    written = document_of(row(7, 140_000, calendar=calendar_of("Asia/Shanghai 22-6")), "current")

    assert written["id"] == "prc_7"
    assert written["input_usd_per_million"] == "0.14"
    assert written["peak"] == {"time_zone": "Asia/Shanghai", "hours": ["0-6", "22-24"]}
    assert (written["valid_from"], written["valid_to"]) == ("2026-01-01T00:00:00.000000Z", None)
