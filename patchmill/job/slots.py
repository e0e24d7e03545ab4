"""The account's cap as values: what a process says of its slots, and what it is given."""

from dataclasses import dataclass

URGENT_AFTER_S = 30.0  # a bulk job that waited so long for its slot is served as an interactive one is


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotReport:
    """One process's slots at one moment; until its next report it does not exceed `promised`.

    Urgent is what interactive jobs use or wait for, and bulk jobs that waited for long. `refused` is the mark
    of a call that the gateway refused for want of a slot.
    """

    limit: int
    used: int
    urgent_used: int
    urgent_waiting: int
    bulk_waiting: int
    refused: str | None

    @property
    def wanted(self) -> int:
        """How many slots there is use for."""
        return self.used + self.urgent_waiting + self.bulk_waiting

    @property
    def promised(self) -> int:
        """How many slots may be in use from now on: those of calls that run beyond the limit end, too."""
        return max(self.limit, self.used)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotShare:
    """What one process may use from now on.

    `limit` is the whole account's now, `mark` names the time since it was last cut, and `sought` says that
    other processes wait for slots that are due to them.
    """

    slots: int
    limit: int
    mark: str
    sought: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotUse:
    """The slots of all processes together: how many there are now, and how many calls are in flight."""

    limit: int
    used: int
