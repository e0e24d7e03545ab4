"""A worker takes a job, keeps it, and gives it back: claims by compare-and-set, fenced by their number.

Taking a job is one statement: it writes job, attempt, event and run, and reads all that the work needs. Its
end is one statement, too, the database's function `end_job`.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb
from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    Insert,
    Integer,
    Interval,
    RowMapping,
    Text,
    Update,
    Uuid,
    bindparam,
    func,
    insert,
    select,
    update,
)

from patchmill.edit.encoding import UTF_8
from patchmill.errors import CancelRequested, LostClaim
from patchmill.job.record import (
    Annotation,
    ContextFile,
    KindName,
    Options,
    Outcome,
    Priority,
    Scope,
    Task,
)
from patchmill.job.state import State, WaitReason
from patchmill.store import run_progress, same_work
from patchmill.store.results import NOTHING, Found
from patchmill.store.retries import ASKED_AGAIN
from patchmill.store.tables import attempts, calls, jobs, projects, runs, sources
from patchmill.store.task_findings import as_findings, findings_of
from patchmill.store.transitions import Move, given
from patchmill.store.workers import Held


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReply:
    """An answer that was paid for, of at most `max_tokens`: it serves the same request again."""

    call_id: uuid.UUID
    turn: str
    max_tokens: int
    text: str
    finish_reason: str
    fault: str | None
    stand_in: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A job in this worker's hands: its task, and what earlier attempts left behind."""

    job_id: uuid.UUID
    project_id: uuid.UUID
    key_id: uuid.UUID | None
    fence: int
    attempts: int
    billed_calls: int  # settled or uncertain, since the job was last asked for
    failures_in_a_row: int
    losses: int  # of its worker, while it was in its hands
    max_cost_picos: int | None
    created_at: datetime  # or when it was last asked for again
    deadline_at: datetime | None
    policy: Mapping[str, Any]  # what its project has set of the ladder
    task: Task
    replies: tuple[StoredReply, ...]
    served_from: uuid.UUID | None  # the job of the same work whose result it is to be given


def _open_attempt(moved: CTE) -> Insert:
    claimed = select(moved.c.id, moved.c.fence, given("worker_id", Uuid()))
    return insert(attempts).from_select(["job_id", "fence", "worker_id"], claimed)


def _read(moved: CTE) -> Sequence[ColumnElement[Any]]:
    """Read what belongs to a claimed job: its source, its project's policy, its run's rules, its findings."""
    shared = (sources.c.project_id == moved.c.project_id) & (sources.c.sha256 == moved.c.sha256)
    return [
        select(sources.c.content).where(shared).scalar_subquery().label("content"),
        select(projects.c.policy)
        .where(projects.c.id == moved.c.project_id)
        .scalar_subquery()
        .label("policy"),
        select(runs.c.reported).where(runs.c.id == moved.c.run_id).scalar_subquery().label("reported"),
        findings_of(moved.c.id).label("findings"),
    ]


def _close_attempt(moved: CTE) -> Update:
    return (
        update(attempts)
        .where(attempts.c.job_id == moved.c.id, attempts.c.fence == moved.c.fence)
        .values(ended_at=func.now(), ending=given("ending"))
    )


def _claiming(*, where: ColumnElement[bool], served_from: ColumnElement[Any] | None) -> Move:
    return Move(
        State.DISPATCHED,
        State.RUNNING,
        {
            "fence": jobs.c.fence + 1,
            "attempts": jobs.c.attempts + 1,
            "worker_id": given("worker_id"),
            "started_at": func.coalesce(jobs.c.started_at, func.now()),
            "work_key": same_work.WORK_KEY,
            "served_from": served_from,
        },
        where=[jobs.c.dispatch_no == given("dispatch_no"), where],
        beside=[_open_attempt, run_progress.begin],
        giving=[
            *("id", "project_id", "key_id", "fence", "attempts", "failures_in_a_row", "losses"),
            *("max_cost_picos", "calls_before", "answers_after", "created_at", "deadline_at"),
            *("kind", "path", "language", "sha256", "request", "served_from"),
        ],
        reading=_read,
    )


_CLAIM_NEW = _claiming(where=same_work.IS_NEW, served_from=None)
_CLAIM = _claiming(where=same_work.MAY_BEGIN, served_from=same_work.SERVED_FROM)


