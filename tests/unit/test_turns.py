import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchmill.job.record import Priority
from patchmill.job.turns import (
    AGED_EACH,
    SAME_FILE_AT_MOST,
    SAVED_S,
    DueJob,
    Line,
    Place,
    Shared,
    Turn,
    choose,
    share_out,
)

NAMES = [uuid.UUID(int=number) for number in range(1, 9)]
START = datetime(2026, 11, 27, tzinfo=UTC)
SAVED = SAVED_S * 1_000_000


def line(number: int, *, due: int, reached: int = 0, **more: Any) -> Line:
    turn = Turn(reached=reached, held=0, at=START)
    plain = Line(project_id=NAMES[number], weight=1, in_flight=0, due=due, most=None, turn=turn)
    return replace(plain, **more)


def shared(lines: Sequence[Line], *, window: int = 10, room: int | None = None) -> Shared:
    left = window - sum(each.in_flight for each in lines) if room is None else room
    return share_out(lines, window=window, room=left, furthest=0, now=START)


def test_projects_with_work_for_more_than_the_window_take_turns() -> None:
    order = shared([line(0, due=20_000), line(1, due=20_000)], window=6).order

    assert order == [NAMES[0], NAMES[1]] * 3


def test_what_one_project_does_not_want_goes_to_the_others() -> None:
    given_out = Counter(shared([line(0, due=1), line(1, due=50), line(2, due=50)], window=9).order)

    assert given_out == {NAMES[0]: 1, NAMES[1]: 4, NAMES[2]: 4}


def test_a_project_that_comes_late_is_given_the_next_places() -> None:
    busy = line(0, due=500, in_flight=8, reached=10 * SAVED)

    assert shared([busy, line(1, due=3)]).order == [NAMES[1], NAMES[1]]


def test_a_project_that_was_idle_has_not_saved_up_more_than_there_is_to_save() -> None:
    long_there, back = line(0, due=500, reached=100 * SAVED), line(1, due=500, in_flight=1, reached=5)

    turns = shared([long_there, back], window=100).turns

    assert turns[NAMES[1]].reached == 99 * SAVED


def test_a_turn_moves_on_by_the_time_in_which_places_are_held_over_the_weight() -> None:
    turn = Turn(reached=7, held=3, at=START)

    assert turn.now(START + timedelta(seconds=2), weight=2) == 7 + 3_000_000
    assert turn.now(START - timedelta(hours=1), weight=2) == 7


def test_nobody_passes_its_own_limit() -> None:
    limited = line(0, due=50, in_flight=2, most=3)

    assert Counter(shared([limited, line(1, due=2)]).order) == {NAMES[0]: 1, NAMES[1]: 2}


def test_a_limit_below_what_is_in_flight_interrupts_nobody() -> None:
    assert shared([line(0, due=50, in_flight=5, most=2)]).order == []


@dataclass
class Simulated:
    """Projects whose jobs take so many seconds; what each received, in jobs and in seconds of a place."""

    weights: Sequence[int]
    lengths: Sequence[int]
    window: int
    turns: dict[uuid.UUID, Turn] = field(default_factory=dict)
    running: list[tuple[int, int]] = field(default_factory=list)  # until when, whose
    jobs: Counter[int] = field(default_factory=Counter)
    places: Counter[int] = field(default_factory=Counter)

    def run(self, seconds: int) -> None:
        for second in range(seconds):
            self._begin(second)
            self.places.update(whose for _, whose in self.running)

    def _begin(self, second: int) -> None:
        self.running = [(until, whose) for until, whose in self.running if until > second]
        held = Counter(whose for _, whose in self.running)
        lines = [
            line(each, due=100, weight=weight, in_flight=held[each])
            for each, weight in enumerate(self.weights)
        ]
        result = share_out(
            [replace(each, turn=self.turns.get(each.project_id)) for each in lines],
            window=self.window,
            room=self.window - len(self.running),
            furthest=0,
            now=START + timedelta(seconds=second),
        )
        self.turns |= result.turns
        for name in result.order:
            whose = NAMES.index(name)
            self.jobs[whose] += 1
            self.running.append((second + self.lengths[whose], whose))


