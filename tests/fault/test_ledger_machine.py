"""The ledger's promises I1 to I11 after any history, as a machine that tries histories of every sort.

What is promised of the bytes of a stream (I12) is held by tests/unit/test_stream_events.py (however they are
cut), test_stream_truncation.py (what is cut short is never a success) and test_stream_answers.py.
"""

import os
import random
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

from patchmill.budget.prices import Rates
from patchmill.budget.windows import WindowKind
from tests.support.ledger_hands import Hand, Wish
from tests.support.ledger_model import Budget, Call
from tests.support.ledger_world import Cut, World
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
ANSWERS = [
    *("answered", "answered", "answered", "uncounted", "rejected"),
    *("broken_free", "broken_charged", "excessive"),
]


class Dice:
    """Decides what exactly happens in one step.

    A step draws one number of Hypothesis whatever the state is: what there is to choose from depends on time.
    """

    def __init__(self, number: int) -> None:
        self._rng = random.Random(number)

    def pick(self, *options: Thing) -> Thing:
        """Give one of the options."""
        return self._rng.choice(options)

    def flips(self) -> bool:
        """Decide between yes and no."""
        return self._rng.random() < 1 / 2

    def one_of(self, several: Sequence[Thing]) -> Sequence[Thing]:
        """Give one of them, or none if there are none."""
        return [self._rng.choice(several)] if several else []

    def limits(self) -> Limits:
        """Give limits in money and tokens, at least one of them."""
        picos = self.pick(20 * 10**9, 8 * 10**9, 4 * 10**9, 2 * 10**9, 10**9, 0, None)
        tokens = self.pick(200_000, 60_000, 30_000, 12_000, 4_000, 0, None)
        return (10**9, None) if picos is None and tokens is None else (picos, tokens)

    def rates(self) -> Rates:
        """Give a price."""
        return Rates(
            input_picos=self.pick(140_000, 0, 1, 60_000, 300_000),
            cached_picos=self.pick(3_000, 0, 150_000),
            output_picos=self.pick(280_000, 0, 1, 90_000, 900_000),
        )

    def wish(self) -> Wish:
        """Give what a hand wants to ask."""
        wanted = self.pick(900, 1, 4_000)
        return Wish(
            size=self.pick(1, 500, 3_000),
            wanted=wanted,
            floor=min(wanted, self.pick(1, 700)),
            deadline_s=self.pick(1.0, 60.0, 600.0),
        )

    def share(self) -> tuple[int, int, int]:
        """Give how much of its bounds a call uses, in thousandths."""
        return self.pick(0, 1, 333, 999, 1_000), self.pick(0, 500, 1_000), self.pick(0, 1, 333, 999, 1_000)

    def breaks(self) -> int | None:
        """Give how many statements it takes until the connection breaks; most of the time it does not."""
        return self.pick(0, 2, 3, 4, 5, 6, 8, 99) if self._rng.random() < 1 / 8 else None


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
        "submit_run": 3,
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

    There is one rule, which draws what happens: of many rules Hypothesis leaves half out of a history.
    """

    world: World
    steps = 0
    cuts = 0
    restarts = 0
    calls: ClassVar[Counter[str]] = Counter()

    @initialize(number=st.integers(0, 2**32 - 1))
    def begin(self, number: int) -> None:
        dice = Dice(number)
        self.world.begin()
        self.world.limit("installation", dice.pick(*WindowKind), dice.pick(*ZONES), (40 * 10**9, 400_000))

    @invariant()
    def every_promise_holds(self) -> None:
        type(self).steps += 1
        self.world.check()

    @rule(act=st.sampled_from(ACTS), number=st.integers(0, 2**32 - 1))
    def something_happens(self, act: str, number: int) -> None:
        getattr(self, act)(Dice(number))

    def teardown(self) -> None:
        type(self).calls.update(call.state for call in self.world.model.calls.values())

    # The steps of a call

    def hold(self, dice: Dice) -> None:
        self.world.staff()
        for hand in dice.one_of(_idle(self.world)):
            wish = dice.wish()
            self._unless_cut(partial(self.world.hold, hand, wish), dice.breaks())

    def hold_and_send(self, dice: Dice) -> None:
        self.world.staff()
        for hand in dice.one_of(_idle(self.world)):
            self.world.hold(hand, dice.wish())
            if hand.call is not None:
                self.world.send(hand, dice.pick(*ANSWERS), dice.share())

    def send(self, dice: Dice) -> None:
        for hand in dice.one_of(_unsent(self.world)):
            self.world.send(hand, dice.pick(*ANSWERS), dice.share())

    def settle(self, dice: Dice) -> None:
        for hand in dice.one_of(_answered(self.world)):
            self._unless_cut(partial(self.world.settle, hand), dice.breaks())

    def finish(self, dice: Dice) -> None:
        for hand in dice.one_of(_idle(self.world)):
            self.world.finish(hand, again=dice.flips())

    def decide_by_evidence(self, dice: Dice) -> None:
        for call in dice.one_of(_decidable(self.world)):
            self.world.tell(call, self.world.evidence(call))

    # What comes in, once and again

    def submit(self, dice: Dice) -> None:
        self.world.submit(
            dice.pick(0, 1),
            with_key=dice.flips(),
            cap_picos=dice.pick(None, None, 3 * 10**9, 10**9, 2 * 10**8),
            key=dice.pick(None, "a", "b"),
        )

    def submit_run(self, dice: Dice) -> None:
        self.world.submit_run(dice.pick(1, 2, 3), dice.pick(2 * 10**9, 6 * 10**8, 2 * 10**8))

    def deliver_again(self, dice: Dice) -> None:
        for message in dice.one_of(self.world.messages):
            self.world.deliver(message)

    def tell_again(self, dice: Dice) -> None:
        ended = [call for call in self.world.model.calls.values() if call.state in {"settled", "void"}]
        for call in dice.one_of(ended):
            kind = dice.pick("answered", "rejected", "unknown")
            self.world.tell(call, self.world.repeated(kind))

    # What breaks

    def lose_a_worker(self, dice: Dice) -> None:
        for worker_id in dice.one_of(self.world.workers):
            self.world.lose(worker_id, frozen=dice.flips())

    def sweep(self, _dice: Dice) -> None:
        self.world.sweep()

    def wipe_redis(self, _dice: Dice) -> None:
        self.world.wipe_redis()

    def kill_postgres(self, dice: Dice) -> None:
        """Kill all of it in the middle of a settlement, one time in eight."""
        for hand in dice.one_of(_answered(self.world)):
            if dice.pick(*range(8)) == 0:
                type(self).restarts += 1
                self.world.breaker.arm(dice.pick(0, 1, 2, 3, 4, 5), wholly=True)
            self._unless_cut(partial(self.world.settle, hand), None)

    # What time does

    def let_waits_pass(self, _dice: Dice) -> None:
        self.world.make_all_due()

    def roll_over(self, dice: Dice) -> None:
        for budget in dice.one_of(_rolling(self.world)):
            self.world.roll_over(budget)

    def skew_the_clock(self, dice: Dice) -> None:
        self.world.skew(dice.pick(-90, -1, 0, 0, 1, 90))

    # What people do

    def announce_a_price(self, dice: Dice) -> None:
        self.world.announce(dice.rates(), dice.pick(-60.0, -1.0, 30.0, 300.0))

    def limit(self, dice: Dice) -> None:
        scope = dice.pick("installation", "project", "key")
        window = dice.pick(*WindowKind)
        if len(_live(self.world)) < MOST_BUDGETS:
            self.world.limit(scope, window, dice.pick(*ZONES), dice.limits())

    def change_a_limit(self, dice: Dice) -> None:
        for budget in dice.one_of(_live(self.world)):
            self.world.change_limit(budget, dice.limits())

    def end_a_budget(self, dice: Dice) -> None:
        if len(_live(self.world)) > 2:
            for budget in dice.one_of(_live(self.world)):
                self.world.end_budget(budget)

    def cancel(self, dice: Dice) -> None:
        for job in dice.one_of(list(self.world.model.jobs.values())):
            self.world.cancel(job)

    def _unless_cut(self, act: Callable[[], None], breaks: int | None) -> None:
        """Do something, though the connection may break: then nothing has happened."""
        if breaks is not None:
            self.world.breaker.arm(breaks, wholly=False)
        try:
            act()
        except Cut:
            type(self).cuts += 1


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
                    max_examples=STEPS * 6 // 5 // len(SEEDS) // STEPS_OF_A_HISTORY + 2,
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
