"""What an attempt has found so far, and how the job ends with it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Self

from sqlalchemy import Connection

from patchmill.deliver.offer import Offer, rows
from patchmill.edit.protocol import Proposal, Rejection
from patchmill.edit.span import Hunk
from patchmill.job.ladder import SkippedRung
from patchmill.job.record import ErrorCode, FindingStatus, KindName, Outcome
from patchmill.job.retry import Fail
from patchmill.job.state import State
from patchmill.kinds.fix import is_instructed
from patchmill.store import claims
from patchmill.store.claims import Claim
from patchmill.store.results import CheckRow, Found
from patchmill.verify.candidate import lines_of
from patchmill.verify.evidence import CheckName, Result, UnresolvedReason
from patchmill.verify.run import Group, Verdict
from worker.calling import Reply
from worker.stages import Stage


def error_of(fail: Fail) -> dict[str, Any]:
    """Give a failure as the job document's `error`."""
    return {
        "code": fail.code,
        "message": fail.message,
        "retryable": fail.retryable,
        "details": dict(fail.details),
    }


Fate = tuple[FindingStatus, str | None]
_NOTHING_TRIED: Fate = (FindingStatus.UNRESOLVED, UnresolvedReason.NO_EDIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a job ends: with an outcome and what is offered on which evidence, or with the error in `fail`."""

    outcome: Outcome | None
    fail: Fail | None
    offers: tuple[Offer, ...]
    refused: tuple[CheckRow, ...]
    fates: dict[int, Fate]
    timings: dict[str, int]
    skipped: tuple[SkippedRung, ...]
    whole: bool  # nothing but the work itself decided it, so that it serves the same work

    def write(self, connection: Connection, claim: Claim) -> None:
        """End the job and store its suggestions, all or nothing, in one statement.

        Raises:
            LostClaim: the job was taken from this worker; nothing is written.
            CancelRequested: somebody asked to stop the job; nothing is written.
        """
        task = claim.task
        offered, evidence = rows(task.path, task.source, self.offers, encoding=task.encoding)
        claims.finish(
            connection,
            claim.job_id,
            claim.fence,
            State.SUCCEEDED if self.fail is None else State.FAILED,
            outcome=self.outcome,
            error=None if self.fail is None else error_of(self.fail),
            timings=self.timings,
            skipped_rungs=[asdict(rung) for rung in self.skipped],
            serves=self.whole and self.fail is None,
            found=Found(offered=offered, evidence=[*evidence, *self.refused], fates=self.fates),
        )


@dataclass(slots=True, kw_only=True)
class Progress:
    """Everything that one attempt has found so far."""

    claim: Claim
    started: float  # monotonic seconds
    groups: list[Group] = field(default_factory=list)
    offers: list[Offer] = field(default_factory=list)
    refused: list[CheckRow] = field(default_factory=list)
    fates: dict[int, Fate] = field(default_factory=dict)
    clean: bool = False  # the latest answer was accepted whole
    declined: str | None = None
    unusable: str | None = None  # why the latest answer had an edit that belongs nowhere in the file
    unread: bool = False  # the latest verification could not read the source
    skipped: list[SkippedRung] = field(default_factory=list)
    model_ms: int = 0
    verify_s: float = 0.0

    @classmethod
    def of(cls, claim: Claim) -> Self:
        """Begin an attempt."""
        return cls(claim=claim, started=time.monotonic())

    @property
    def mended(self) -> set[int]:
        """The findings that an accepted group mends."""
        return {index for group in self.groups for index in group.findings}

    @property
    def mended_lines(self) -> list[tuple[int, int]]:
        """The lines that accepted edits change: first and last of each."""
        hunks = [hunk for group in self.groups for hunk in group.hunks]
        return [(hunk.start_line, max(hunk.start_line, hunk.end_line)) for hunk in hunks]

    def complete(self) -> bool:
        """Say whether nothing is left to ask for."""
        task = self.claim.task
        if task.kind is KindName.ANNOTATE:
            return self.clean and bool(self.groups)
        if is_instructed(task):
            return bool(self.groups)
        return all(finding.index in self.mended for finding in task.findings)

    @property
    def checker_failed(self) -> bool:
        """Whether a checker could not run, so that nothing can be said of the edits."""
        return self.unread

    def heard(self, reply: Reply) -> None:
        """Count the time of an answer."""
        self.model_ms += reply.model_ms

    def skip(self, rung: SkippedRung) -> None:
        """Remember a rung of the ladder that was not taken, and why."""
        self.skipped.append(rung)

    def decline(self, reason: str) -> None:
        """Remember why the model would change nothing."""
        self.declined = reason

    def take_own(self, stage: Stage, *, contested: bool) -> None:
        """Take what the reporting tools' own safe fixes achieve; see `Stage.own_fixes`."""
        verdict = self._measured(lambda: stage.own_fixes(self.groups, contested=contested))
        for group in verdict.groups:
            title = self._finding_title(group)
            self._add(group, source="tool", safety="safe", title=title, explanation="", reply=None)
        self._judge(verdict, None)

    def take(
        self,
        stage: Stage,
        hunks: Sequence[Hunk],
        proposal: Proposal,
        rejections: Sequence[Rejection],
        reply: Reply,
    ) -> str:
        """Take what a model's answer achieves; give what verification has to say of the rest."""
        task = self.claim.task
        # A part of what an instruction asks for may be worse than nothing: it is all blocks or none.
        tried = () if rejections and is_instructed(task) else hunks
        verdict = self._measured(lambda: stage.verify(tried, self.groups))
        annotates = task.kind is KindName.ANNOTATE
        for group in verdict.groups:
            alone = len(verdict.groups) == 1 or not group.findings
            self._add(
                group,
                source="stand-in" if reply.stand_in else "model",
                safety="safe" if annotates else "unsafe",
                title=proposal.title if alone else self._finding_title(group),
                explanation=proposal.explanation,
                reply=reply,
            )
        self.unusable = next((rejection.reason for rejection in rejections), None)
        for rejection in rejections:
            self._refuse(CheckName.APPLIES, f"{rejection.reason}: {rejection.detail}", reply)
        self.clean = bool(proposal.edits) and not (rejections or verdict.refusals or verdict.feedback)
        self._judge(verdict, reply)
        return verdict.feedback

    def refuse_answer(self, fault: str, reply: Reply) -> None:
        """Keep why a whole answer is of no use."""
        self._refuse(CheckName.APPLIES, fault, reply)

    def _measured(self, verify: Callable[[], Verdict]) -> Verdict:
        started = time.monotonic()
        verdict = verify()
        self.unread = verdict.unread
        self.verify_s += time.monotonic() - started
        return verdict

    def _add(
        self, group: Group, *, source: str, safety: str, title: str, explanation: str, reply: Reply | None
    ) -> None:
        self.groups.append(group)
        self.offers.append(
            Offer(
                hunks=group.hunks,
                findings=group.findings,
                status=group.status,
                source=source,
                safety=safety,
                title=title,
                explanation=explanation,
                evidence=tuple((check.check, check.result, check.detail) for check in group.checks),
                call_id=None if reply is None else reply.call_id,
            )
        )

    def _judge(self, verdict: Verdict, reply: Reply | None) -> None:
        for index, fate in verdict.findings.items():
            known = self.fates.get(index)
            if known is None or (known[0] is not FindingStatus.VERIFIED and fate != _NOTHING_TRIED):
                self.fates[index] = fate
        for refusal in verdict.refusals:
            for check in refusal.checks:
                if check.result is Result.FAILED:
                    self._refuse(check.check, check.detail, reply)

    def _refuse(self, check: CheckName, detail: str, reply: Reply | None) -> None:
        """Keep why an edit is not offered."""
        self.refused.append(
            CheckRow(
                suggestion_id=None,
                call_id=None if reply is None else reply.call_id,
                check=check,
                result=Result.FAILED,
                detail=detail,
            )
        )

    def _finding_title(self, group: Group) -> str:
        finding = next((each for each in self.claim.task.findings if each.index in group.findings), None)
        if finding is None:
            return f"Change {lines_of(group.hunks)}"
        return f"{finding.rule}: {' '.join(finding.message.split())}"[:120]

    def ended(self, now: datetime, *, stopped_by: Fail | None = None) -> Ended:
        """Say how the job ends; with nothing to offer though something was needed, it fails."""
        verdict = self._verdict(stopped_by)
        return Ended(
            outcome=None if isinstance(verdict, Fail) else verdict,
            fail=verdict if isinstance(verdict, Fail) else None,
            offers=tuple(self.offers),
            refused=tuple(self.refused),
            fates=self._final_fates(stopped_by),
            timings=self._timings(now),
            skipped=tuple(self.skipped),
            whole=stopped_by is None and not self.skipped and not self.unread,
        )

    def _verdict(self, stopped_by: Fail | None) -> Outcome | Fail:
        if not self.offers:
            return stopped_by or self._nothing_offered()
        if all(offer.status == FindingStatus.UNCHECKED for offer in self.offers):
            return Outcome.UNCHECKED
        whole = self.complete() and all(offer.status == FindingStatus.VERIFIED for offer in self.offers)
        return Outcome.VERIFIED if whole else Outcome.PARTIAL

    def _nothing_offered(self) -> Outcome | Fail:
        if self.declined is not None and not self.refused:
            if self.claim.task.kind is KindName.ANNOTATE or is_instructed(self.claim.task):
                return Outcome.NO_CHANGE
            message = f"the model declined: {self.declined}"
            return Fail(code=ErrorCode.MODEL_DECLINED, message=message, retryable=False)
        reasons = [f"{row.check}: {row.detail}" for row in self.refused[-3:]]
        message = "no proposed edit passed verification"
        details = {"refused": reasons}
        return Fail(code=ErrorCode.UNVERIFIED, message=message, retryable=True, details=details)

    def _final_fates(self, stopped_by: Fail | None) -> dict[int, Fate]:
        """Leave no finding pending: one that no edit was for is unresolved, with what kept it from one."""
        why: str = UnresolvedReason.NO_EDIT
        if stopped_by is not None:
            why = stopped_by.code
        elif self.declined is not None:
            why = UnresolvedReason.DECLINED
        elif self.unusable is not None:
            why = self.unusable
        fates = {each.index: self.fates.get(each.index, _NOTHING_TRIED) for each in self.claim.task.findings}
        return {
            index: (FindingStatus.UNRESOLVED, why) if fate == _NOTHING_TRIED else fate
            for index, fate in fates.items()
        }

    def _timings(self, now: datetime) -> dict[str, int]:
        spent_ms = round((time.monotonic() - self.started) * 1000)
        total_ms = max(spent_ms, round((now - self.claim.created_at).total_seconds() * 1000))
        return {
            "queued_ms": total_ms - spent_ms,
            "model_ms": self.model_ms,
            "verify_ms": round(self.verify_s * 1000),
            "total_ms": total_ms,
        }
