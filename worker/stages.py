"""What each kind does at its own stages: fixes that cost nothing, what is left to ask, verification."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

from patchmill.call.excerpts import Extent, Holder, Layout, asked_lines, extents
from patchmill.edit.span import Hunk, split_lines
from patchmill.job.record import ErrorCode, KindName, Task
from patchmill.job.retry import Fail
from patchmill.kinds.fix import is_instructed
from patchmill.verify.candidate import Meant
from patchmill.verify.mending import mend
from patchmill.verify.outline.read import read
from patchmill.verify.run import Group, Verdict, unprovable, verify_annotate, verify_fix
from patchmill.verify.tool_fixes import with_checker_fixes
from patchmill.verify.verdict import NOTHING


class Stage(Protocol):
    """The stages of one kind."""

    @property
    def task(self) -> Task:
        """What the job is about."""
        ...

    def own_fixes(self, accepted: Sequence[Group], *, contested: bool) -> Verdict:
        """Verify what the reporting tools offer themselves; costs no tokens.

        A fix is contested when it touches lines of a finding that no tool mends: the model must then see
        those lines as they are, so such fixes come after it.
        """
        ...

    def unusable(self) -> Fail | None:
        """Say why no answer could be verified, before one is paid for."""
        ...

    def remaining(self, resolved: Collection[int]) -> Task:
        """Give the task without the findings that are resolved."""
        ...

    def verify(self, hunks: Sequence[Hunk], accepted: Sequence[Group]) -> Verdict:
        """Verify hunks beside the groups that were accepted before."""
        ...


def layout_of(task: Task) -> Layout | None:
    """Read where a file's imports are and what holds the lines that are asked for, in a process of its own.

    None for a file that is shown whole, and where nothing here can read it.
    """
    asked = asked_lines(task)
    if extents(task)[0] is Extent.WHOLE or not asked:
        return None
    outline = read(split_lines(task.source), asked, (), language=task.language)
    if outline is None or not outline.read:
        return None
    holders = [
        Holder(block=(place.around[0][0], max(last for _, last in place.around)), headers=place.headers)
        for place in outline.places
    ]
    return Layout(imports=outline.import_lines, holders=tuple(holders))


def stage_for(task: Task) -> Stage:
    """Give the stages of the task's kind."""
    stages: dict[KindName, type[FixStage | AnnotateStage]] = {
        KindName.FIX: FixStage,
        KindName.ANNOTATE: AnnotateStage,
    }
    return stages[task.kind](task)


@dataclass(frozen=True)
class FixStage:
    """Findings go away, or an instruction is followed, and nothing new appears."""

    task: Task

    def own_fixes(self, accepted: Sequence[Group], *, contested: bool) -> Verdict:
        """Verify the tools' safe fixes, in rounds, so that as many as possible go together."""
        if not self.task.options.tool_fixes:
            return NOTHING
        return mend(self._with_fixes, accepted, contested=contested, verify=self._verify_meant)

    def unusable(self) -> Fail | None:
        """Say nothing: source that does not parse may be what the findings are about."""
        return None

    def remaining(self, resolved: Collection[int]) -> Task:
        """Give the task without the findings that are resolved."""
        left = tuple(finding for finding in self.task.findings if finding.index not in resolved)
        return replace(self.task, findings=left)

    def verify(self, hunks: Sequence[Hunk], accepted: Sequence[Group]) -> Verdict:
        """Verify by the checkers that reported the findings; what an instruction asks for they cannot."""
        return self._verify(hunks, accepted, ())

    @cached_property
    def _with_fixes(self) -> Task:
        """The task with all safe fixes that are known, asked for once."""
        return with_checker_fixes(self.task)

    def _verify_meant(self, meant: Sequence[Meant], accepted: Sequence[Group]) -> Verdict:
        return self._verify([hunk for one in meant for hunk in one.hunks], accepted, meant)

    def _verify(self, hunks: Sequence[Hunk], accepted: Sequence[Group], meant: Sequence[Meant]) -> Verdict:
        return verify_fix(
            source=self.task.source,
            path=self.task.path,
            language=self.task.language,
            findings=self.task.findings,
            proposals=hunks,
            settings=self.task.checkers,
            reported=self.task.reported,
            scope=None if self.task.scope is None else self.task.scope.as_pair(),
            accepted=accepted,
            meant=meant,
            context=[file.path for file in self.task.context],
            instruction=self.task.instruction or "",
            instructed=is_instructed(self.task),
            encoding=self.task.encoding,
        )


@dataclass(frozen=True, slots=True)
class AnnotateStage:
    """Hints and docstrings are added, and behaviour is provably untouched."""

    task: Task

    def own_fixes(self, accepted: Sequence[Group], *, contested: bool) -> Verdict:  # noqa: ARG002 - none
        """No tool offers annotations."""
        return NOTHING

    def unusable(self) -> Fail | None:
        """Say that nothing can be proven about the source: it cannot be parsed, or nobody here can try."""
        unproven = unprovable(self.task.source, path=self.task.path, language=self.task.language)
        if unproven is None:
            return None
        code = ErrorCode.INTERNAL if unproven.failed else ErrorCode.INVALID_SOURCE
        return Fail(code=code, message=unproven.detail, retryable=unproven.failed)

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
            language=self.task.language,
            encoding=self.task.encoding,
        )