@given(st.lists(st.integers(1, 6), min_size=2, max_size=6), st.integers(1, 12), st.integers(1, 4))
def test_jobs_of_equal_length_come_in_proportion_to_the_weights(
    weights: list[int], window: int, length: int
) -> None:
    simulated = Simulated(weights, [length] * len(weights), window)
    simulated.run(120)

    in_rounds = [simulated.jobs[each] / weight for each, weight in enumerate(weights)]
    assert max(in_rounds) - min(in_rounds) <= 3
    assert sum(simulated.places.values()) == 120 * window


@given(st.lists(st.tuples(st.integers(1, 20), st.integers(1, 3)), min_size=2, max_size=5), st.integers(1, 12))
def test_whatever_the_lengths_of_jobs_time_in_places_comes_in_proportion_to_the_weights(
    projects: list[tuple[int, int]], window: int
) -> None:
    lengths, weights = [length for length, _ in projects], [weight for _, weight in projects]
    simulated = Simulated(weights, lengths, window)
    simulated.run(200)

    in_rounds = [simulated.places[each] / weight for each, weight in enumerate(weights)]
    assert max(in_rounds) - min(in_rounds) <= 3 * max(lengths)
    assert sum(simulated.places.values()) == 200 * window


def due(*what: tuple[Priority, bytes], aged: frozenset[int] = frozenset()) -> list[DueJob]:
    return [
        DueJob(id=uuid.UUID(int=number), priority=priority, aged=number in aged, file=file)
        for number, (priority, file) in enumerate(what)
    ]


def numbers(jobs: Sequence[DueJob]) -> list[int]:
    return [job.id.int for job in jobs]


FAST, BULK = Priority.INTERACTIVE, Priority.BULK


def test_interactive_jobs_come_first_and_each_kind_in_the_order_of_submission() -> None:
    chosen, _ = choose(due((BULK, b"1"), (FAST, b"2"), (BULK, b"3"), (FAST, b"4")), 4, Place())

    assert numbers(chosen) == [1, 3, 0, 2]


@pytest.mark.parametrize(("aged", "first_bulk"), [(frozenset({0}), AGED_EACH - 1), (frozenset(), 8)])
def test_a_bulk_job_that_waited_for_long_has_each_fourth_turn(aged: frozenset[int], first_bulk: int) -> None:
    jobs = due((BULK, b"bulk"), *((FAST, bytes([number])) for number in range(8)), aged=aged)

    chosen, place = choose(jobs, 9, Place())

    assert numbers(chosen).index(0) == first_bulk
    assert place.dispatched == 9


def test_whose_turn_it_is_does_not_depend_on_how_many_are_chosen_at_once() -> None:
    jobs = due(*((BULK, b"b"), (FAST, b"i")) * 8, aged=frozenset(range(16)))
    at_once, _ = choose(jobs, 12, Place())

    one_by_one: list[DueJob] = []
    place = Place()
    for _ in range(12):
        chosen, place = choose([job for job in jobs if job not in one_by_one], 1, place)
        one_by_one += chosen

    assert one_by_one == at_once


def test_jobs_about_the_same_file_follow_each_other_without_holding_the_others_up() -> None:
    jobs = due(*([(FAST, b"a"), (FAST, b"b")] * 20))
    chosen, _ = choose(jobs, 40, Place())

    files = b"".join(job.file for job in chosen).decode()
    assert files.startswith("a" * SAME_FILE_AT_MOST + "b")
    assert len(numbers(chosen)) == len(set(numbers(chosen))) == 40
    runs = [len(run) for run in files.replace("ab", "a b").replace("ba", "b a").split()]
    assert max(runs) == SAME_FILE_AT_MOST


def test_a_file_goes_on_where_an_earlier_turn_stopped() -> None:
    place = Place(dispatched=5, file=b"b", same_file=2)

    chosen, place = choose(due((FAST, b"a"), (FAST, b"b")), 1, place)

    assert numbers(chosen) == [1]
    assert place == Place(dispatched=6, file=b"b", same_file=3)
