"""No job runs without a thread that runs it: it is queued again, or ends when that happens too often."""

from collections.abc import Collection

from sqlalchemy import Connection

from patchmill.errors import CancelRequested
from patchmill.job.record import ErrorCode
from patchmill.job.retry import MAX_LOSSES, UnknownPolicy
from patchmill.job.state import State, WaitReason
from patchmill.store import claims, ledger
from patchmill.store.workers import Held, LostJob, lock_lost_job
from worker.process import Process

BATCH = 50  # in one go; the clock has other duties


class Sweeper:
    """Takes jobs back from silent workers, and those of this process that none of its threads has in hand.

    The latter come from a claim whose commit was never confirmed, or from a thread that broke. One is
    taken back when it was found so twice, since a thread may have been on its way; it counts as an
    attempt, not as a loss. A call that was left on the wire becomes unknown: its money stays against the
    caps.
    """

    def __init__(self, process: Process, *, lease_ttl_s: float) -> None:
        self._process = process
        self._ttl_s = lease_ttl_s
        self._suspects: set[Held] = set()

    def sweep(self) -> int:
        """Give the number of jobs moved; each is a transaction of its own, for the order of locks."""
        if not self._process.lease.steady():
            return 0
        orphans = self._orphans()
        moved = 0
        while moved < BATCH and self._move_one(orphans):
            moved += 1
        return moved

    def _move_one(self, orphans: Collection[Held]) -> bool:
        with self._process.engine.begin() as connection:
            job = lock_lost_job(
                connection, lease_ttl_s=self._ttl_s, quarantine_s=self._ttl_s, orphans=orphans
            )
            if job is not None:
                _take_back(connection, job, self._process.unknown_policy)
        return job is not None

    def _orphans(self) -> list[Held]:
        with self._process.engine.begin() as connection:
            mine = claims.running_of(connection, self._process.lease.worker_id)
        unknown = set(mine) - self._process.running.every_one()
        orphans = list(unknown & self._suspects)
        self._suspects = unknown
        return orphans


def _take_back(connection: Connection, job: LostJob, policy: UnknownPolicy) -> None:
    unknown = ledger.suspend_open_call(connection, job.job_id, "the worker was lost while the call ran")
    try:
        _move_on(connection, job, fails=unknown and policy is UnknownPolicy.FAIL)
    except CancelRequested:
        claims.finish(connection, job.job_id, job.fence, State.CANCELLED)


def _move_on(connection: Connection, job: LostJob, *, fails: bool) -> None:
    losses = job.losses if job.orphan else job.losses + 1
    if fails:
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
    claims.finish(connection, job.job_id, job.fence, State.FAILED, error=error, losses=losses)
