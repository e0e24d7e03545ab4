"""What each kind does at its own stages: fixes that cost nothing, what is left to ask, verification."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from patchmill.edit.apply import overlap
from patchmill.edit.span import Hunk
from patchmill.job.record import KindName, Task
from patchmill.verify.run import Group, Verdict, verify_annotate, verify_fix
from patchmill.verify.tool_fixes import tool_fix_hunks

NOTHING = Verdict(groups=(), refusals=(), findings={}, feedback="")


class Stage(Protocol):
    """The stages of one kind."""

    @property
    def task(self) -> Task:
        """What the job is about."""
        ...

    def own_fixes(self) -> Verdict:
        """Verify what the reporting tools offer themselves; costs no tokens."""
        ...

    def remaining(self, resolved: Collection[int]) -> Task:
        """Give the task without the findings that are resolved."""
        ...

    def verify(self, hunks: Sequence[Hunk], accepted: Sequence[Group]) -> Verdict:
        """Verify hunks beside the groups that were accepted before."""
        ...


def stage_for(task: Task) -> Stage:
    """Give the stages of the task's kind."""
    stages: dict[KindName, type[FixStage | AnnotateStage]] = {
        KindName.FIX: FixStage,
        KindName.ANNOTATE: AnnotateStage,
    }
    return stages[task.kind](task)


@dataclass(frozen=True, slots=True)
class FixStage:
    """Findings go away, and nothing new appears."""

    task: Task

    def own_fixes(self) -> Verdict:
        """Verify the tools' safe fixes; of those that overlap, the first is taken."""
        if not self.task.options.tool_fixes:
            return NOTHING
        hunks: list[Hunk] = []
        for finding in self.task.findings:
            fix = tool_fix_hunks(self.task.source, finding) or ()
            fresh = [hunk for hunk in fix if hunk not in hunks]
            if not any(overlap(hunk, taken) for hunk in fresh for taken in hunks):
                hunks += fresh
        return self.verify(hunks, ()) if hunks else NOTHING

    def remaining(self, resolved: Collection[int]) -> Task:
        """Give the task without the findings that are resolved."""
        left = tuple(finding for finding in self.task.findings if finding.index not in resolved)
        return replace(self.task, findings=left)

    def verify(self, hunks: Sequence[Hunk], accepted: Sequence[Group]) -> Verdict:
        """Verify by the checkers that reported the findings."""
        return verify_fix(
            source=self.task.source,
            path=self.task.path,
            findings=self.task.findings,
            proposals=hunks,
            settings=self.task.checkers,
            scope=None if self.task.scope is None else self.task.scope.as_pair(),
            accepted=accepted,
        )


@dataclass(frozen=True, slots=True)
class AnnotateStage:
    """Hints and docstrings are added, and behaviour is provably untouched."""

    task: Task

    def own_fixes(self) -> Verdict:
        """No tool offers annotations."""
        return NOTHING

    def remaining(self, resolved: Collection[int]) -> Task:  # noqa: ARG002 - there are no findings
        """Give the task: there are no findings to leave out."""
        return self.task

    def verify(self, hunks: Sequence[Hunk], accepted: Sequence[Group]) -> Verdict:
        """Verify by the proof."""
        return verify_annotate(
            source=self.task.source,
            path=self.task.path,
            what=self.task.what,
            proposals=hunks,
            settings=self.task.checkers,
            scope=None if self.task.scope is None else self.task.scope.as_pair(),
            accepted=accepted,
        )
