"""One job aloud: claim, try the tool's own fixes, ask, apply, verify, ask again with the reason, write down.

This is the only place that knows the order of the stages; each stage is a function elsewhere.
"""

import uuid

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from structlog.contextvars import bound_contextvars

from patchmill.call.fitting import Question
from patchmill.edit.apply import locate
from patchmill.edit.formats import DEFAULT, EDIT_FORMATS
from patchmill.edit.protocol import EditFormat, Proposal, Rejection
from patchmill.edit.span import split_lines
from patchmill.errors import CancelRequested, LostClaim
from patchmill.job.ladder import Rung, SkippedRung, steps
from patchmill.job.record import ErrorCode
from patchmill.job.retry import MAX_ATTEMPTS, MAX_LOSSES, Fail, Wait, apart, without_checker
from patchmill.job.state import State
from patchmill.kinds import KINDS
from patchmill.store import budget_waiters, claims, dispatch, ledger, serving, shared_time
from patchmill.store.claims import Claim
from patchmill.store.engine import one_by_one, passes, trouble
from patchmill.store.ids import from_edge
from patchmill.store.same_work import lost_race
from patchmill.store.workers import begin_apart
from patchmill.telemetry import get_logger
from patchmill.verify.feedback import quoted
from worker.asking import answer
from worker.calling import Calling, Interrupted, Reply, RungSkipped
from worker.outcome import Ended, Progress, error_of
from worker.process import Process, StoppedWhileWriting
from worker.stages import Stage, layout_of, stage_for

_BROKE_OFF = "the worker broke off while the call was open"

log = get_logger(__name__)


def run_job(process: Process, job_id: uuid.UUID, dispatch_no: int) -> None:
    """Run one job as far as it goes now: to its end, to a wait, or back to the queue."""
    if not process.lease.valid():
        return  # the dispatch goes stale and is sent again, to a process that may act
    if process.lease.draining:
        _give_message_back(process, job_id, dispatch_no)
        return
    in_hand = (job_id, dispatch_no)
    if not process.running.take(in_hand):
        return  # a message may come twice, and whoever has the job keeps it
    try:
        with bound_contextvars(job_id=f"job_{job_id.hex}"):
            _run_dispatched(process, job_id, dispatch_no)
    finally:
        process.running.put_down(in_hand)
        process.wake_dispatcher()


def _give_message_back(process: Process, job_id: uuid.UUID, dispatch_no: int) -> None:
    """Queue a job again whose message came while the process stops, so that it need not go stale first."""
    try:
        with process.engine.begin() as connection:
            dispatch.give_back(connection, job_id, dispatch_no)
    except SQLAlchemyError as error:
        if not passes(error):
            raise
        log.warning("postgres is away; the dispatch goes stale", **trouble(process.engine, error))


def _run_dispatched(process: Process, job_id: uuid.UUID, dispatch_no: int) -> None:
    """Claim the job and run it; what this thread cannot write is found in the database by the sweepers."""
    try:
        claim = _claim(process, job_id, dispatch_no)
        if claim is None:
            return
        log.info("claimed", fence=claim.fence, kind=claim.task.kind)
        if claim.served_from is not None:
            log.info("served from the store", served_from=f"job_{claim.served_from.hex}")
            return
        try:
            _run_to_a_stop(process, claim)
        except CancelRequested:
            process.persist(lambda connection: _cancel(connection, claim))
            log.info("cancelled")
    except LostClaim as lost:
        log.warning("claim lost; nothing is written", reason=str(lost))
    except StoppedWhileWriting:
        log.warning("stopped before the end could be written; the job is recovered from the database")
    except SQLAlchemyError as error:
        if not passes(error):
            raise
        told = trouble(process.engine, error)
        log.warning("postgres is away; the job is recovered from the database", **told)


