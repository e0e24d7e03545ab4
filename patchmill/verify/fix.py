"""Judging edits that are to make findings go away, with the checker that reported them.

Where no checker reads the file there is its grammar alone: then nothing is verified, and what parses is
unchecked.
The same holds for an edit that follows an instruction, since no tool can say whether it does what was meant.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from patchmill.edit.encoding import UTF_8
from patchmill.edit.span import Hunk, split_lines
from patchmill.job.record import Finding, FindingStatus, ToolEdit
from patchmill.kinds.checker_settings import target_version
from patchmill.verify.candidate import Candidate, Hunks, Meant, candidate
from patchmill.verify.checker import CheckerFailure, Diagnostic, FailureReason, FileReport
from patchmill.verify.comparison import Comparison, Version
from patchmill.verify.evidence import Check, CheckName, Result
from patchmill.verify.feedback import quoted
from patchmill.verify.grouping import Judgement
from patchmill.verify.guards.guards import Guards, Seen
from patchmill.verify.panel import Panel, Unjudged
from patchmill.verify.syntax.grammar import BY_LANGUAGE as GRAMMARS
from patchmill.verify.syntax.grammar import Grammar
from patchmill.verify.targets import NOT_REPRODUCED, Targets
from patchmill.verify.verdict import Group

_SHOWN = 5
_NAMES_KNOWN = frozenset({"python", "javascript"})
_IMPORT = re.compile(r"\s*(?:import|from|use|using|require|#include)\b")


class FixJudge:
    """Judges sets of hunks of one file against its findings; see `grouping.Judge`.

    The unchanged file is checked along with the first candidates, so that these cost one process. Findings
    that groups `accepted` before settle are no gain. `instructed` says that a person's instruction
    takes the place of findings: every sound edit may then be offered, as unchecked.
    """

    def __init__(
        self,
        *,
        source: str,
        path: str,
        language: str,
        findings: Sequence[Finding],
        settings: Mapping[str, Any],
        reported: Mapping[str, Sequence[str]],
        scope: tuple[int, int] | None,
        accepted: Sequence[Group] = (),
        meant: Sequence[Meant] = (),
        context: Sequence[str] = (),
        instruction: str = "",
        instructed: bool = False,
        encoding: str = UTF_8,
    ) -> None:
        tools = [finding.tool for finding in findings]
        panel = Panel.of(language, path, tools=tools, settings=settings)
        self._panel = panel if panel.checkers else None
        self._reader: Panel | Grammar | None = self._panel or GRAMMARS.get(language)
        self.targets = Targets.of(findings, panel)
        self.unread = False  # whether the reader failed at the unchanged file, and might not another time
        self.source = source
        self._path = path
        self._language = language
        self._settings = settings
        self._rules = sorted({*self.targets.rules.values(), *_canonical(reported, panel)})
        self._scope = scope
        self._encoding = encoding
        self.accepted = tuple(accepted)
        self.settled = frozenset(index for group in accepted for index in group.findings)
        self._meant = {hunk: one.findings for one in meant for hunk in one.hunks}
        self.instructed = instructed
        self._base: Version | None = None
        self._rule_words = {
            index: (panel.rule_name(rule), panel.rule_page(rule))
            for index, rule in self.targets.rules.items()
        }
        target = target_version(settings)
        self._guards = Guards(
            source=source,
            language=language,
            paths=[path, *context],
            findings=self.targets.findings,
            vouched=[*(hunk for group in accepted for hunk in group.hunks), *self._meant],
            scoped=scope is not None,
            settled=self.settled,
            instruction=instruction,
            newer=target is not None and target > sys.version_info[:2],
        )

    def __call__(self, candidates: Sequence[Hunks]) -> list[Judgement]:
        """Judge candidates in one checker process, or two if a candidate makes the checker fail.

        The guards read the same candidates meanwhile, in a process of their own.
        """
        trials = [candidate(self.source, hunks, self._scope, self._encoding) for hunks in candidates]
        usable = [trial for trial in trials if trial.usable]
        with ThreadPoolExecutor(max_workers=1) as beside:
            looked = beside.submit(self._guards.look, usable) if usable else None
            reports = iter(self._reports([trial.text for trial in usable if trial.text is not None]))
        seen = iter(looked.result() if looked else ())
        return [
            self._judge(trial, next(reports), next(seen)) if trial.usable else _inapplicable(trial)
            for trial in trials
        ]

    @property
    def parses_only(self) -> bool:
        """Whether there is a grammar alone to judge by."""
        return self._panel is None

    @property
    def knows_names(self) -> bool:
        """Whether a checker reports every name that is not there; Oxlint says nothing of types."""
        return self._panel is not None and self._language in _NAMES_KNOWN

    def aims(self, hunks: Sequence[Hunk]) -> list[int]:
        """The findings that hunks are for."""
        told = [self._meant[hunk] for hunk in hunks if hunk in self._meant]
        return sorted(frozenset().union(*told)) if told else self.targets.near(hunks)

    def wants(self, hunk: Hunk) -> bool:
        """Whether it shows what a hunk is for: a finding that it touches, or an import for those that do."""
        added = [line for line in split_lines(hunk.original + hunk.replacement) if line.strip()]
        return hunk in self._meant or self.targets.touched(hunk) or all(map(_IMPORT.match, added))

    def _reports(self, texts: Sequence[str]) -> list[FileReport | CheckerFailure | None]:
        """A report for each text, after reading the unchanged file if that is still to do."""
        if self._reader is None:
            return [None for _ in texts]
        if self._base is not None:
            return self._diagnose(texts)
        with ThreadPoolExecutor(max_workers=1) as beside:
            mending = beside.submit(self._own_repairs)
            base, *reports = self._diagnose([self.source, *texts])
        if isinstance(base, CheckerFailure) and texts:
            # Whose fault was it? If the unchanged file passes alone, a candidate's.
            base = self._diagnose([self.source])[0]
        if isinstance(base, FileReport):
            base = base.with_repairs(mending.result())
            self._base = Version(text=self.source, report=base)
            if self._panel is not None:
                self.targets = self.targets.met(base, self._panel, self._settings)
        elif base is not None:
            self.unread = base.reason is FailureReason.CHECKER_FAILED and not base.lasting
            if self._panel is not None:
                self.targets = self.targets.failed(base)
        return reports

    def _own_repairs(self) -> Mapping[str, Sequence[ToolEdit]]:
        """What the checkers' own repairs change in the unchanged file, where they do not tell it anyway."""
        if self._panel is None:
            return {}
        rules = sorted(set(self.targets.rules.values()))
        return self._panel.repairs(self.source, path=self._path, rules=rules, settings=self._settings)

    def _diagnose(self, texts: Sequence[str]) -> list[FileReport | CheckerFailure | None]:
        if self._reader is None or not texts:
            return []
        reports = self._reader.diagnose(texts, path=self._path, rules=self._rules, settings=self._settings)
        return [reports for _ in texts] if isinstance(reports, CheckerFailure) else [*reports]

    def _judge(self, trial: Candidate, report: FileReport | CheckerFailure | None, seen: Seen) -> Judgement:
        gone, new = self._compare(trial, report)
        wrong = report.syntax_error if isinstance(report, FileReport) else None
        if self._panel is None:  # all that a grammar reports are places that do not parse
            wrong, new = wrong or next(iter(new or ()), None), None
        near = self.aims(trial.hunks)
        checks, scoped = trial.checks, self._in_scope(trial, seen)
        if scoped is not None:
            checks = (*(check for check in checks if check.check is not CheckName.IN_SCOPE), scoped[0])
        bans = self._guards.checks(trial, seen, self.targets.matches)
        guards = [self._parses(report, wrong, seen), self._nothing_new(new), *bans]
        failing = [guard.result for guard in (*checks, *guards)].count(Result.FAILED)
        sound = guards[0].result is Result.PASSED and not failing
        wanted = [index for index in near if index not in self.settled]
        unjudged = self.instructed or (
            bool(wanted) and all(index in self.targets.unchecked for index in wanted)
        )
        gain = len(set(gone) - self.settled)
        status = _status(sound=sound, achieves=gain > 0, unjudged=unjudged)
        return Judgement(
            hunks=trial.hunks,
            checks=(*checks, guards[0], *self._about_findings(gone, near, report), *guards[1:]),
            sound=sound,
            status=status,
            gain=gain,
            # What stands elsewhere cures no such thing, except that lines may have moved there.
            joinable=all(ban.result is not Result.FAILED for ban in bans)
            and (scoped is None or scoped[1] or not any(hunk.replacement.strip() for hunk in trial.hunks)),
            findings=tuple(near if status is FindingStatus.UNCHECKED else gone),
            complaints=tuple(
                _shown(found, trial.text or "") for found in ([wrong] if wrong else new or [])[:_SHOWN]
            ),
        )

    def _in_scope(self, trial: Candidate, seen: Seen) -> tuple[Check, bool] | None:
        """Why hunks are beside the point of the findings, if they are, and whether others could mend that.

        An instruction may want anything.
        """
        if self.instructed:
            return None
        return self._guards.in_scope(trial, seen, self.targets.matches, self._rule_words)

    def _compare(
        self, trial: Candidate, report: FileReport | CheckerFailure | None
    ) -> tuple[list[int], list[Diagnostic] | None]:
        """The findings that are gone, and what is new; None where there is nothing to compare with."""
        if self._base is None or trial.text is None or not isinstance(report, FileReport):
            return [], None
        if report.syntax_error is not None:
            return [], None
        edited = Version(text=trial.text, report=report)
        comparison = Comparison(self._base, edited, trial.hunks)
        gone = sorted(comparison.gone(self.targets.matches))
        # A file that did not parse had most of its problems still hidden: they are not the edit's.
        return gone, comparison.new() if self._base.report.syntax_error is None else None

    def _parses(
        self, report: FileReport | CheckerFailure | None, wrong: Diagnostic | None, seen: Seen
    ) -> Check:
        if report is None:
            detail = "nothing here reads this language"
            return Check(check=CheckName.PARSES, result=Result.SKIPPED, detail=detail)
        if isinstance(report, CheckerFailure):
            result = Result.SKIPPED if self._base is None else Result.FAILED
            return Check(check=CheckName.PARSES, result=result, detail=f"no answer: {report.detail}")
        if wrong is None and seen.whole is not None and seen.whole.fault is not None:
            return Check(check=CheckName.PARSES, result=Result.FAILED, detail=seen.whole.fault)
        if wrong is None:
            was_wrong = self._panel is None and self._base is not None and self._base.report.diagnostics
            does = "parses it no worse than the source" if was_wrong else "parses it"
            return Check(check=CheckName.PARSES, result=Result.PASSED, detail=self._words(does))
        detail = f"line {wrong.start_line} of the edited file: {wrong.message}"
        return Check(check=CheckName.PARSES, result=Result.FAILED, detail=detail)

    def _about_findings(
        self, gone: Sequence[int], near: Sequence[int], report: FileReport | CheckerFailure | None
    ) -> tuple[Check, Check]:
        """The checks `reproduced` and `finding_gone`, for what is gone or else for what the edit is near."""
        matches = self.targets.matches
        met = [*gone] or [index for index in near if index in matches]
        if not met:
            reasons = "; ".join(f"{self._name(index)}: {self.targets.why_unchecked(index)}" for index in near)
            looked = NOT_REPRODUCED in (self.targets.unchecked[index] for index in near)
            result = Result.FAILED if looked else Result.SKIPPED
            none = "an instruction is no finding" if self.instructed else "no finding near this edit"
            return (
                Check(check=CheckName.REPRODUCED, result=result, detail=reasons or none),
                Check(check=CheckName.FINDING_GONE, result=Result.SKIPPED, detail="nothing to look for"),
            )
        places = "; ".join(f"{self._name(index)} at line {matches[index].start_line}" for index in met)
        reproduced = Check(check=CheckName.REPRODUCED, result=Result.PASSED, detail=places)
        names = ", ".join(dict.fromkeys(self._name(index) for index in met))
        if gone:
            return reproduced, Check(check=CheckName.FINDING_GONE, result=Result.PASSED, detail=names)
        if not isinstance(report, FileReport) or report.syntax_error is not None:
            detail = "the edited file cannot be checked"
            return reproduced, Check(check=CheckName.FINDING_GONE, result=Result.SKIPPED, detail=detail)
        detail = f"still reported: {names}"
        return reproduced, Check(check=CheckName.FINDING_GONE, result=Result.FAILED, detail=detail)

    def _nothing_new(self, new: Sequence[Diagnostic] | None) -> Check:
        if new is None:
            lacking = "no checker reads this language"
            detail = lacking if self._panel is None else "there are no two reports to compare"
            return Check(check=CheckName.NOTHING_NEW, result=Result.SKIPPED, detail=detail)
        if not new:
            ours = self._panel.baseline if self._panel else "none"
            detail = self._words(f"reports nothing new among the findings' rules, {ours}")
            return Check(check=CheckName.NOTHING_NEW, result=Result.PASSED, detail=detail)
        words = "; ".join(f"{found.rule} {found.message} (line {found.start_line})" for found in new[:_SHOWN])
        more = f"; and {len(new) - _SHOWN} more" if len(new) > _SHOWN else ""
        return Check(check=CheckName.NOTHING_NEW, result=Result.FAILED, detail=words + more)

    def _name(self, index: int) -> str:
        finding = self.targets.findings[index]
        return f"{finding.tool} {finding.rule}"

    def _words(self, does: str) -> str:
        return f"{self._panel.name if self._panel else 'tree-sitter'} {does}"


def _inapplicable(trial: Candidate) -> Judgement:
    """What is said of hunks that make no text, or leave the scope."""
    return Judgement(hunks=trial.hunks, checks=trial.checks, sound=False, status=None, gain=0, joinable=False)


def _canonical(reported: Mapping[str, Sequence[str]], panel: Panel) -> set[str]:
    """The rules that checkers know among those that tools have reported."""
    named = {panel.rule_of(tool, rule) for tool, rules in reported.items() for rule in rules}
    return {rule for rule in named if not isinstance(rule, Unjudged)}


def _status(*, sound: bool, achieves: bool, unjudged: bool) -> FindingStatus | None:
    """Verified if it made a finding go, unchecked if its findings are such as nobody here can judge."""
    if not sound:
        return None
    if achieves:
        return FindingStatus.VERIFIED
    return FindingStatus.UNCHECKED if unjudged else None


def _shown(found: Diagnostic, text: str) -> str:
    """A diagnostic of the edited file, with the lines that it is about."""
    words = f"After the edit, line {found.start_line}: {found.rule} {found.message}"
    return f"{words}\n{quoted(split_lines(text), found.start_line, found.end_line)}"
