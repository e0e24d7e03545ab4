"""One job aloud: claim, try the tool's own fixes, ask, apply, verify, ask again with the reason, write down.

This is the only place that knows the order of the stages; each stage is a function elsewhere.
"""

import uuid
from datetime import UTC, datetime

from sqlalchemy.exc import SQLAlchemyError
from structlog.contextvars import bound_contextvars

from patchmill.call.prompt import first_turn, repair_turn
from patchmill.edit.apply import locate
from patchmill.edit.formats import DEFAULT, EDIT_FORMATS
from patchmill.edit.protocol import Proposal, Rejection
from patchmill.errors import CancelRequested, LostClaim
from patchmill.job.record import ErrorCode
from patchmill.job.retry import MAX_ATTEMPTS, Fail, Wait
from patchmill.job.state import State
from patchmill.kinds import KINDS
from patchmill.store import claims
from patchmill.store.claims import Claim
from patchmill.telemetry import get_logger
from worker.calling import Calling, Interrupted, Reply
from worker.outcome import Ended, Progress, error_of
from worker.process import Process, StoppedWhileWriting
from worker.stages import Stage, stage_for

REPAIRS = 1  # how often the first model is told what was wrong before the next one is asked
GROWTH = 4  # an answer that was cut short is asked for again with this many times the tokens

log = get_logger(__name__)


def run_job(process: Process, job_id: uuid.UUID, dispatch_no: int) -> None:
    """Run one job as far as it goes now: to its end, to a wait, or back to the queue."""
    if process.lease.draining or not process.lease.valid():
        return  # the dispatch goes stale and is sent again, to a process that may act
    process.running.add(job_id)
    try:
        with bound_contextvars(job_id=f"job_{job_id.hex}"):
            claim = _claim(process, job_id, dispatch_no)
            if claim is not None:
                _run_claimed(process, claim)
    except StoppedWhileWriting:
        log.warning("stopped before the end could be written; the job is recovered from the database")
    finally:
        process.running.discard(job_id)
        process.wake_dispatcher()


def _claim(process: Process, job_id: uuid.UUID, dispatch_no: int) -> Claim | None:
    try:
        with process.engine.begin() as connection:
            return claims.claim(connection, job_id, dispatch_no, process.lease.worker_id)
    except SQLAlchemyError as error:  # claimed or not, the sweepers find the job
        log.warning("claim failed", error=type(error).__name__)
        return None


def _run_claimed(process: Process, claim: Claim) -> None:
    log.info("claimed", fence=claim.fence, kind=claim.task.kind)
    try:
        _run_to_a_stop(process, claim)
    except CancelRequested:
        _cancel(process, claim)
    except LostClaim as lost:
        log.warning("claim lost; nothing is written", reason=str(lost))


def _run_to_a_stop(process: Process, claim: Claim) -> None:
    """Work until the job ends or waits, and write down which."""
    try:
        ended = _work(process, claim)
        process.persist(lambda connection: ended.write(connection, claim))
        log.info("ended", outcome=ended.outcome, code=ended.fail.code if ended.fail else None)
    except Interrupted as stop:
        _give_back(process, claim, stop)
    except (CancelRequested, LostClaim, StoppedWhileWriting):
        raise
    except Exception:
        log.exception("unexpected error")
        message = "an unexpected error; the log of the worker has the details"
        _fail(process, claim, Fail(code=ErrorCode.INTERNAL, message=message, retryable=True))


def _spent(claim: Claim) -> Fail:
    message = f"{claim.attempts - 1} attempts did not bring the job to an end"
    return Fail(code=ErrorCode.ATTEMPTS_SPENT, message=message, retryable=True)