def _claim(process: Process, job_id: uuid.UUID, dispatch_no: int) -> Claim | None:
    """Claim the job: at once where its work is new, as it mostly is; else by a closer look.

    Of jobs of the same work that are claimed in one moment one is; the others look again and find it at work.
    """
    while True:
        try:
            with one_by_one(process.engine) as connection:
                claim = claims.claim_new(
                    connection, job_id, dispatch_no, process.lease.worker_id, terms=process.terms
                )
            return claim or _claim_same(process, job_id, dispatch_no)
        except IntegrityError as error:
            if not lost_race(error):
                raise


def _claim_same(process: Process, job_id: uuid.UUID, dispatch_no: int) -> Claim | None:
    """Claim the job and end it at once if another job's result serves it, or let it wait for one at work."""
    with process.engine.begin() as connection:
        claim = claims.claim(connection, job_id, dispatch_no, process.lease.worker_id, terms=process.terms)
        if claim is not None and claim.served_from is not None:
            serving.serve(connection, claim)
        return claim


def _run_to_a_stop(process: Process, claim: Claim) -> None:
    """Work until the job ends or waits, and write down which."""
    try:
        ended = _work_apart(process, claim) if claim.losses >= MAX_LOSSES - 1 else _work(process, claim)
        process.persist_at_once(lambda connection: ended.write(connection, claim))
        log.info("ended", outcome=ended.outcome, code=ended.fail.code if ended.fail else None)
    except Interrupted as stop:
        _give_back(process, claim, stop)
    except (CancelRequested, LostClaim, StoppedWhileWriting):
        raise
    except Exception as error:
        if isinstance(error, SQLAlchemyError) and passes(error):
            raise
        log.exception("unexpected error")
        message = "an unexpected error; the log of the worker has the details"
        _fail(process, claim, Fail(code=ErrorCode.INTERNAL, message=message, retryable=True))


def _spent(claim: Claim) -> Fail:
    message = f"{claim.attempts - 1} attempts did not bring the job to an end"
    return Fail(code=ErrorCode.ATTEMPTS_SPENT, message=message, retryable=True)


def _work_apart(process: Process, claim: Claim) -> Ended:
    """Do the work of a job that may lose no worker more, one such job at a time in a process.

    Of those that were lost together once and again, one may be what the process dies of: the next time it
    takes none of the others with it, not even those that were claimed just then.
    """
    if not process.suspect.acquire(blocking=False):
        raise Interrupted(apart(claim.fence - claim.attempts, process.rng))
    try:
        with process.engine.begin() as connection:
            begin_apart(connection, claim.job_id, claim.fence)
        return _work(process, claim)
    finally:
        process.suspect.release()


def _work(process: Process, claim: Claim) -> Ended:
    """Do the job's work and say how it ended; what is verified is kept when the rest cannot be had."""
    if claim.attempts > MAX_ATTEMPTS:
        raise Interrupted(_spent(claim))
    stage = stage_for(claim.task)
    progress = Progress.of(claim)
    progress.take_own(stage, contested=False)
    stopped_by = None
    if not progress.complete():
        stopped_by = stage.unusable()
    if not progress.complete() and stopped_by is None:
        try:
            _ask_models(process, claim, stage, progress)
        except Interrupted as stop:
            if isinstance(stop.decision, Wait):
                raise
            stopped_by = stop.decision
        progress.take_own(stage, contested=True)
    return progress.ended(shared_time.now(), stopped_by=stopped_by)


