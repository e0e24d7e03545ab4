"""Identical work of a project is done once: who does it, who waits for that, and who is given the result.

A job's `work_key` says what comes out of it (`job/work.py`). The claim computes it, since only the worker
knows whom it would ask, and a unique index lets one job of a key run. The others go back to the queue before
an attempt of theirs begins, and are woken by the end of the one. `served_from` says whose result a job was
given; what has that never serves itself, so that nobody is given what was found for code that is gone.

Whoever waits locks the row of the one it waits for, and whoever ends holds its own before it looks for
those who wait (in the database's function `end_job`): so none is overlooked. Rows of other jobs are only
locked where nobody else holds them, hence without waiting, and no deadlock can come of it.
"""

import uuid
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    LargeBinary,
    Text,
    Uuid,
    any_,
    case,
    cast,
    exists,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import IntegrityError

from patchmill.job.retry import SAME_WORK_ENDS_S, SAME_WORK_POLL_S
from patchmill.job.state import State, WaitReason
from patchmill.store.tables import jobs, projects
from patchmill.store.transitions import Move, given

WAKE_LIMIT = 5_000  # at once, by the end of one job; those who come after them look again by themselves
ONE_AT_WORK = "ix_jobs_at_work"  # the unique index

_other = jobs.alias("other")


def _is(column: ColumnElement[Any], word: str) -> ColumnElement[bool]:
    """Compare with a literal: a plan for any value could not use an index for one."""
    return column == literal_column(f"'{word}'")


_OWN_POLICY = func.convert_to(cast(projects.c.policy, Text), literal_column("'UTF8'"))
_coming = (  # the job to be claimed, with its key: what its task asks for, on the terms of worker and project
    select(
        jobs.c.id,
        jobs.c.project_id,
        func.sha256(
            jobs.c.task_key.op("||")(given("terms", LargeBinary())).op("||")(_OWN_POLICY),
            type_=LargeBinary(),
        ).label("work_key"),
    )
    .join_from(jobs, projects, projects.c.id == jobs.c.project_id)
    .where(jobs.c.id == any_(given("job_ids", ARRAY(Uuid))))
)
_COMING = _coming.cte("coming")
# Its own row comes first: whoever had locked that could else want the row of the one ahead.
_STANDING_BACK = _coming.with_for_update(of=jobs, key_share=True).cte("standing_back")


def _same_as(coming: CTE) -> ColumnElement[bool]:
    return (_other.c.project_id == coming.c.project_id) & (_other.c.work_key == coming.c.work_key)


_SAME = _same_as(_COMING)
_DONE = (
    select(_other.c.id)
    .join_from(_other, _COMING, _SAME)
    .where(_is(_other.c.state, State.SUCCEEDED), _other.c.served_from.is_(None), _other.c.erased_at.is_(None))
    .where(_other.c.work_key.is_not(None))
    .order_by(_other.c.finished_at.desc())  # which is the order of no index that could seem to serve better
    .limit(1)
    .with_for_update(read=True, of=_other, skip_locked=True)  # so that it is not erased while it serves
    .cte("done")
)


_AT_WORK = _is(_other.c.state, State.RUNNING) & _other.c.served_from.is_(None)
# What a claim adds to a job, and when it may.
WORK_KEY = select(_COMING.c.work_key).scalar_subquery()
SERVED_FROM = select(_DONE.c.id).scalar_subquery()
_IS_DONE = exists(select(_DONE.c.id))
_NOBODY_AT_IT = ~exists(select(_other.c.id).join_from(_other, _COMING, _SAME).where(_AT_WORK))
MAY_BEGIN = or_(_IS_DONE, _NOBODY_AT_IT)
IS_NEW = ~_IS_DONE & _NOBODY_AT_IT

_AHEAD = (
    select(_other.c.id)
    .join_from(_other, _STANDING_BACK, _same_as(_STANDING_BACK))
    .where(_AT_WORK)
    .with_for_update(read=True, of=_other, skip_locked=True)
    .cte("ahead")
)
_STAND_BACK = Move(
    State.DISPATCHED,
    State.QUEUED,
    {
        "work_key": select(_STANDING_BACK.c.work_key).scalar_subquery(),
        "wait_reason": WaitReason.SAME_WORK,
        "run_at": func.now()
        + case(
            (exists(select(_AHEAD.c.id)), timedelta(seconds=SAME_WORK_POLL_S)),
            else_=timedelta(seconds=SAME_WORK_ENDS_S),
        ),
    },
    where=[jobs.c.dispatch_no == given("dispatch_no"), jobs.c.task_key.is_not(None)],
)


def stand_back(connection: Connection, job_id: uuid.UUID, dispatch_no: int, terms: bytes) -> bool:
    """Queue a dispatched job again whose claim another one's kept from; False when its message is old."""
    return bool(_STAND_BACK.apply(connection, [job_id], dispatch_no=dispatch_no, terms=terms))


def lost_race(error: IntegrityError) -> bool:
    """Say whether a claim failed because another job of the same work was claimed in the same moment."""
    return getattr(getattr(error.orig, "diag", None), "constraint_name", None) == ONE_AT_WORK
