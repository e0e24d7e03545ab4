"""The newest run of a pull request supersedes those before it: what of them nobody has begun is not done."""

import hashlib
import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Connection, Text, Uuid, any_, bindparam, func, select, update

from patchmill.job.state import State
from patchmill.store import jobs as stored_jobs
from patchmill.store.tables import jobs, runs

_LOCK_PULL_REQUEST = select(func.pg_advisory_xact_lock(bindparam("lock", type_=BigInteger)))
_OF_PULL_REQUEST = [
    runs.c.project_id == bindparam("of_project"),
    *(
        runs.c.origin[name].astext.is_not_distinct_from(bindparam(name, type_=Text))
        for name in ("forge", "repository", "pull_request")
    ),
]
# Ids grow with the time of submission. A later request may have been stored before this one.
_NEWEST = (
    select(runs.c.id)
    .where(runs.c.id >= bindparam("run_id"), *_OF_PULL_REQUEST)
    .order_by(runs.c.id.desc())
    .limit(1)
)
_OLDER = (
    select(runs.c.id)
    .where(runs.c.state.in_(["queued", "running"]), runs.c.id < bindparam("newest"), *_OF_PULL_REQUEST)
    .order_by(runs.c.id)
)
_LOCK_UNBEGUN = (
    select(jobs.c.id, jobs.c.run_id, jobs.c.state)
    .where(
        jobs.c.run_id == any_(bindparam("run_ids", type_=ARRAY(Uuid))),
        jobs.c.state.in_([State.QUEUED, State.DISPATCHED]),
    )
    .order_by(jobs.c.id)
    .with_for_update(key_share=True)
)
_THESE = runs.c.id == any_(bindparam("run_ids", type_=ARRAY(Uuid)))
_SUPERSEDE = (
    update(runs).where(_THESE).values(superseded_by=func.coalesce(runs.c.superseded_by, bindparam("newest")))
)
_REQUEST_CANCEL = update(runs).where(_THESE).values(cancel_requested=True)


def settle(
    connection: Connection, project_id: uuid.UUID, run_id: uuid.UUID, origin: Mapping[str, Any]
) -> None:
    """Let the newest run of a new run's pull request supersede all that are open and older.

    Usually that is the new run; of two that are submitted at once it is the one that came last, whichever is
    stored first. Jobs that wait, or are on their way to a worker, are cancelled; those that run are paid for
    already and finish. Without a repository and a pull request in its origin a run supersedes nothing.
    """
    if origin.get("repository") is None or origin.get("pull_request") is None:
        return
    here = {
        "of_project": project_id,
        "forge": origin.get("forge"),
        "repository": origin["repository"],
        "pull_request": str(origin["pull_request"]),
    }
    connection.execute(_LOCK_PULL_REQUEST, {"lock": _lock_of(here)})
    newest = connection.scalars(_NEWEST, {"run_id": run_id, **here}).one()
    older = connection.scalars(_OLDER, {"newest": newest, **here}).all()
    if not older:
        return
    unbegun = connection.execute(_LOCK_UNBEGUN, {"run_ids": older}).all()
    # After the jobs are locked and before they move, as for any cancellation of a run.
    connection.execute(_SUPERSEDE, {"run_ids": older, "newest": newest})
    connection.execute(_REQUEST_CANCEL, {"run_ids": sorted({row.run_id for row in unbegun})})
    stored_jobs.stop(connection, {row.id: State(row.state) for row in unbegun})


def _lock_of(here: Mapping[str, Any]) -> int:
    """Number a pull request: two runs of it settle one after the other, and each sees the other's outcome."""
    digest = hashlib.sha256("\0".join(str(part) for part in here.values()).encode()).digest()
    return int.from_bytes(digest[:8], signed=True)
