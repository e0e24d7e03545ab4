"""A job is given the result of another one of the same work: a copy that is its own, with its evidence."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection, Uuid, bindparam, select

from patchmill.job.record import FindingStatus, Outcome
from patchmill.job.state import State
from patchmill.store import claims, results, shared_time
from patchmill.store import jobs as stored_jobs
from patchmill.store.claims import Claim
from patchmill.store.ids import new_id
from patchmill.store.results import CheckRow, Found, SuggestionRow
from patchmill.store.tables import jobs

STORE = "store"
STAND_IN = "stand-in"  # whoever passes it on: it is never posted to a forge

_OUTCOME = select(jobs.c.outcome).where(jobs.c.id == bindparam("of_job", type_=Uuid))


def serve(connection: Connection, claim: Claim) -> None:
    """End a job with what the job of the same work found that its claim holds; costs no call.

    In the transaction of the claim, so that nothing can happen to either in between.
    """
    doer = claim.served_from
    if doer is None:
        raise ValueError(f"the claim of job {claim.job_id} holds no other job's result")
    outcome = connection.scalars(_OUTCOME, {"of_job": doer}).one()
    offered = results.suggestions_of(connection, [doer])[doer]
    evidence = results.evidence_of(connection, [doer])
    fates = stored_jobs.findings_of(connection, [doer])[doer]
    checked = [check for one in offered for check in evidence.get(one.id, ())]
    copies, checks = _copied(claim.task.path, offered, checked)
    waited_ms = max(0, round((shared_time.now() - claim.created_at).total_seconds() * 1000))
    claims.finish(
        connection,
        claim.job_id,
        claim.fence,
        State.SUCCEEDED,
        outcome=Outcome(outcome),
        timings={"queued_ms": waited_ms, "model_ms": 0, "verify_ms": 0, "total_ms": waited_ms},
        found=Found(
            offered=copies,
            evidence=checks,
            fates={fate.index: (FindingStatus(fate.status), fate.reason) for fate in fates},
        ),
    )


def _copied(
    path: str, offered: Sequence[SuggestionRow], evidence: Sequence[CheckRow]
) -> tuple[list[SuggestionRow], list[CheckRow]]:
    """Copy suggestions for a file of this path, and their checks without the calls, which are another's."""
    ids = {one.id: new_id() for one in offered}
    copies = [
        replace(
            one,
            id=ids[one.id],
            path=path,
            source=one.source if one.source == STAND_IN else STORE,
            requires=tuple(ids[needed] for needed in one.requires),
        )
        for one in offered
    ]
    checks = [
        replace(check, suggestion_id=ids[check.suggestion_id], call_id=None)
        for check in evidence
        if check.suggestion_id is not None
    ]
    return copies, checks
