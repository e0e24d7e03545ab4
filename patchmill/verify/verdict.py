"""The result of verification: groups that may be offered, what was refused, and what to tell the model."""

from collections.abc import Mapping
from dataclasses import dataclass

from patchmill.edit.span import Hunk
from patchmill.job.record import FindingStatus
from patchmill.verify.evidence import Check


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Hunks that need each other and passed; `findings` are the indexes that they settle.

    `status` is verified, or unchecked where no checker could judge the findings that it is for.
    """

    hunks: tuple[Hunk, ...]
    findings: tuple[int, ...]
    checks: tuple[Check, ...]
    status: FindingStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Hunks that are not offered, and the checks that say why."""

    hunks: tuple[Hunk, ...]
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a set of proposed hunks.

    `findings` maps each finding's index to its status and, unless verified, the reason. `feedback` is plain
    text for the model, with line numbers and lines as they are; empty if nothing is left to be done better.
    `unread` says that what reads this language could not read the source now, so that nothing can be said.
    """

    groups: tuple[Group, ...]
    refusals: tuple[Refusal, ...]
    findings: Mapping[int, tuple[FindingStatus, str | None]]
    feedback: str
    unread: bool = False


NOTHING = Verdict(groups=(), refusals=(), findings={}, feedback="")