def claim_new(
    connection: Connection, job_id: uuid.UUID, dispatch_no: int, worker_id: uuid.UUID, *, terms: bytes = b""
) -> Claim | None:
    """Claim a dispatched job of new work: the usual case, in one statement, for `engine.one_by_one`.

    None when `claim` has to look closer. An IntegrityError that is a `same_work.lost_race` says that a job of
    the same work was claimed in this moment.
    """
    moved = _CLAIM_NEW.apply(connection, [job_id], dispatch_no=dispatch_no, worker_id=worker_id, terms=terms)
    return _claim(connection, moved[0]) if moved else None


def claim(
    connection: Connection, job_id: uuid.UUID, dispatch_no: int, worker_id: uuid.UUID, *, terms: bytes = b""
) -> Claim | None:
    """Claim a dispatched job; None when the message is old, repeated, or the job was cancelled.

    None too when a job of the same work runs, on the same `terms` of workers: this one then waits for it. If
    one has done it, its result is kept as it is until this transaction ends. For errors see `claim_new`.
    """
    moved = _CLAIM.apply(connection, [job_id], dispatch_no=dispatch_no, worker_id=worker_id, terms=terms)
    if not moved:
        same_work.stand_back(connection, job_id, dispatch_no, terms)
        return None
    return _claim(connection, moved[0])


def _claim(connection: Connection, row: RowMapping) -> Claim:
    """Give the claim; calls of earlier attempts are read after it, for one may have ended while it waited."""
    fence, job_id = row["fence"], row["id"]
    earlier = _earlier_calls(connection, job_id) if fence > 1 else ()
    return Claim(
        job_id=job_id,
        project_id=row["project_id"],
        key_id=row["key_id"],
        fence=fence,
        attempts=row["attempts"],
        billed_calls=sum(
            call["state"] != "void" and call["number"] > row["calls_before"] for call in earlier
        ),
        failures_in_a_row=row["failures_in_a_row"],
        losses=row["losses"],
        max_cost_picos=row["max_cost_picos"],
        created_at=_asked_at(row),
        deadline_at=row["deadline_at"],
        policy=row["policy"],
        task=_task(row),
        replies=tuple(
            _reply(call)
            for call in earlier
            if call["reply"] is not None and call["number"] > row["answers_after"]
        ),
        served_from=row["served_from"],
    )


def _asked_at(row: RowMapping) -> datetime:
    again = row["request"].get(ASKED_AGAIN)
    return row["created_at"] if again is None else datetime.fromisoformat(again["at"])


def _or_as_it_is(name: str) -> Any:
    """Take a parameter for a column, or leave the column alone when it is None."""
    return func.coalesce(given(name, jobs.c[name].type), jobs.c[name])


_THIS_CLAIM = jobs.c.fence == given("fence")
_ASKED_TO_STOP = jobs.c.cancel_requested

_RELEASE = Move(
    State.RUNNING,
    State.QUEUED,
    {
        "worker_id": None,
        "wait_reason": given("wait_reason"),
        "run_at": func.now() + given("after", Interval()),
        "attempts": jobs.c.attempts - given("refunded", Integer()),
        "failures_in_a_row": _or_as_it_is("failures_in_a_row"),
        "losses": _or_as_it_is("losses"),
    },
    where=[_THIS_CLAIM, ~_ASKED_TO_STOP],
    beside=[_close_attempt],
    telling={"budget": given("budget", Text())},
)
_LOCK = (
    select(_ASKED_TO_STOP)
    .where(
        jobs.c.id == bindparam("job_id"), jobs.c.fence == bindparam("fence"), jobs.c.state == State.RUNNING
    )
    .with_for_update(key_share=True)
)


def lock(connection: Connection, job_id: uuid.UUID, fence: int) -> None:
    """Hold the row of a running job: whoever writes what belongs to a job does this before.

    Raises:
        LostClaim: this claim is no longer the current one.
        CancelRequested: the job is to be cancelled.
    """
    asked_to_stop = connection.scalar(_LOCK, {"job_id": job_id, "fence": fence})
    if asked_to_stop is None:
        raise LostClaim(f"the claim {fence} of job {job_id} has ended")
    if asked_to_stop:
        raise CancelRequested(f"job {job_id} is to be cancelled")


def release(
    connection: Connection,
    job_id: uuid.UUID,
    fence: int,
    *,
    reason: WaitReason | None,
    after_s: float,
    refund: bool,
    failures_in_a_row: int | None = None,
    losses: int | None = None,
    budget: str | None = None,
) -> None:
    """Queue a running job again, due after a wait; `refund` gives its attempt back.

    A count that is None stays as it is. The event tells of the `budget` that the job waits for.

    Raises:
        LostClaim: this claim is no longer the current one.
        CancelRequested: the job is to be cancelled; nothing is written.
    """
    parameters = {
        "ending": reason or "released",
        "wait_reason": reason,
        "after": timedelta(seconds=after_s),
        "refunded": int(refund),
        "failures_in_a_row": failures_in_a_row,
        "losses": losses,
        "budget": budget,
    }
    if not _RELEASE.apply(connection, [job_id], fence=fence, **parameters):
        lock(connection, job_id, fence)
        raise LostClaim(f"the claim {fence} of job {job_id} cannot be released")


