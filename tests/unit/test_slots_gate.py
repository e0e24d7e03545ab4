import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import pytest

from patchmill.call import slots as gate
from patchmill.call.slots import Notice, Slot, Slots
from tests.support.stack import until


@contextmanager
def waiting(slots: Slots, *priorities: str) -> Iterator[list[Future[Slot | None]]]:
    """Let one thread after the other wait for a slot."""
    with ThreadPoolExecutor(len(priorities)) as threads:
        turns = []
        for number, priority in enumerate(priorities, start=1):
            turns.append(threads.submit(slots.acquire, 20, urgent=priority == "interactive"))
            until(partial(_is, lambda: slots.waiting, number), "one more waits")
        yield turns


def _is(count: Callable[[], int], number: int) -> bool:
    return count() == number


def order(slots: Slots, turns: list[Future[Slot | None]]) -> list[int]:
    """Admit one at a time, and give who came when."""
    came: list[int] = []
    for limit in range(1, len(turns) + 1):
        slots.set_limit(limit)
        until(partial(_is, lambda: sum(turn.done() for turn in turns), limit), "the next has a slot")
        came += [index for index, turn in enumerate(turns) if turn.done() and index not in came]
    return came


def test_equals_are_served_in_order_of_arrival() -> None:
    slots = Slots(0)
    with waiting(slots, "bulk", "bulk", "bulk") as turns:
        assert order(slots, turns) == [0, 1, 2]


def test_interactive_waiters_come_first() -> None:
    slots = Slots(0)
    with waiting(slots, "bulk", "interactive", "bulk", "interactive") as turns:
        assert order(slots, turns) == [1, 3, 0, 2]


def test_a_bulk_waiter_that_waited_for_long_is_served_as_an_interactive_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slots = Slots(0)
    with waiting(slots, "bulk", "interactive") as turns:
        monkeypatch.setattr(gate, "URGENT_AFTER_S", 0.0)
        report = slots.report()
        assert (report.urgent_waiting, report.bulk_waiting) == (2, 0)
        assert order(slots, turns) == [0, 1]
    assert slots.report().urgent_used == 2


def test_a_lowered_limit_takes_nothing_and_admits_nobody() -> None:
    slots = Slots(2)
    first, second = slots.acquire(0), slots.acquire(0)
    assert first
    assert second
    slots.set_limit(1)
    slots.give_back(first)
    slots.give_back(first)

    assert (slots.used, slots.limit) == (1, 1)
    assert slots.acquire(0.01) is None
    slots.give_back(second)
    assert slots.acquire(0) is not None


def test_nobody_is_admitted_once_the_limit_is_no_longer_valid() -> None:
    slots = Slots(0)
    slots.set_limit(5, valid_until=time.monotonic())
    assert slots.acquire(0.01) is None
    slots.set_limit(5, valid_until=time.monotonic() + 60)
    assert slots.acquire(0) is not None


def test_a_slot_lasts_no_longer_than_the_limit_that_it_was_taken_on() -> None:
    slots = Slots(0)
    slots.set_limit(2, valid_until=time.monotonic() + 60)
    slot = slots.acquire(0)
    assert slot is not None
    slots.set_limit(1, valid_until=time.monotonic() + 60)
    assert slots.lasts(slot)

    slots.set_limit(2, valid_until=time.monotonic())
    assert not slots.lasts(slot)
    slots.set_limit(2, valid_until=time.monotonic() + 60)
    fresh = slots.acquire(0)

    assert fresh is not None
    assert (slots.lasts(slot), slots.lasts(fresh)) == (False, True)


def test_closing_sends_away_who_waits() -> None:
    slots = Slots(1)
    held = slots.acquire(0)
    assert held is not None
    with waiting(slots, "bulk", "interactive") as turns:
        slots.close()
        assert [turn.result(5) for turn in turns] == [None, None]
    assert slots.acquire(5) is None
    slots.give_back(held)
    assert slots.used == 0


def test_a_report_says_what_is_used_and_wanted() -> None:
    slots = Slots(2)
    slots.acquire(0, urgent=True)
    slots.acquire(0)
    with waiting(slots, "bulk", "interactive"):
        report = slots.report()
        slots.set_limit(4)

    assert (report.limit, report.used, report.urgent_used) == (2, 2, 1)
    assert (report.urgent_waiting, report.bulk_waiting) == (1, 1)
    assert (report.wanted, report.promised) == (4, 2)


@pytest.mark.parametrize(
    ("act", "told"),
    [
        (lambda slots, held: slots.give_back(held), [Notice.SURPLUS]),
        (lambda slots, _: slots.acquire(0), [Notice.SHORTAGE]),
        (lambda slots, held: slots.note_refusal(held), [Notice.REFUSAL]),
        (lambda slots, _: slots.set_limit(2) or slots.acquire(0), []),
    ],
    ids=["given back", "none free", "refused", "one free"],
)
def test_the_watcher_is_told(act: Callable[[Slots, Slot], object], told: list[Notice]) -> None:
    heard: list[Notice] = []
    slots = Slots(0)
    slots.set_limit(1, mark="now")
    held = slots.acquire(0)
    assert held is not None
    slots.watch(heard.append)
    act(slots, held)

    assert heard == told


def test_a_slot_handed_to_the_next_here_is_no_surplus() -> None:
    heard: list[Notice] = []
    slots = Slots(1)
    held = slots.acquire(0)
    assert held is not None
    with waiting(slots, "bulk") as [turn]:
        slots.watch(heard.append)
        slots.give_back(held)
        assert turn.result(5)
    assert heard == []


def test_a_refusal_of_a_time_before_the_cut_says_nothing() -> None:
    slots = Slots(0)
    slots.set_limit(1, mark="before")
    held = slots.acquire(0)
    assert held is not None
    slots.set_limit(1, mark="after")
    slots.note_refusal(held)
    assert slots.report().refused is None


def test_threads_never_hold_more_than_the_limit() -> None:
    slots = Slots(3)
    lock, held, most = threading.Lock(), 0, 0

    def work(number: int) -> None:
        nonlocal held, most
        slot = slots.acquire(20, urgent=number % 3 == 0)
        assert slot is not None
        with lock:
            held += 1
            most = max(most, held)
        with lock:
            held -= 1
        slots.give_back(slot)

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(work, range(2_000)))

    assert most <= 3
    assert (slots.used, slots.waiting, slots.report().urgent_used) == (0, 0, 0)


def test_a_negative_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        Slots(-1)
