"""What a reader of events knows: all up to a moment, and the id up to which nothing can come any more."""

from collections import deque
from dataclasses import dataclass

from patchmill.store.events import EventRow, Moment, Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mark:
    """An id that was visible, and those who were writing when it was: nobody else can hold a lower one."""

    newest: int
    writing: frozenset[str]


class KnownEvents:
    """Everything up to the moment `told` is known.

    Up to the id `settled` nothing can appear any more; it is None while that cannot be known, since somebody
    was writing when the reader began. Of `reading`, the next moment, events up to `read_up_to` are known too.
    """

    def __init__(self, told: Snapshot, newest: int, writing: frozenset[str]) -> None:
        """Begin with three looks, in this order: who had ended, the highest visible id, who was writing.

        In another order an event could be above `newest` and no news either, and nobody would tell of it.
        """
        self.told = told
        self.settled = None if writing else newest
        self.reading: Moment | None = None
        self.read_up_to = 0
        self._newest = newest
        self._marks = deque([_Mark(newest=newest, writing=writing)] if writing else [])  # by id
        self._unsettled: list[EventRow] = []

    def take(self, moment: Moment, rows: list[EventRow], *, more: bool) -> list[EventRow]:
        """Take the news up to a moment, or with `more` to come the first of them by id.

        Gives those of runs that are settled by now and were not before, by id.
        """
        self._unsettled += [event for event in rows if event.run_id is not None]
        if more:
            self.reading, self.read_up_to = moment, rows[-1].id
            return []
        newest = max([self._newest, self.read_up_to, *(event.id for event in rows[-1:])])
        self.told, self.reading, self.read_up_to = moment.snapshot, None, 0
        while self._marks and self._marks[0].writing.isdisjoint(moment.before):
            self.settled = self._marks.popleft().newest
        if newest > self._newest:
            self._newest = newest
            self._marks.append(_Mark(newest=newest, writing=moment.after))
        return self._settled_now()

    def holds_back(self, rows: list[EventRow]) -> bool:
        """Say whether any of these, which were the latest news, is one of a run and not settled yet."""
        return any(event.run_id is not None for event in rows) and bool(self._unsettled)

    def _settled_now(self) -> list[EventRow]:
        if self.settled is None:
            return []
        settled = self.settled
        passed = [event for event in self._unsettled if event.id <= settled]
        self._unsettled = [event for event in self._unsettled if event.id > settled]
        return sorted(passed, key=lambda event: event.id)