# Handed to the driver as it is: to build and bind it would take as long as the rest of the work here.
_END = "SELECT end_job(%(job_id)s, %(fence)s::integer, %(target)s, %(end)s, %(found)s, %(wake)s::integer)"


def finish(
    connection: Connection,
    job_id: uuid.UUID,
    fence: int,
    target: State,
    *,
    outcome: Outcome | None = None,
    error: Mapping[str, Any] | None = None,
    timings: Mapping[str, int] | None = None,
    skipped_rungs: Sequence[Mapping[str, str]] | None = None,
    losses: int | None = None,
    serves: bool = False,
    found: Found = NOTHING,
) -> None:
    """End a running job with what it found; timings, skipped rungs and losses that are None stay as they are.

    One statement writes it all: `migrations/functions/0013_end_job.sql`. What was found `serves` jobs of the
    same work, which are all due then; else the first of them is, to do it itself.

    Raises:
        LostClaim: this claim is no longer the current one.
        CancelRequested: the job is to be cancelled, and `target` is another end; nothing is written.
    """
    end = {
        "outcome": outcome,
        "error": error,
        "timings": timings,
        "skipped_rungs": skipped_rungs,
        "losses": losses,
        "serves": serves,
    }
    given_ = {
        "job_id": job_id,
        "fence": fence,
        "target": target.value,
        "end": Jsonb(end),
        "found": Jsonb(found.given()),
        "wake": same_work.WAKE_LIMIT if serves else 1,
    }
    match connection.exec_driver_sql(_END, given_).scalar_one():
        case "ended":
            return
        case "cancelled":
            raise CancelRequested(f"job {job_id} is to be cancelled")
        case "not_cancelled":
            raise LostClaim(f"the claim {fence} of job {job_id} was not asked to stop")
        case _:
            raise LostClaim(f"the claim {fence} of job {job_id} has ended")


def running_of(connection: Connection, worker_id: uuid.UUID) -> list[Held]:
    """Give the jobs that a worker process has claimed and not left."""
    rows = connection.execute(
        select(jobs.c.id, jobs.c.dispatch_no).where(
            jobs.c.state == State.RUNNING, jobs.c.worker_id == worker_id
        )
    )
    return [(row.id, row.dispatch_no) for row in rows]


_EARLIER_CALLS = (
    select(calls.c.id, calls.c.number, calls.c.state, calls.c.turn, calls.c.reply)
    .add_columns(
        calls.c.max_tokens, calls.c.finish_reason, calls.c.stand_in, calls.c.failure, calls.c.message
    )
    .where(calls.c.job_id == bindparam("job_id"))
    .order_by(calls.c.number)
)


def _earlier_calls(connection: Connection, job_id: uuid.UUID) -> Sequence[RowMapping]:
    return connection.execute(_EARLIER_CALLS, {"job_id": job_id}).mappings().all()


def _reply(call: RowMapping) -> StoredReply:
    return StoredReply(
        call_id=call["id"],
        turn=call["turn"],
        max_tokens=call["max_tokens"],
        text=call["reply"],
        finish_reason=call["finish_reason"],
        fault=None if call["failure"] is None else call["message"],
        stand_in=call["stand_in"],
    )


def _task(row: RowMapping) -> Task:
    if row["content"] is None:
        raise LookupError("a job's source is kept as long as the job")
    request = row["request"]
    options = request["options"]
    scope = request["scope"]
    encoding = request.get("encoding", UTF_8)  # earlier versions knew no other
    return Task(
        kind=KindName(row["kind"]),
        path=row["path"],
        language=row["language"],
        source=bytes(row["content"]).decode(encoding),
        encoding=encoding,
        findings=as_findings(row["findings"]),
        what=frozenset(Annotation(name) for name in request["what"]),
        instruction=request.get("instruction"),
        scope=None if scope is None else Scope(**scope),
        context=tuple(ContextFile(**file) for file in request["context"]),
        checkers=request["checkers"],
        reported=row["reported"] or {},
        options=Options(**{**options, "priority": Priority(options["priority"])}),
    )
