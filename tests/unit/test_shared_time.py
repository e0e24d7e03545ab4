import time
from datetime import UTC, datetime, timedelta

import pytest

from patchmill.store.shared_time import SharedTime

HOUR = timedelta(hours=1)


def ahead_s(clock: SharedTime) -> float:
    return (clock.now() - datetime.now(UTC)).total_seconds()


@pytest.mark.parametrize("wrong", [HOUR, -HOUR])
def test_a_reading_sets_a_clock_that_it_contradicts(wrong: timedelta) -> None:
    clock = SharedTime()
    asked_at = time.monotonic()

    clock.hear(datetime.now(UTC) + wrong, asked_at=asked_at, heard_at=time.monotonic())

    assert abs(ahead_s(clock) - wrong.total_seconds()) < 5


def test_a_reading_that_took_long_moves_a_clock_no_further_than_it_must() -> None:
    clock = SharedTime()
    before = clock.timestamp() - time.monotonic()
    told = datetime.fromtimestamp(before + 100.0, UTC)

    clock.hear(told, asked_at=90.0, heard_at=110.0)  # it was told at some moment between the two
    assert clock.timestamp() - time.monotonic() == pytest.approx(before)

    clock.hear(told, asked_at=70.0, heard_at=90.0)
    assert clock.timestamp() - time.monotonic() == pytest.approx(before + 10.0)

    clock.hear(told, asked_at=120.0, heard_at=130.0)
    assert clock.timestamp() - time.monotonic() == pytest.approx(before - 20.0)
