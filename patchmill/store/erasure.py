"""The code of a job is erased: what was submitted, shown to models, answered and offered.

What stays says what happened without saying it in code: path, hashes, sizes, rules, lines, counts, results of
checks, and the money.
"""

import uuid
from typing import Any

from sqlalchemy import Connection, Uuid, bindparam, case, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import JSONB

from patchmill.errors import Conflict
from patchmill.job.record import ErrorCode
from patchmill.job.state import TERMINAL, State
from patchmill.store import auditing
from patchmill.store.ids import no_such, to_edge
from patchmill.store.tables import calls, checks, findings, jobs, runs, sources, suggestions

_THIS = bindparam("of_job", type_=Uuid())
_LOCK = (
    select(jobs.c.state, jobs.c.project_id, jobs.c.run_id, jobs.c.sha256, jobs.c.erased_at)
    .where(jobs.c.id == _THIS, jobs.c.project_id == bindparam("of_project"), jobs.c.pruned_at.is_(None))
    .with_for_update(key_share=True)
)
_NOTHING = func.jsonb_build_object()
_NO_ITEMS = func.jsonb_build_array()
_KEPT_REQUEST = jobs.c.request.op("||")(
    func.jsonb_build_object("context", _NO_ITEMS, "instruction", None, type_=JSONB)
)
# Of these errors every word is ours, and says nothing of code. Any other may quote it: in what the model
# proposed, in what the gateway said of the request, in what a parser said of the file.
_OUR_WORDS = [
    ErrorCode.BUDGET_EXHAUSTED,
    ErrorCode.OVER_BUDGET,
    ErrorCode.DEADLINE_EXCEEDED,
    ErrorCode.WORKER_LOST,
    ErrorCode.INTERNAL,
]
KEPT_ERROR = case(
    (or_(jobs.c.error.is_(None), jobs.c.error["code"].astext.in_(_OUR_WORDS)), jobs.c.error),
    else_=func.jsonb_build_object(
        "code",
        jobs.c.error["code"],
        "message",
        "what was said here was erased with the code",
        "retryable",
        jobs.c.error["retryable"],
        "details",
        _NOTHING,
        type_=JSONB,
    ),
)
# The columns of a call that may hold code.
ERASED_CALL: dict[str, Any] = {"messages": [], "reply": None, "message": None}
_ERASE = (
    update(calls).where(calls.c.job_id == _THIS).values(ERASED_CALL),
    update(suggestions)
    .where(suggestions.c.job_id == _THIS)
    .values(original="", replacement="", title="", explanation="", committable=False),
    update(checks).where(checks.c.job_id == _THIS).values(detail=""),
    update(findings).where(findings.c.job_id == _THIS).values(message="", fixes=[]),
    update(jobs)
    .where(jobs.c.id == _THIS)
    .values(erased_at=func.coalesce(jobs.c.erased_at, func.now()), request=_KEPT_REQUEST, error=KEPT_ERROR),
)
_OTHERS = jobs.alias("others")
_LOCK_SOURCE = (  # so that no job may come to share it while it goes
    select(sources.c.sha256)
    .where(sources.c.project_id == bindparam("of_project"), sources.c.sha256 == bindparam("digest"))
    .with_for_update()
)
_DROP_SOURCE = (
    update(sources)
    .where(
        sources.c.project_id == bindparam("of_project"),
        sources.c.sha256 == bindparam("digest"),
        ~exists().where(
            _OTHERS.c.project_id == sources.c.project_id,
            _OTHERS.c.sha256 == sources.c.sha256,
            _OTHERS.c.erased_at.is_(None),
        ),
    )
    .values(content=None)
)
_DROP_DIFF = update(runs).where(runs.c.id == bindparam("of_run")).values(diff=None)


def erase(connection: Connection, project_id: uuid.UUID, job_id: uuid.UUID, *, actor: str) -> None:
    """Erase the code of a job that has ended; again, too, should any have come back.

    A file that another job of the project was submitted with too stays until that one is erased. The diff of
    the job's run goes at once: the suggestions of the run's other jobs can then no longer be anchored in it.

    Raises:
        NotFound: the project has no such job.
        Conflict: the job has not ended.
    """
    subject = to_edge("job", job_id)
    job = connection.execute(_LOCK, {"of_job": job_id, "of_project": project_id}).one_or_none()
    if job is None:
        raise no_such("job", subject)
    if State(job.state) not in TERMINAL:
        raise Conflict(
            f"job {subject} is {job.state}; cancel it, or wait for its end, before its code is erased"
        )
    for statement in _ERASE:
        connection.execute(statement, {"of_job": job_id})
    source = {"of_project": project_id, "digest": job.sha256}
    connection.execute(_LOCK_SOURCE, source)
    connection.execute(_DROP_SOURCE, source)
    if job.erased_at is None:
        auditing.record(connection, actor=actor, action="job.erase", subject=subject, details={})
    if job.run_id is not None:
        connection.execute(_DROP_DIFF, {"of_run": job.run_id})
