"""Whose job is dispatched next: first among the projects with due work, then within a project's turn.

Among projects two rules hold together. A project has at most its share of the window in flight, as long
as others have due work: the max-min fair share by weight, rounded up. Of those that have less, the one
whose turn is the furthest behind is next. A turn moves on by the time for which the project's jobs hold
places of the window, over its weight.

Time in places is what is shared, and not the number of jobs, since places are what is scarce: of two
projects of equal weight, the one whose jobs take a minute is given half of the places, and the one whose
jobs take a second the other half. Counted in jobs, the long ones would take nearly all. The share alone
cannot be fair: where there are fewer places than projects, or weights that do not divide them, nothing in
flight tells who went last, and some would never be served. The turn alone would be fair in the end, but a
project that comes late could be made to wait for places that are all taken by long jobs, or take all of
them in its turn.

So in the long run each project with enough to do is served in proportion to its weight, at every moment
it is kept from its share only by jobs that run already, and nobody starves: who is not served falls
behind. This is deficit round robin, with the deficit kept as one number that needs no rounds. A project
that was idle, or held by limits of its own, is at most `SAVED_S` behind: what it left to others is not
owed to it.

The numbers are read and written in the transaction that dispatches, so it does not matter who does.
"""

import heapq
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from patchmill.job.record import Priority

MAX_WEIGHT = 100
SAVED_S = 120  # of one place at weight 1: about what the longest call takes
AS_IF_S = 1  # for the order of those that are dispatched together: what each will hold its place
BULK_AGES_AFTER_S = 300.0  # a bulk job that is due for longer goes before interactive ones now and then
AGED_EACH = 4  # at each so many jobs of a project: its 4th, 8th and so on
SAME_FILE_AT_MOST = 8  # jobs about one file that follow each other

_SECOND = 1_000_000  # turns are kept in microseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """How far a project's turn had come at a time, and how many places it has held since then."""

    reached: int
    held: int
    at: datetime

    def now(self, now: datetime, weight: int) -> int:
        """Say how far it has come."""
        return self.reached + max(0, self.held * ((now - self.at) // timedelta(microseconds=1)) // weight)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A project at one moment: what it has in flight, and how much is due of it.

    `most` is how many it may have in flight by limits of its own; None for any number. `turn` is None before
    its first one.
    """

    project_id: uuid.UUID
    weight: int
    in_flight: int
    due: int
    most: int | None
    turn: Turn | None

    @property
    def wanted(self) -> int:
        """How many it would have in flight if there were no others."""
        wanted = self.in_flight + self.due
        return wanted if self.most is None else max(self.in_flight, min(wanted, self.most))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """Whose jobs are dispatched now, an entry for each job, in order; and the turns that have changed."""

    order: Sequence[uuid.UUID]
    turns: Mapping[uuid.UUID, Turn]


def share_out(lines: Sequence[Line], *, window: int, room: int, furthest: int, now: datetime) -> Shared:
    """Say how many due jobs of which project are dispatched into a room of the window.

    `furthest` is the furthest that the turn of any other project has come.
    """
    come = {line.project_id: 0 if line.turn is None else line.turn.now(now, line.weight) for line in lines}
    behind = max([furthest, *come.values()]) - SAVED_S * _SECOND
    come = {project_id: max(turn, behind) for project_id, turn in come.items()}
    order = _in_turns(lines, come, window=window, room=room)
    turns: dict[uuid.UUID, Turn] = {}
    for line in lines:
        more = order.count(line.project_id)
        held = line.in_flight + more
        if more or held != (0 if line.turn is None else line.turn.held):
            turns[line.project_id] = Turn(reached=come[line.project_id], held=held, at=now)
    return Shared(order=order, turns=turns)


def _in_turns(
    lines: Sequence[Line], come: Mapping[uuid.UUID, int], *, window: int, room: int
) -> list[uuid.UUID]:
    places = _shares(lines, window)
    in_flight = {line.project_id: line.in_flight for line in lines}
    queue = [(come[line.project_id], line.project_id.int, line) for line in lines if line.due]
    heapq.heapify(queue)
    order: list[uuid.UUID] = []
    while queue and len(order) < room:
        turn, tie, line = heapq.heappop(queue)
        if in_flight[line.project_id] >= places[line.project_id]:
            continue
        in_flight[line.project_id] += 1
        order.append(line.project_id)
        heapq.heappush(queue, (turn + AS_IF_S * _SECOND // line.weight, tie, line))
    return order


def _shares(lines: Iterable[Line], window: int) -> dict[uuid.UUID, int]:
    """Give each project's places in the window: what it wants, or its max-min fair share rounded up."""
    places: dict[uuid.UUID, int] = {}
    left = window
    ordered = sorted(lines, key=lambda line: line.wanted / line.weight)
    weights = sum(line.weight for line in ordered)
    for line in ordered:
        fair = -(-left * line.weight // weights)
        places[line.project_id] = min(line.wanted, fair)
        if line.wanted * weights <= left * line.weight:
            left -= line.wanted
            weights -= line.weight
    return places


@dataclass(frozen=True, slots=True, kw_only=True)
class DueJob:
    """A job that may be dispatched; `aged` says that it is a bulk job that was due for long."""

    id: uuid.UUID
    priority: Priority
    aged: bool
    file: bytes  # the digest of its content


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a project stopped: how many of its jobs were dispatched, and how many last of one file."""

    dispatched: int = 0
    file: bytes | None = None
    same_file: int = 0


def choose(due: Iterable[DueJob], number: int, place: Place) -> tuple[list[DueJob], Place]:
    """Choose a project's next jobs, and say where it stops then.

    Interactive ones are first, then bulk ones, each in the order of submission; in every fourth turn the
    oldest bulk job comes first, if it has waited for long. Were all such jobs first, a backlog of hours would
    be before everything interactive. Jobs about the same file follow each other, since what the gateway has
    cached of the file then serves them all.
    """
    left: dict[Priority, list[DueJob]] = {priority: [] for priority in Priority}
    for job in sorted({job.id: job for job in due}.values(), key=lambda job: job.id):
        left[job.priority].append(job)
    chosen: list[DueJob] = []
    while len(chosen) < number and any(left.values()):
        line = _line(left, place.dispatched + 1)
        job = _same_file(line, place) or line[0]
        line.remove(job)
        chosen.append(job)
        place = Place(
            dispatched=place.dispatched + 1,
            file=job.file,
            same_file=place.same_file + 1 if job.file == place.file else 1,
        )
    return chosen, place


def _line(left: Mapping[Priority, list[DueJob]], turn: int) -> list[DueJob]:
    bulk, interactive = left[Priority.BULK], left[Priority.INTERACTIVE]
    if bulk and bulk[0].aged and turn % AGED_EACH == 0:
        return bulk
    return interactive or bulk


def _same_file(line: Sequence[DueJob], place: Place) -> DueJob | None:
    if place.same_file >= SAME_FILE_AT_MOST:
        return None
    return next((job for job in line if job.file == place.file), None)
