"""The checkers that read one file together, as if they were one: what is built in, and what the job names."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from patchmill.job.record import ToolEdit
from patchmill.verify.checker import Checker, CheckerFailure, FailureReason, FileReport, Mending
from patchmill.verify.checkers import BY_LANGUAGE
from patchmill.verify.repairs import edits_between
from patchmill.verify.syntax.grammar import BY_LANGUAGE as GRAMMARS

NO_CHECKER = "no_checker"
UNKNOWN_RULE = "unknown_rule"

# Wrappers write more behind a tool's name: `ShellCheck (MegaLinter BASH_SHELLCHECK)`.
_TOOL = re.compile(r"[\w.@/-]+")


@dataclass(frozen=True, slots=True)
class Unjudged:
    """Why a finding cannot be judged, and what there is to say of it in words."""

    reason: str
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """Checkers of one language, no two of which have a rule of the same name.

    `missing` says of other tools why their checkers are not here.
    """

    checkers: tuple[Checker, ...]
    missing: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, language: str, path: str, *, tools: Iterable[str], settings: Mapping[str, Any]) -> "Panel":
        """The checkers of a file: those built in, and those here that tools of findings or settings name.

        Where there is no grammar either, all that are here read the file.
        """
        named = {_tool(tool) for tool in tools}
        every = language not in GRAMMARS
        wanted = [
            checker
            for checker in BY_LANGUAGE.get(language, ())
            if every
            or checker.built_in
            or not named.isdisjoint(checker.tools)
            or (checker.name in settings and checker.reads(path))
        ]
        missing = {one.name: why for one in wanted if (why := one.missing()) is not None}
        return cls(checkers=tuple(one for one in wanted if one.name not in missing), missing=missing)

    @property
    def name(self) -> str:
        """What the checkers are called together."""
        return " with ".join(checker.name for checker in self.checkers)

    @property
    def baseline(self) -> str:
        """In words, the rules that always run."""
        return "; ".join(checker.baseline for checker in self.checkers)

    def rule_of(self, tool: str, rule: str) -> str | Unjudged:
        """The rule of a finding as it is reported here, or why it never is."""
        name = _tool(tool)
        if name in self.missing:
            return Unjudged(FailureReason.CHECKER_UNAVAILABLE, self.missing[name])
        checker = next((one for one in self.checkers if name in one.tools), None)
        if checker is None:
            return Unjudged(NO_CHECKER)
        return checker.canonical_rule(rule) or Unjudged(UNKNOWN_RULE)

    def rule_name(self, rule: str) -> str:
        """What a rule is called in words."""
        owner = self._owner(rule)
        return rule if owner is None else owner.rule_name(rule)

    def rule_page(self, rule: str) -> str:
        """What its checker says of a rule at length."""
        owner = self._owner(rule)
        return "" if owner is None else owner.rule_page(rule)

    def enabled(self, rules: Collection[str], settings: Mapping[str, Any]) -> set[str]:
        """Those of some rules that are on; `settings` are those of all checkers by their names."""
        return {
            rule
            for rule in rules
            if (owner := self._owner(rule)) is not None
            and owner.enabled({rule}, settings.get(owner.name, {}))
        }

    def diagnose(
        self, versions: Sequence[str], *, path: str, rules: Collection[str], settings: Mapping[str, Any]
    ) -> list[FileReport] | CheckerFailure:
        """Check versions of a file by each checker, at the same time; the first that fails fails for all."""

        def ask(checker: Checker) -> list[FileReport] | CheckerFailure:
            own = settings.get(checker.name, {})
            return checker.diagnose(versions, path=path, rules=rules, settings=own)

        if len(self.checkers) == 1:
            return ask(self.checkers[0])
        with ThreadPoolExecutor(max_workers=len(self.checkers)) as pool:
            answers = list(pool.map(ask, self.checkers))
        reports: list[list[FileReport]] = []
        for answer in answers:
            if isinstance(answer, CheckerFailure):
                return answer
            reports.append(answer)
        return [_together(parts) for parts in zip(*reports, strict=True)]

    def repairs(
        self, source: str, *, path: str, rules: Collection[str], settings: Mapping[str, Any]
    ) -> dict[str, tuple[ToolEdit, ...]]:
        """What the checkers' own repairs change, by rule, as far as their reports do not tell it."""
        mended = [
            checker.mended(source, path=path, rules=rules, settings=settings.get(checker.name, {}))
            for checker in self.checkers
            if isinstance(checker, Mending)
        ]
        return {rule: edits_between(source, text) for each in mended for rule, text in each.items()}

    def _owner(self, rule: str) -> Checker | None:
        return next((one for one in self.checkers if one.canonical_rule(rule) == rule), None)


def fixing(language: str) -> Panel | None:
    """The checker of a language that tells fixes which it calls safe; None without one."""
    checker = next((one for one in BY_LANGUAGE.get(language, ()) if one.tells_fixes), None)
    return None if checker is None else Panel(checkers=(checker,))


def _tool(name: str) -> str:
    """A tool's name in small letters, without what others write behind it."""
    match = _TOOL.match(name.strip().lower())
    return "" if match is None else match[0]


def _together(parts: Sequence[FileReport]) -> FileReport:
    return FileReport(
        diagnostics=tuple(found for part in parts for found in part.diagnostics),
        syntax_error=next((part.syntax_error for part in parts if part.syntax_error is not None), None),
    )
