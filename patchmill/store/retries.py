"""A job that has ended is asked for again: it keeps its identity, its history and what it has spent.

What the earlier try found is removed, since it is no longer what the job says; its calls stay, and the job's
own cap holds over all tries together. Answers that were paid for serve again, unless they are what the job
failed on.
"""

import uuid
from collections.abc import Mapping

from sqlalchemy import (
    ARRAY,
    Connection,
    Float,
    Uuid,
    any_,
    bindparam,
    case,
    cast,
    delete,
    extract,
    func,
    select,
    update,
)

from patchmill.errors import Conflict
from patchmill.job.record import ErrorCode, Outcome
from patchmill.job.state import State
from patchmill.store import auditing
from patchmill.store.ids import no_such, to_edge
from patchmill.store.jobs import JobRow, find
from patchmill.store.tables import checks, findings, jobs, suggestions
from patchmill.store.transitions import Move

ASKED_AGAIN = "asked_again"  # in a job's request: when, and how long its deadline is
_ABOUT_ANSWERS = [ErrorCode.UNVERIFIED, ErrorCode.MODEL_DECLINED]  # the same answers would fail again

_THIS = bindparam("of_job", type_=Uuid())
_LOCK = (
    select(jobs.c.state, jobs.c.outcome, jobs.c.erased_at)
    .where(jobs.c.id == _THIS, jobs.c.project_id == bindparam("of_project"), jobs.c.pruned_at.is_(None))
    .with_for_update(key_share=True)
)
_THESE = any_(bindparam("of_jobs", type_=ARRAY(Uuid)))
_FORGET = (
    delete(checks).where(checks.c.job_id == _THESE),
    delete(suggestions).where(suggestions.c.job_id == _THESE),
    update(findings).where(findings.c.job_id == _THESE).values(status="pending", reason=None),
)
_DEADLINE_S = func.coalesce(
    cast(jobs.c.request[ASKED_AGAIN]["deadline_s"].astext, Float),
    cast(extract("epoch", jobs.c.deadline_at - jobs.c.created_at), Float),
)
_ANSWERS_AFTER = {
    State.SUCCEEDED: jobs.c.calls,
    State.FAILED: case(
        (jobs.c.error["code"].astext.in_(_ABOUT_ANSWERS), jobs.c.calls), else_=jobs.c.answers_after
    ),
    State.CANCELLED: jobs.c.answers_after,
}
_AGAIN = {
    source: Move(
        source,
        State.QUEUED,
        {
            "outcome": None,
            "error": None,
            "finished_at": None,
            "attempts": 0,
            "losses": 0,
            "failures_in_a_row": 0,
            "cancel_requested": False,
            "wait_reason": None,
            "run_at": func.now(),
            "timings": {},
            "skipped_rungs": [],
            "deadline_at": func.now() + func.make_interval(0, 0, 0, 0, 0, 0, _DEADLINE_S),
            "request": jobs.c.request.op("||")(
                func.jsonb_build_object(
                    ASKED_AGAIN, func.jsonb_build_object("at", func.now(), "deadline_s", _DEADLINE_S)
                ),
            ),
            "calls_before": jobs.c.calls,
            "answers_after": answers_after,
            "task_key": None,  # whoever asks again wants it done anew
            "work_key": None,
            "served_from": None,
        },
    )
    for source, answers_after in _ANSWERS_AFTER.items()
}


def retry(connection: Connection, project_id: uuid.UUID, job_id: uuid.UUID, *, actor: str) -> JobRow:
    """Queue a job again that has ended, with fresh limits of attempts, calls and time; give it as it is now.

    Raises:
        NotFound: the project has no such job.
        Conflict: the job has not ended, every finding is verified already, its code was erased, or its run
            is being pruned.
    """
    subject = to_edge("job", job_id)
    locked = connection.execute(_LOCK, {"of_job": job_id, "of_project": project_id}).one_or_none()
    if locked is None:
        raise no_such("job", subject)
    state = State(locked.state)
    _refuse_needless(subject, state, locked.outcome, erased=locked.erased_at is not None)
    auditing.record(
        connection,
        actor=actor,
        action="job.retry",
        subject=subject,
        details={"state": state, "outcome": locked.outcome},
    )
    begin_again(connection, {job_id: state})
    row = find(connection, project_id, job_id)
    if row is None:
        raise no_such("job", subject)
    return row


def begin_again(connection: Connection, locked: Mapping[uuid.UUID, State]) -> None:
    """Forget what ended jobs had found, and queue them again; their rows are locked, by their states."""
    for statement in _FORGET:
        connection.execute(statement, {"of_jobs": list(locked)})
    for source, move in _AGAIN.items():
        these = [job_id for job_id, state in locked.items() if state is source]
        if these:
            move.apply(connection, these)


def _refuse_needless(subject: str, state: State, outcome: str | None, *, erased: bool) -> None:
    if state not in _AGAIN:
        raise Conflict(f"job {subject} is {state}; only a job that has ended can be asked for again")
    if erased:
        raise Conflict(f"the code of job {subject} was erased, so there is nothing left to work on")
    if outcome == Outcome.VERIFIED:
        raise Conflict(f"everything that job {subject} was asked for is verified; there is nothing to do")
