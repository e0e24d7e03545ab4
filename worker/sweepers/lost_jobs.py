"""No job runs without a thread that runs it: it is queued again, or ends when that happens too often."""

import uuid

from sqlalchemy import Connection

from patchmill.errors import CancelRequested
from patchmill.job.record import ErrorCode
from patchmill.job.retry import MAX_LOSSES, FailureClass, UnknownPolicy
from patchmill.job.state import State, WaitReason
from patchmill.store import claims, ledger
from patchmill.store.workers import LostJob, lock_lost_jobs
from worker.process import Process

BATCH = 20  # each is a few statements, and a transaction has five seconds


class Sweeper:
    """Takes jobs back from silent workers, and those of this process that none of its threads has in hand.

    The latter come from a claim whose commit was never confirmed, or from a thread that broke. One is
    taken back when it was found so twice, since a thread may have been on its way. A call that was left
    on the wire becomes unknown: its money stays against the caps.
    """

    def __init__(self, process: Process, *, lease_ttl_s: float) -> None:
        self._process = process
        self._lease_ttl_s = lease_ttl_s
        self._suspects: set[tuple[uuid.UUID, int]] = set()

    def sweep(self) -> int:
        """Give the number of jobs moved."""
        with self._process.engine.begin() as connection:
            lost = lock_lost_jobs(
                connection,
                lease_ttl_s=self._lease_ttl_s,
                quarantine_s=self._lease_ttl_s,
                also=self._orphans(connection),
                limit=BATCH,
            )
            for job in lost:
                _take_back(connection, job, self._process.unknown_policy)
        return len(lost)

    def _orphans(self, connection: Connection) -> list[uuid.UUID]:
        mine = claims.running_of(connection, self._process.lease.worker_id)
        unknown = {(job_id, fence) for job_id, fence in mine if job_id not in self._process.running}
        orphans = [job_id for job_id, _ in unknown & self._suspects]
        self._suspects = unknown
        return orphans


def _take_back(connection: Connection, job: LostJob, policy: UnknownPolicy) -> None:
    if job.open_call is not None:
        lost = {"failure": FailureClass.BROKEN, "message": "the worker was lost while the call ran"}
        ending = ledger.Ending(billed=None, phase="unknown", spent=None, values=lost)
        ledger.end_call(connection, job.job_id, job.open_call, ending)
    try:
        _move_on(connection, job, policy)
    except CancelRequested:
        claims.finish(connection, job.job_id, job.fence, State.CANCELLED, {})


def _move_on(connection: Connection, job: LostJob, policy: UnknownPolicy) -> None:
    losses = job.losses + 1
    if job.open_call is not None and policy is UnknownPolicy.FAIL:
        message = "the worker was lost while its call ran; whether it was billed is unknown"
        _fail(connection, job, losses, ErrorCode.CALL_UNKNOWN, message)
    elif losses >= MAX_LOSSES:
        message = f"{losses} times a worker was lost while it ran this job"
        _fail(connection, job, losses, ErrorCode.WORKER_LOST, message)
    else:
        claims.release(
            connection,
            job.job_id,
            job.fence,
            reason=WaitReason.RETRY,
            after_s=0.0,
            refund=False,
            losses=losses,
        )


def _fail(connection: Connection, job: LostJob, losses: int, code: ErrorCode, message: str) -> None:
    error = {"code": code, "message": message, "retryable": True, "details": {}}
    values = {"error": error, "losses": losses}
    claims.finish(connection, job.job_id, job.fence, State.FAILED, values)
