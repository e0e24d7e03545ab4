"""Judging edits that are to add hints and docstrings and nothing else."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from patchmill.edit.encoding import UTF_8
from patchmill.edit.span import split_lines
from patchmill.job.record import Annotation, FindingStatus
from patchmill.kinds.checker_settings import target_version
from patchmill.verify.candidate import Candidate, Hunks, candidate
from patchmill.verify.evidence import Check, CheckName, Result
from patchmill.verify.feedback import quoted
from patchmill.verify.grouping import Judgement
from patchmill.verify.guards.invisible import no_invisible
from patchmill.verify.guards.suppression import no_suppression
from patchmill.verify.mypy_hints import NAME as MYPY
from patchmill.verify.mypy_hints import check_hints
from patchmill.verify.proof.prove import Proof, Unproven, prove
from patchmill.verify.proof.refusal import MAY_PASS_TOGETHER, Rule

_SHOWN = 5


class AnnotateJudge:
    """Judges sets of hunks of one file by proof; see `grouping.Judge`."""

    def __init__(
        self,
        *,
        source: str,
        path: str,
        language: str,
        what: frozenset[Annotation],
        settings: Mapping[str, Any],
        scope: tuple[int, int] | None,
        encoding: str = UTF_8,
    ) -> None:
        self._source = source
        self._path = path
        self._language = language
        self._what = what
        self._settings = settings
        self._target = target_version(settings)
        self._scope = scope
        self._encoding = encoding

    def __call__(self, candidates: Sequence[Hunks]) -> list[Judgement]:
        """Judge candidates in one child process."""
        trials = [candidate(self._source, hunks, self._scope, self._encoding) for hunks in candidates]
        texts = [trial.text for trial in trials if trial.usable and trial.text is not None]
        proofs = (
            prove(
                self._source,
                texts,
                path=self._path,
                what=self._what,
                target=self._target,
                language=self._language,
            )
            if texts
            else []
        )
        answers: Iterator[Proof | Unproven] = iter(
            [proofs for _ in texts] if isinstance(proofs, Unproven) else proofs
        )
        judged = [self._judge(trial, next(answers) if trial.usable else None) for trial in trials]
        hinted = MYPY in self._settings and self._language == "python"
        return self._agreeing(trials, judged) if hinted else judged

    def _agreeing(self, trials: Sequence[Candidate], judged: Sequence[Judgement]) -> list[Judgement]:
        """Have mypy look at what is proven, in one more child process."""
        proven = [
            (number, trial.text)
            for number, (trial, judgement) in enumerate(zip(trials, judged, strict=True))
            if judgement.status is not None and trial.text is not None
        ]
        checks = check_hints(self._source, [text for _, text in proven], self._settings)
        answer = list(judged)
        for (number, _), check in zip(proven, checks, strict=True):
            answer[number] = _with(judged[number], check)
        return answer

    def _judge(self, trial: Candidate, proof: Proof | Unproven | None) -> Judgement:
        if proof is None or trial.text is None:
            return _refused(trial, ())
        if isinstance(proof, Unproven):
            parses = Check(check=CheckName.PARSES, result=Result.SKIPPED, detail=proof.detail)
            same = Check(check=CheckName.SAME_BEHAVIOUR, result=Result.SKIPPED, detail="not proven")
            return _refused(trial, (parses, same))
        guards = (no_suppression(trial.hunks), no_invisible(trial.hunks, source=self._source))
        guarded = all(guard.result is Result.PASSED for guard in guards)
        reader = "Python" if self._language == "python" else "tree-sitter"
        checks = (*trial.checks, *_evidence(proof, reader), *guards)
        sound = not proof.refusals and guarded
        return Judgement(
            hunks=trial.hunks,
            checks=checks,
            sound=sound,
            status=FindingStatus.VERIFIED if sound and proof.gain else None,
            gain=proof.gain if sound else 0,
            joinable=guarded and all(refusal.rule in MAY_PASS_TOGETHER for refusal in proof.refusals),
            complaints=tuple(
                f"{refusal.rule}: {refusal.detail}. After the edit:\n"
                f"{quoted(split_lines(trial.text), refusal.line, refusal.line)}"
                for refusal in proof.refusals[:_SHOWN]
            ),
        )


def _with(judgement: Judgement, check: Check) -> Judgement:
    checks = (*judgement.checks, check)
    if check.result is not Result.FAILED:
        return replace(judgement, checks=checks)
    # Another hunk may bring the hint that this one disagrees about.
    return replace(judgement, checks=checks, sound=False, status=None, gain=0, complaints=(check.detail,))


def _refused(trial: Candidate, checks: tuple[Check, ...]) -> Judgement:
    return Judgement(
        hunks=trial.hunks,
        checks=(*trial.checks, *checks),
        sound=False,
        status=None,
        gain=0,
        joinable=False,
        complaints=tuple(check.detail for check in checks if check.check is CheckName.PARSES),
    )


def _evidence(proof: Proof, reader: str) -> tuple[Check, Check]:
    """The checks `parses` and `same_behaviour`."""
    broken = [refusal for refusal in proof.refusals if refusal.rule is Rule.NOT_PARSED]
    if broken:
        return (
            Check(check=CheckName.PARSES, result=Result.FAILED, detail=broken[0].detail),
            Check(check=CheckName.SAME_BEHAVIOUR, result=Result.SKIPPED, detail="it does not parse"),
        )
    parses = Check(check=CheckName.PARSES, result=Result.PASSED, detail=f"{reader} parses it")
    if not proof.refusals:
        detail = f"proven: only hints and docstrings are added ({proof.gain})"
        return parses, Check(check=CheckName.SAME_BEHAVIOUR, result=Result.PASSED, detail=detail)
    words = "; ".join(
        f"{refusal.rule}: line {refusal.line}: {refusal.detail}" for refusal in proof.refusals[:_SHOWN]
    )
    return parses, Check(check=CheckName.SAME_BEHAVIOUR, result=Result.FAILED, detail=words)
