from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchmill.budget.prices import (
    Calendar,
    Price,
    Rates,
    from_usd,
    highest_rates,
    lasting,
    price_at,
    rates_at,
    to_usd,
)

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def flat(picos: int) -> Rates:
    return Rates(input_picos=picos, cached_picos=picos, output_picos=picos)


def price(picos: int, **more: object) -> Price:
    return Price(
        model="m",
        rates=flat(picos),
        **{"valid_from": datetime(2026, 1, 1, tzinfo=UTC), **more},  # type: ignore[arg-type]
    )


PEAK = Calendar(time_zone="UTC", hours=((1, 4), (6, 10)))


def test_without_a_valid_row_there_is_no_price() -> None:
    assert rates_at([price(1, valid_from=NOON + timedelta(hours=1))], NOON) is None
    assert rates_at([price(1, valid_to=NOON)], NOON) is None


def test_a_calendar_row_outranks_the_plain_one_in_its_hours() -> None:
    rows = [price(1), price(2, calendar=PEAK)]

    assert rates_at(rows, NOON) == flat(1)
    assert rates_at(rows, NOON.replace(hour=6)) == flat(2)


def test_what_lasts_is_all_that_may_hold_later_and_nothing_that_was_replaced() -> None:
    later = NOON + timedelta(days=1)
    rows = [
        price(1),
        price(900),  # a slip, put right at once
        price(3),
        price(4, calendar=PEAK),
        price(5, valid_to=later),
        price(6, valid_from=later),
        price(7, valid_to=NOON),
    ]

    assert [row.rates.input_picos for row in lasting(rows, NOON)] == [3, 4, 5, 6]


@given(
    st.lists(
        st.builds(
            lambda begins, lasts, peak: price(
                1,
                valid_from=NOON + timedelta(hours=begins),
                valid_to=lasts and NOON + timedelta(hours=begins + lasts),
                calendar=PEAK if peak else None,
            ),
            st.integers(-30, 30),
            st.one_of(st.none(), st.integers(1, 40)),
            st.booleans(),
        ),
        max_size=6,
    ),
    st.integers(0, 60),
)
def test_whatever_holds_later_is_among_what_lasts(rows: list[Price], hours: int) -> None:
    holds = price_at(rows, NOON + timedelta(hours=hours))

    assert holds is None or any(holds is row for row in lasting(rows, NOON))


def test_a_newer_row_replaces_an_older_one() -> None:
    rows = [price(5, valid_from=datetime(2026, 6, 1, tzinfo=UTC)), price(9)]

    assert rates_at(rows, NOON) == flat(5)


@given(st.integers(0, 24 * 60), st.integers(1, 600))
def test_the_highest_rate_is_never_below_any_rate_on_the_way(start: int, minutes: int) -> None:
    rows = [price(1), price(2, calendar=PEAK), price(7, valid_from=NOON + timedelta(minutes=61))]
    since = NOON + timedelta(minutes=start)

    highest = highest_rates(rows, since, since + timedelta(minutes=minutes))

    assert highest is not None
    on_the_way = [rates_at(rows, since + timedelta(minutes=step)) for step in range(minutes + 1)]
    assert all(each is not None and each.input_picos <= highest.input_picos for each in on_the_way)


def test_a_gap_on_the_way_means_no_price() -> None:
    rows = [price(1, valid_to=NOON + timedelta(minutes=5))]

    assert highest_rates(rows, NOON, NOON + timedelta(minutes=10)) is None


@given(st.integers(0, 2**63 - 1))
def test_money_survives_the_edge(picos: int) -> None:
    if picos <= (2**63 - 1) // 10**12 * 10**12:
        assert from_usd(to_usd(picos)) == picos


@pytest.mark.parametrize(
    "text", ["", "1e3", "NaN", "-1", "Infinity", "0.0000000000001", " 1", "1_000", "abc", "99999999999"]
)
def test_money_that_is_not_plain_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_usd(text)


def test_money_is_written_plainly() -> None:
    assert [to_usd(0), to_usd(53_000_000), to_usd(10**12), to_usd(-5 * 10**11)] == [
        "0",
        "0.000053",
        "1",
        "-0.5",
    ]
