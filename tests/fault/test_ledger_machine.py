"""The ledger's promises I1 to I11 after any history, as a machine that tries histories of every sort.

What is promised of the bytes of a stream (I12) is held by tests/unit/test_stream_events.py (however they are
cut), test_stream_truncation.py (what is cut short is never a success) and test_stream_answers.py.
"""

import os
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import ClassVar, TypeVar

import pytest
import redis
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from hypothesis.strategies import SearchStrategy

from patchmill.budget.prices import Rates
from patchmill.budget.windows import WindowKind
from tests.support.ledger_model import Budget, Call
from tests.support.ledger_world import Cut, Hand, Wish, World
from tests.support.own_services import OwnPostgres, own_postgres

STEPS = int(os.environ.get("PATCHMILL_LEDGER_STEPS", "10000"))
SEEDS = (20261126, 20261127, 20261128, 20261129)
STEPS_OF_A_HISTORY = 120
# A shorter history that breaks the same promise: of use to whoever mends it, and it takes minutes.
SHRINK = (Phase.shrink,) if os.environ.get("PATCHMILL_LEDGER_SHRINK") else ()

pytestmark = [
    pytest.mark.fault,
    pytest.mark.slow,
    pytest.mark.timeout(150 + STEPS // 10),
]

MOST_BUDGETS = 6
Thing = TypeVar("Thing")
Limits = tuple[int | None, int | None]
ZONES = ("UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")
LIMITS: SearchStrategy[Limits] = st.tuples(
    st.sampled_from([20 * 10**9, 8 * 10**9, 4 * 10**9, 2 * 10**9, 10**9, 0, None]),
    st.sampled_from([200_000, 60_000, 30_000, 12_000, 4_000, 0, None]),
).filter(lambda limits: limits != (None, None))
RATES = st.builds(
    Rates,
    input_picos=st.sampled_from([140_000, 0, 1, 60_000, 300_000]),
    cached_picos=st.sampled_from([3_000, 0, 150_000]),
    output_picos=st.sampled_from([280_000, 0, 1, 90_000, 900_000]),
)
WISHES = st.builds(
    lambda size, wanted, floor, deadline_s: Wish(
        size=size, wanted=wanted, floor=min(floor, wanted), deadline_s=deadline_s
    ),
    size=st.sampled_from([1, 500, 3_000]),
    wanted=st.sampled_from([900, 1, 4_000]),
    floor=st.sampled_from([1, 700]),
    deadline_s=st.sampled_from([1.0, 60.0, 600.0]),
)
CAPS = st.sampled_from([None, None, 3 * 10**9, 10**9, 2 * 10**8])
# Statements until the connection breaks; most of the time it does not.
BREAKS = st.sampled_from([None] * 40 + [0, 2, 3, 4, 5, 6, 8, 99])
SHARES = st.tuples(*[st.sampled_from([0, 1, 333, 999, 1_000])] * 3)
ANSWERS = st.sampled_from(
    [
        "answered",
        "answered",
        "answered",
        "uncounted",
        "rejected",
        "broken_free",
        "broken_charged",
        "excessive",
    ]
)
# How often each thing is tried: what moves money comes most often.
ACTS = [
    name
    for name, often in {
        "hold": 8,
        "hold_and_send": 12,
        "send": 6,
        "settle": 12,
        "finish": 2,
        "submit": 1,
        "submit_run": 1,
        "decide_by_evidence": 2,
        "tell_again": 2,
        "lose_a_worker": 2,
        "sweep": 2,
        "deliver_again": 1,
        "wipe_redis": 1,
        "kill_postgres": 1,
        "let_waits_pass": 1,
        "roll_over": 2,
        "skew_the_clock": 1,
        "announce_a_price": 1,
        "limit": 1,
        "change_a_limit": 3,
        "end_a_budget": 1,
        "cancel": 1,
    }.items()
    for _ in range(often)
]


class LedgerMachine(RuleBasedStateMachine):
    """Anything that may happen to calls and budgets, in any order.

    There is one rule, which draws what happens: of many rules a history would leave out half.
    """

    world: World
    steps = 0
    cuts = 0
    restarts = 0
    calls: ClassVar[Counter[str]] = Counter()

    @initialize(window=st.sampled_from(list(WindowKind)), zone=st.sampled_from(ZONES))
    def begin(self, window: WindowKind, zone: str) -> None:
        self.world.begin()
        self.world.limit("installation", window, zone, (40 * 10**9, 400_000))

    @invariant()
    def every_promise_holds(self) -> None:
        type(self).steps += 1
        self.world.check()

    @rule(act=st.sampled_from(ACTS), data=st.data())
    def something_happens(self, act: str, data: st.DataObject) -> None:
        getattr(self, act)(data)

    def teardown(self) -> None:
        type(self).calls.update(call.state for call in self.world.model.calls.values())

    # The steps of a call

    def hold(self, data: st.DataObject) -> None:
        self.world.staff()
        for hand in _one_of(_idle(self.world), data):
            wish = data.draw(WISHES)
            self._unless_cut(partial(self.world.hold, hand, wish), data.draw(BREAKS))

    def hold_and_send(self, data: st.DataObject) -> None:
        self.world.staff()
        for hand in _one_of(_idle(self.world), data):
            self.world.hold(hand, data.draw(WISHES))
            if hand.call is not None:
                self.world.send(hand, data.draw(ANSWERS), data.draw(SHARES))

    def send(self, data: st.DataObject) -> None:
        for hand in _one_of(_unsent(self.world), data):
            self.world.send(hand, data.draw(ANSWERS), data.draw(SHARES))

    def settle(self, data: st.DataObject) -> None:
        for hand in _one_of(_answered(self.world), data):
            self._unless_cut(partial(self.world.settle, hand), data.draw(BREAKS))

    def finish(self, data: st.DataObject) -> None:
        for hand in _one_of(_idle(self.world), data):
            self.world.finish(hand, again=data.draw(st.booleans()))

    def decide_by_evidence(self, data: st.DataObject) -> None:
        for call in _one_of(_decidable(self.world), data):
            self.world.tell(call, self.world.evidence(call))

    # What comes in, once and again

    def submit(self, data: st.DataObject) -> None:
        self.world.submit(
            data.draw(st.integers(0, 1)),
            with_key=data.draw(st.booleans()),
            cap_picos=data.draw(CAPS),
            key=data.draw(st.sampled_from([None, "a", "b"])),
        )

    def submit_run(self, data: st.DataObject) -> None:
        self.world.submit_run(
            data.draw(st.integers(1, 3)), data.draw(st.sampled_from([4 * 10**9, 10**9, 2 * 10**8]))
        )

    def deliver_again(self, data: st.DataObject) -> None:
        for message in _one_of(self.world.messages, data):
            self.world.deliver(message)

    def tell_again(self, data: st.DataObject) -> None:
        ended = [call for call in self.world.model.calls.values() if call.state in {"settled", "void"}]
        for call in _one_of(ended, data):
            kind = data.draw(st.sampled_from(["answered", "rejected", "unknown"]))
            self.world.tell(call, self.world.repeated(kind))

    # What breaks

    def lose_a_worker(self, data: st.DataObject) -> None:
        for worker_id in _one_of(self.world.workers, data):
            self.world.lose(worker_id, frozen=data.draw(st.booleans()))

    def sweep(self, _data: st.DataObject) -> None:
        self.world.sweep()

    def wipe_redis(self, _data: st.DataObject) -> None:
        self.world.wipe_redis()

    def kill_postgres(self, data: st.DataObject) -> None:
        """Kill all of it in the middle of a settlement, one time in twenty."""
        for hand in _one_of(_answered(self.world), data):
            if data.draw(st.integers(1, 20)) == 20:
                type(self).restarts += 1
                self.world.breaker.arm(data.draw(st.integers(0, 5)), wholly=True)
            self._unless_cut(partial(self.world.settle, hand), None)

    # What time does

    def let_waits_pass(self, _data: st.DataObject) -> None:
        self.world.make_all_due()

    def roll_over(self, data: st.DataObject) -> None:
        for budget in _one_of(_rolling(self.world), data):
            self.world.roll_over(budget)

    def skew_the_clock(self, data: st.DataObject) -> None:
        self.world.skew(data.draw(st.integers(-90, 90)))

    # What people do

    def announce_a_price(self, data: st.DataObject) -> None:
        self.world.announce(data.draw(RATES), data.draw(st.sampled_from([-60.0, -1.0, 30.0, 300.0])))

    def limit(self, data: st.DataObject) -> None:
        scope = data.draw(st.sampled_from(["installation", "project", "key"]))
        window = data.draw(st.sampled_from(list(WindowKind)))
        if len(_live(self.world)) < MOST_BUDGETS:
            self.world.limit(scope, window, data.draw(st.sampled_from(ZONES)), data.draw(LIMITS))

    def change_a_limit(self, data: st.DataObject) -> None:
        for budget in _one_of(_live(self.world), data):
            self.world.change_limit(budget, data.draw(LIMITS))

    def end_a_budget(self, data: st.DataObject) -> None:
        if len(_live(self.world)) > 2:
            for budget in _one_of(_live(self.world), data):
                self.world.end_budget(budget)

    def cancel(self, data: st.DataObject) -> None:
        for job in _one_of(list(self.world.model.jobs.values()), data):
            self.world.cancel(job)

    def _unless_cut(self, act: Callable[[], None], breaks: int | None) -> None:
        """Do something, though the connection may break: then nothing has happened."""
        if breaks is not None:
            self.world.breaker.arm(breaks, wholly=False)
        try:
            act()
        except Cut:
            type(self).cuts += 1


def _one_of(several: Sequence[Thing], data: st.DataObject) -> Sequence[Thing]:
    """Give one of them, or none if there are none."""
    return [several[data.draw(st.integers(0, len(several) - 1))]] if several else []


def _idle(world: World) -> list[Hand]:
    return [hand for hand in world.hands if hand.call is None]


def _unsent(world: World) -> list[Hand]:
    return [hand for hand in world.hands if hand.call is not None and not hand.call.arrived]


def _answered(world: World) -> list[Hand]:
    return [hand for hand in world.hands if hand.ending is not None]


def _decidable(world: World) -> list[Call]:
    """Uncertain calls whose request cannot come any more."""
    to_come = [hand.call for hand in _unsent(world)]
    return [call for call in world.model.calls.values() if call.state == "uncertain" and call not in to_come]


def _live(world: World) -> list[Budget]:
    return [budget for budget in world.model.budgets.values() if budget.live]


def _rolling(world: World) -> list[Budget]:
    seen: set[uuid.UUID] = {window.budget_id for window in world.model.windows.values()}
    budgets = world.model.budgets.values()
    return [each for each in budgets if each.id in seen and each.window is not WindowKind.TOTAL]


@pytest.fixture(scope="module")
def server() -> Iterator[OwnPostgres]:
    with own_postgres() as server:
        yield server


@pytest.mark.parametrize("number", SEEDS)
def test_every_promise_of_the_ledger_holds_after_any_history(
    server: OwnPostgres, redis_url: str, number: int
) -> None:
    with server.database(f"machine_{number}") as url, redis.Redis.from_url(redis_url) as client:

        @seed(number)
        class Machine(LedgerMachine):
            calls: ClassVar[Counter[str]] = Counter()
            world = World(url, client, server.restart)

        try:
            run_state_machine_as_test(
                Machine,
                settings=settings(
                    max_examples=STEPS // len(SEEDS) // STEPS_OF_A_HISTORY + 2,
                    stateful_step_count=STEPS_OF_A_HISTORY,
                    phases=(Phase.generate, *SHRINK),
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            Machine.world.close()

    told = f"{Machine.steps} steps, {dict(Machine.calls)}, {Machine.cuts} cuts, {Machine.restarts} kills"
    print(f"seed {number}: {told}")  # noqa: T201 - `make ledger-proof` shows it
    assert Machine.steps >= STEPS // len(SEEDS)
