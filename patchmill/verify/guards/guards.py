"""What is read of the file's form beside the checker, and the checks that are made of it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from patchmill.edit.apply import apply_hunks
from patchmill.edit.span import Hunk, split_lines
from patchmill.job.record import Finding
from patchmill.verify.candidate import Candidate, Hunks
from patchmill.verify.checker import Diagnostic
from patchmill.verify.evidence import Check, CheckName, Result
from patchmill.verify.guards.bindings import rebound
from patchmill.verify.guards.duplicates import lost_entries
from patchmill.verify.guards.exchanges import Exchanges
from patchmill.verify.guards.extent import strays
from patchmill.verify.guards.ground import Ground, RuleWords
from patchmill.verify.guards.imports import names_of, no_new_import
from patchmill.verify.guards.invisible import no_invisible
from patchmill.verify.guards.literal import LITERAL, said_otherwise
from patchmill.verify.guards.lookalikes import disguised, lookalikes
from patchmill.verify.guards.losses import Losses
from patchmill.verify.guards.suppression import no_suppression
from patchmill.verify.outline.read import Edited, Outline, read

_SHOWN = 3
# Languages in which two slashes begin a comment, and a hash does not.
_SLASHES = frozenset({
    "javascript", "typescript", "tsx", "go", "rust", "java", "c", "cpp", "csharp", "kotlin", "swift", "json",
    "css", "php",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was read of one candidate: as a whole, and of the hunks in it that no tool vouches for."""

    whole: Edited | None
    own: Edited | None
    own_hunks: Hunks


class Guards:
    """The guards of one source; hunks that a tool or an earlier look `vouched` for are not judged."""

    def __init__(
        self,
        *,
        source: str,
        language: str,
        paths: Sequence[str],
        findings: Mapping[int, Finding],
        vouched: Collection[Hunk],
        newer: bool,
        scoped: bool,
        settled: Collection[int],
        instruction: str,
    ) -> None:
        self._source = source
        self._lines = split_lines(source)
        self._language = language
        self._names = names_of(paths)
        self._findings = findings
        self._vouched = frozenset(vouched)
        self._newer = newer
        self._scoped = scoped
        self._settled = settled
        self._instruction = instruction
        self._outline: Outline | None = None
        self._ground: Ground | None = None

    def look(self, trials: Sequence[Candidate]) -> list[Seen]:
        """Read what candidates make of the source, in one child process."""
        spans = [(one.start_line, max(one.start_line, one.end_line)) for one in self._findings.values()]
        own = [tuple(hunk for hunk in trial.hunks if hunk not in self._vouched) for trial in trials]
        asked = list(dict.fromkeys([*(trial.hunks for trial in trials), *own]))
        outline = read(self._lines, spans, asked, language=self._language, newer=self._newer)
        if outline is not None and self._outline is None:
            self._outline = replace(outline, edited=())
        edited = iter(outline.edited) if outline is not None and outline.read else iter([None] * len(asked))
        found = dict(zip(asked, edited, strict=True))
        return [
            Seen(whole=found[trial.hunks], own=found[hunks], own_hunks=hunks)
            for trial, hunks in zip(trials, own, strict=True)
        ]

    def in_scope(
        self, trial: Candidate, seen: Seen, matches: Mapping[int, Diagnostic], rules: Mapping[int, RuleWords]
    ) -> tuple[Check, bool] | None:
        """Say that hunks take away or add what no finding asks for, if they do.

        With it comes whether other hunks could make that right. Lines that the request allows may be added to
        wherever they are. `rules` has the words for the findings' rules.
        """
        if not seen.own_hunks:
            return None
        if self._ground is None:
            self._ground = Ground.of(
                self._lines,
                self._findings,
                self._outline,
                matches=matches,
                rules=rules,
                settled=self._settled,
                hashes=self._language not in _SLASHES,
            )
        edited = trial.text or ""
        if len(seen.own_hunks) < len(trial.hunks):
            edited = apply_hunks(self._source, seen.own_hunks)
        losses = Losses(self._lines, seen.own_hunks, edited, self._ground)
        wrong, waits = losses.found(), losses.waits()
        doubles = [point.own for point in self._ground.points if point.doubles]
        wrong = wrong or [words for own in doubles for words in lost_entries(self._lines, own, edited)]
        if not wrong and not self._scoped:
            adding = [hunk for number, hunk in enumerate(seen.own_hunks) if not losses.renames_only(number)]
            beyond = strays(adding, self._ground, self._lines)
            waits = all(stray.waits for stray in beyond)
            wrong = [
                f"line {stray.line} is beyond the definition that holds the finding: add nothing there but a "
                "definition or an import that the fix needs"
                for stray in beyond
            ]
        if not wrong:
            wrong = Exchanges(self._lines, seen.own_hunks, self._ground).found()
            waits = bool(wrong)
        if not wrong and self._language in LITERAL:
            wrong = said_otherwise(
                self._lines, seen.own_hunks, self._ground, messages=self._messages(matches)
            )
            waits = bool(wrong)
        if not wrong and self._outline is not None and seen.own is not None:
            wrong = list(rebound(self._outline, seen.own, self._ground, self._lines))
        if not wrong:
            return None
        more = f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        detail = "; ".join(wrong[:_SHOWN]) + more
        return Check(check=CheckName.IN_SCOPE, result=Result.FAILED, detail=detail), waits

    def _messages(self, matches: Mapping[int, Diagnostic]) -> list[str]:
        """What the findings and their checkers say."""
        told = [finding.message for finding in self._findings.values()]
        return told + [found.message for found in matches.values()]

    def checks(self, trial: Candidate, seen: Seen, matches: Mapping[int, Diagnostic]) -> list[Check]:
        """The checks that stand beside the checker's."""
        words = [self._instruction, *self._messages(matches)]
        known = self._outline.names if self._outline else ()
        alike = lookalikes(seen.whole.names, known) if seen.whole else []
        alike += disguised("".join(hunk.replacement for hunk in trial.hunks), self._source)
        new_import = no_new_import(
            seen.own,
            self._outline,
            seen.own_hunks,
            source=self._source,
            language=self._language,
            own=self._names,
            asked=words,
        )
        return [
            no_suppression(trial.hunks),
            new_import,
            no_invisible(trial.hunks, source=self._source, alike=alike),
        ]
