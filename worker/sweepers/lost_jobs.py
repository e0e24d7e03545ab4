"""No job runs without a thread that runs it: it waits to run again, or ends when that happens too often."""

import random
from collections.abc import Collection

from sqlalchemy import Connection

from patchmill.errors import CancelRequested
from patchmill.job.retry import MAX_LOSSES, Decision, Fail, UnknownPolicy, after_loss
from patchmill.job.state import State
from patchmill.store import claims, ledger
from patchmill.store.workers import Held, LostJob, lock_lost_job
from worker.outcome import error_of
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
                policy = self._process.policy.changed(job.policy)
                _take_back(connection, job, policy.unknown, self._process.rng)
        return job is not None

    def _orphans(self) -> list[Held]:
        with self._process.engine.begin() as connection:
            mine = claims.running_of(connection, self._process.lease.worker_id)
        unknown = set(mine) - self._process.running.every_one()
        orphans = list(unknown & self._suspects)
        self._suspects = unknown
        return orphans


def _take_back(connection: Connection, job: LostJob, policy: UnknownPolicy, rng: random.Random) -> None:
    unknown = ledger.suspend_open_call(connection, job.job_id, "the worker was lost while the call ran")
    losses = job.losses if job.orphan or not _has_begun(job) else job.losses + 1
    decision = after_loss(losses, orphan=job.orphan, unknown=unknown, policy=policy, rng=rng)
    try:
        _move_on(connection, job, losses, decision)
    except CancelRequested:
        claims.finish(connection, job.job_id, job.fence, State.CANCELLED)


def _has_begun(job: LostJob) -> bool:
    """Whether it can be what its worker died of: one that may lose none more waits for its turn first."""
    return job.apart or job.losses < MAX_LOSSES - 1


def _move_on(connection: Connection, job: LostJob, losses: int, decision: Decision) -> None:
    if isinstance(decision, Fail):
        error = error_of(decision)
        claims.finish(connection, job.job_id, job.fence, State.FAILED, error=error, losses=losses)
        return
    claims.release(
        connection,
        job.job_id,
        job.fence,
        reason=decision.reason,
        after_s=decision.after_s,
        refund=not decision.costs_attempt,
        losses=losses,
    )