def _work(process: Process, claim: Claim) -> Ended:
    """Do the job's work and say how it ended; what is verified is kept when the rest cannot be had."""
    if claim.attempts > MAX_ATTEMPTS:
        raise Interrupted(_spent(claim))
    stage = stage_for(claim.task)
    progress = Progress.of(claim)
    progress.take_own(stage.own_fixes())
    stopped_by = None
    if not progress.complete():
        try:
            _ask_models(process, claim, stage, progress)
        except Interrupted as stop:
            if isinstance(stop.decision, Wait):
                raise
            stopped_by = stop.decision
    return progress.ended(datetime.now(UTC), stopped_by=stopped_by)


def _ask_models(process: Process, claim: Claim, stage: Stage, progress: Progress) -> None:
    """Ask the first model, tell it what was wrong, then climb the ladder, until nothing is left to ask."""
    task = stage.remaining(progress.mended)
    kind = KINDS[task.kind]
    edit_format = EDIT_FORMATS[task.options.edit_format or DEFAULT]
    calling = Calling(process, claim, kind)
    messages = first_turn(task, kind, edit_format)
    max_tokens = kind.max_tokens
    for model in _models(process, claim):
        if not calling.may_call_again():
            return
        reply = calling.ask(model, messages, max_tokens=max_tokens)
        if reply.finish_reason == "length" and calling.may_call_again():
            max_tokens *= GROWTH
            reply = calling.ask(model, messages, max_tokens=max_tokens)
        progress.heard(reply)
        proposal = edit_format.parse(reply.text)
        if proposal.declined is not None:
            progress.decline(proposal.declined)
            return
        feedback = _try(stage, progress, proposal, reply)
        if progress.complete():
            return
        messages = repair_turn(messages, reply.text, feedback)


def _models(process: Process, claim: Claim) -> list[str]:
    """Give the models of successive calls: the first one, again with the reason, then the stronger one."""
    options = claim.task.options
    first = options.model or process.ladder.model
    models = [first] * (1 + REPAIRS)
    if options.escalate and first != process.ladder.escalation:
        models.append(process.ladder.escalation)
    return models


def _try(stage: Stage, progress: Progress, proposal: Proposal, reply: Reply) -> str:
    """Locate and verify a proposal's edits; give what to tell the model."""
    scope = stage.task.scope
    located = locate(stage.task.source, proposal.edits, scope=None if scope is None else scope.as_pair())
    rejections = (*proposal.rejections, *located.rejections)
    progress.reject(rejections, reply)
    verdict = stage.verify(located.hunks, progress.groups)
    progress.take(verdict, proposal, reply)
    parts = [*(_tell(rejection) for rejection in rejections), verdict.feedback]
    if not proposal.edits and not rejections:
        parts.append("The answer holds no edit block.")
    return "\n".join(part for part in parts if part)


def _tell(rejection: Rejection) -> str:
    return f"Block {rejection.edit + 1}: {rejection.reason}: {rejection.detail}"


def _give_back(process: Process, claim: Claim, stop: Interrupted) -> None:
    decision = stop.decision
    if isinstance(decision, Fail):
        _fail(process, claim, decision)
        return
    _wait(process, claim, decision, stop.failures_in_a_row)


def _wait(process: Process, claim: Claim, wait: Wait, failures_in_a_row: int) -> None:
    process.persist(
        lambda connection: claims.release(
            connection,
            claim.job_id,
            claim.fence,
            reason=wait.reason,
            after_s=wait.after_s,
            refund=not wait.costs_attempt,
            failures_in_a_row=failures_in_a_row,
        )
    )
    log.info("waits", reason=wait.reason, after_s=round(wait.after_s, 3))


def _fail(process: Process, claim: Claim, fail: Fail) -> None:
    values = {"error": error_of(fail)}
    process.persist(
        lambda connection: claims.finish(connection, claim.job_id, claim.fence, State.FAILED, values)
    )
    log.info("failed", code=fail.code)


def _cancel(process: Process, claim: Claim) -> None:
    process.persist(
        lambda connection: claims.finish(connection, claim.job_id, claim.fence, State.CANCELLED, {})
    )
    log.info("cancelled")
