"""What a checker is: a static tool that reads several versions of one file and reports what it finds."""

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Protocol, Self, runtime_checkable

from patchmill.job.record import ToolEdit
from patchmill.verify.evidence import tellable

# Where a file cannot be parsed, the fault may be some lines away from where it shows.
_BROKEN_NEAR = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One report of a checker: lines 1-based, both included; columns 1-based code points, end exclusive.

    `marks` are further lines that the checker points at, as pairs of first and last: where two places make
    one problem, tools differ in which of them they name. `fix` is the repair that the checker itself calls
    safe, if it has one; `repair` is one of its own, safe or not, and `reach` are the lines that this changes.
    """

    rule: str
    message: str
    start_line: int
    start_column: int
    end_line: int
    end_column: int
    marks: tuple[tuple[int, int], ...] = ()
    fix: tuple[ToolEdit, ...] = ()
    repair: tuple[ToolEdit, ...] = ()

    @property
    def reach(self) -> tuple[tuple[int, int], ...]:
        """The lines; an end before the first column of a line does not touch that line."""
        return tuple((edit.start_line, edit.end_line - (edit.end_column == 1)) for edit in self.repair)

    def with_marks(self, *lines: tuple[int, int]) -> Self:
        """The same, with further lines that it points at."""
        return replace(self, marks=(*self.marks, *lines))

    def __post_init__(self) -> None:
        """Take out of the message what could not be told: it quotes what was read."""
        object.__setattr__(self, "message", tellable(self.message))


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """What a checker says about one version: its diagnostics, and the first syntax error if there is one."""

    diagnostics: tuple[Diagnostic, ...]
    syntax_error: Diagnostic | None

    @classmethod
    def of(cls, diagnostics: Sequence[Diagnostic], *, syntax_error: str) -> Self:
        """Give the report of a checker that calls syntax errors by this rule: each may be some lines away."""
        told = tuple(
            found.with_marks((found.start_line - _BROKEN_NEAR, found.end_line + _BROKEN_NEAR))
            if found.rule == syntax_error
            else found
            for found in diagnostics
        )
        first = next((found for found in told if found.rule == syntax_error), None)
        return cls(diagnostics=told, syntax_error=first)

    def with_repairs(self, repairs: Mapping[str, Sequence[ToolEdit]]) -> Self:
        """The report with what the checker's own repairs change, by rule, for what tells none itself.

        What is changed belongs to the last diagnostic of its rule that begins before, or on that line.
        """
        begins: dict[str, list[int]] = {}
        for found in self.diagnostics:
            if found.rule in repairs and not found.repair:
                begins.setdefault(found.rule, []).append(found.start_line)
        changed: dict[tuple[str, int], list[ToolEdit]] = {}
        for rule, lines in begins.items():
            lines.sort()
            for edit in repairs[rule]:
                last = edit.end_line - (edit.end_column == 1)
                line = lines[max(0, bisect_right(lines, max(last, edit.start_line)) - 1)]
                changed.setdefault((rule, line), []).append(edit)
        told = (changed.get((found.rule, found.start_line)) for found in self.diagnostics)
        return replace(
            self,
            diagnostics=tuple(
                replace(found, repair=tuple(edits)) if edits and not found.repair else found
                for found, edits in zip(self.diagnostics, told, strict=True)
            ),
        )


class FailureReason(StrEnum):
    """Why a checker gave no reports at all; also the reason that a finding then carries."""

    CHECKER_UNAVAILABLE = "checker_unavailable"
    CHECKER_FAILED = "checker_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckerFailure:
    """A checker that could not do its work, and what became of it in words.

    `lasting` says that the same work would end so again.
    """

    reason: FailureReason
    detail: str
    lasting: bool = False

    def __post_init__(self) -> None:
        """Take out of the detail what could not be told: it may quote what was read."""
        object.__setattr__(self, "detail", tellable(self.detail))


class Checker(Protocol):
    """A static tool. It may be given hostile text, so it must never execute or obey what it reads.

    `tools` are the tools, in lower case, whose findings it can reproduce. `baseline` names in words the rules
    that it always runs, so that an edit that breaks the code shows. `tells_fixes` says whether its
    diagnostics come with the fixes that it calls safe. What is `built_in` reads every file of its language;
    what an extra brings reads those alone that have findings of it, or for which the settings name it and
    that it `reads` by their path.
    """

    name: str
    tools: frozenset[str]
    baseline: str
    tells_fixes: bool
    built_in: bool

    def missing(self) -> str | None:
        """Say what brings this checker, as a sentence; None if it is here."""
        ...

    def reads(self, path: str) -> bool:
        """Whether a file of its language is one for this checker, by its path."""
        ...

    def canonical_rule(self, rule: str) -> str | None:
        """The rule as `diagnose` reports it, from the way in which a finding names it; None if unknown."""
        ...

    def rule_name(self, rule: str) -> str:
        """What a canonical rule is called in words, such as `unused-import`."""
        ...

    def rule_page(self, rule: str) -> str:
        """What the checker itself says of a canonical rule at length, with code; empty if it says nothing."""
        ...

    def enabled(self, rules: Collection[str], settings: Mapping[str, Any]) -> set[str]:
        """Those of some rules, in their canonical form, that are on; all are where settings do not say."""
        ...

    def diagnose(
        self, versions: Sequence[str], *, path: str, rules: Collection[str], settings: Mapping[str, Any]
    ) -> list[FileReport] | CheckerFailure:
        """Check versions of the file at `path`, in one process, for `rules` and for plain errors.

        `rules` are canonical; `settings` are this checker's own. Gives one report for each version, in order.
        """
        ...


@runtime_checkable
class Mending(Protocol):
    """A checker that makes repairs of its own and does not tell them in its report."""

    def mended(
        self, source: str, *, path: str, rules: Collection[str], settings: Mapping[str, Any]
    ) -> Mapping[str, str]:
        """A file as it is once all that can be repaired of a rule is, safe or not, for each rule by itself.

        Rules of which nothing is repaired are left out.
        """
        ...