def _ask_models(process: Process, claim: Claim, stage: Stage, progress: Progress) -> None:
    """Climb the ladder: ask, and tell the next who is asked what was wrong, until nothing is left to ask."""
    task = stage.remaining(progress.mended)
    kind = KINDS[task.kind]
    edit_format = EDIT_FORMATS[task.options.edit_format or DEFAULT]
    calling = Calling(process, claim, kind, edit_format)
    question = Question(
        task=task,
        kind=kind,
        edit_format=edit_format,
        mended=tuple(progress.mended_lines),
        layout=layout_of(task),
    )
    max_tokens = kind.max_tokens
    before: Proposal | None = None
    repeats = False
    for step in steps(process.policy.changed(claim.policy), task.options):
        if repeats and step.rung is Rung.REPAIR:
            progress.skip(SkippedRung(rung=step.rung, model=step.model, reason="same_answer"))
            continue
        try:
            reply, prompt = answer(calling, step, question, max_tokens)
        except RungSkipped as skipped:
            progress.skip(skipped.skipped)
            continue
        max_tokens = max(max_tokens, prompt.max_tokens)
        progress.heard(reply)
        if reply.fault is not None:
            progress.refuse_answer(reply.fault, reply)
            question = prompt.question.repaired(reply.text, f"{reply.fault}.")
            continue
        proposal = edit_format.parse(reply.text)
        if proposal.declined is not None:
            progress.decline(proposal.declined)
            return
        repeats = before is not None and (proposal.edits, proposal.rejections) == (
            before.edits,
            before.rejections,
        )
        before = proposal
        feedback = _try(stage, progress, proposal, reply, edit_format)
        if progress.checker_failed:
            _wait_for_checker(process, claim)
        if progress.complete() or not feedback:
            return
        question = prompt.question.repaired(reply.text, feedback)


def _wait_for_checker(process: Process, claim: Claim) -> None:
    """Try the whole later when a checker could not run; the answer is stored and need not be bought again."""
    wait = without_checker(claim.attempts, process.rng)
    if wait is not None:
        raise Interrupted(wait)


def _try(stage: Stage, progress: Progress, proposal: Proposal, reply: Reply, edit_format: EditFormat) -> str:
    """Locate and verify a proposal's edits; give what to tell the model."""
    scope = stage.task.scope
    located = locate(stage.task.source, proposal.edits, scope=None if scope is None else scope.as_pair())
    rejections = (*proposal.rejections, *located.rejections)
    feedback = progress.take(stage, located.hunks, proposal, rejections, reply)
    lines = [
        edit_format.shown(number, line) for number, line in enumerate(split_lines(stage.task.source), start=1)
    ]
    parts = [*(_tell(rejection, lines) for rejection in rejections), feedback]
    if not proposal.edits and not rejections:
        parts.append("The answer holds no edit block.")
    return "\n".join(part for part in parts if part)


def _tell(rejection: Rejection, lines: list[str]) -> str:
    told = f"Block {rejection.edit + 1}: {rejection.reason}: {rejection.detail}"
    if rejection.near is None:
        return told
    return f"{told}\nThe file has there:\n{quoted(lines, *rejection.near)}"


def _give_back(process: Process, claim: Claim, stop: Interrupted) -> None:
    decision = stop.decision
    if isinstance(decision, Fail):
        _fail(process, claim, decision)
        return
    blocked = decision.blocked

    def write(connection: Connection) -> None:
        claims.release(
            connection,
            claim.job_id,
            claim.fence,
            reason=decision.reason,
            after_s=decision.after_s,
            refund=not decision.costs_attempt,
            failures_in_a_row=stop.server_errors,
            budget=None if blocked is None else blocked.budget,
        )
        budget_id = None if blocked is None or blocked.budget is None else from_edge("bud", blocked.budget)
        if blocked is not None and blocked.used_up and budget_id is not None:
            hold = {"tokens": blocked.tokens, "picos": blocked.picos}
            budget_waiters.look_again(connection, claim.job_id, budget_id, **hold)

    process.persist(write)
    log.info("waits", reason=decision.reason, after_s=round(decision.after_s, 3))


def _fail(process: Process, claim: Claim, fail: Fail) -> None:
    """End the job with an error; a call that an unexpected error left open becomes unknown."""

    def write(connection: Connection) -> None:
        ledger.suspend_open_call(connection, claim.job_id, _BROKE_OFF)
        claims.finish(connection, claim.job_id, claim.fence, State.FAILED, error=error_of(fail))

    process.persist(write)
    log.info("failed", code=fail.code)


def _cancel(connection: Connection, claim: Claim) -> None:
    """End the job as cancelled, and its open call as `_fail` does, which may be how it got here."""
    ledger.suspend_open_call(connection, claim.job_id, _BROKE_OFF)
    claims.finish(connection, claim.job_id, claim.fence, State.CANCELLED)
