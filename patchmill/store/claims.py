"""A worker takes a job, keeps it, and gives it back: claims by compare-and-set, fenced by their number."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    CTE,
    Boolean,
    Connection,
    Insert,
    Integer,
    Interval,
    RowMapping,
    Text,
    Update,
    Uuid,
    bindparam,
    case,
    func,
    insert,
    select,
    update,
)

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
from patchmill.job.state import TERMINAL, State, WaitReason
from patchmill.store import same_work
from patchmill.store.retries import ASKED_AGAIN
from patchmill.store.tables import attempts, calls, jobs, projects, runs, sources
from patchmill.store.task_findings import findings_of
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


def _close_attempt(moved: CTE) -> Update:
    return (
        update(attempts)
        .where(attempts.c.job_id == moved.c.id, attempts.c.fence == moved.c.fence)
        .values(ended_at=func.now(), ending=given("ending"))
    )


_CLAIM = Move(
    State.DISPATCHED,
    State.RUNNING,
    {
        "fence": jobs.c.fence + 1,
        "attempts": jobs.c.attempts + 1,
        "worker_id": given("worker_id"),
        "started_at": func.coalesce(jobs.c.started_at, func.now()),
        "work_key": same_work.WORK_KEY,
        "served_from": same_work.SERVED_FROM,
    },
    where=[jobs.c.dispatch_no == given("dispatch_no"), same_work.MAY_BEGIN],
    beside=[_open_attempt],
    giving=[
        "id",
        "project_id",
        "key_id",
        "fence",
        "attempts",
        "failures_in_a_row",
        "max_cost_picos",
        "calls_before",
        "answers_after",
        "created_at",
        "deadline_at",
        "kind",
        "path",
        "language",
        "sha256",
        "request",
        "served_from",
    ],
)


def claim(
    connection: Connection, job_id: uuid.UUID, dispatch_no: int, worker_id: uuid.UUID, *, terms: bytes = b""
) -> Claim | None:
    """Claim a dispatched job; None when the message is old, repeated, or the job was cancelled.

    None too when a job of the same work runs, on the same `terms` of workers: this one then waits for it. An
    IntegrityError that is a `same_work.lost_race` says that such a job was claimed in this moment.
    """
    moved = _CLAIM.apply(connection, [job_id], dispatch_no=dispatch_no, worker_id=worker_id, terms=terms)
    if not moved:
        same_work.stand_back(connection, job_id, dispatch_no, terms)
        return None
    [row] = moved
    fence = row["fence"]
    earlier = _earlier_calls(connection, job_id) if fence > 1 else ()
    belongings = _belongings(connection, row)
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
        max_cost_picos=row["max_cost_picos"],
        created_at=_asked_at(row),
        deadline_at=row["deadline_at"],
        policy=belongings["policy"],
        task=_task(connection, row, belongings),
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
_FINISH = {
    target: Move(
        State.RUNNING,
        target,
        {
            "finished_at": func.now(),
            "worker_id": None,
            "outcome": given("outcome"),
            "error": given("error"),
            "timings": _or_as_it_is("timings"),
            "skipped_rungs": _or_as_it_is("skipped_rungs"),
            "losses": _or_as_it_is("losses"),
            "work_key": case((given("serves", Boolean()), jobs.c.work_key), else_=None),
        },
        where=[_THIS_CLAIM, _ASKED_TO_STOP if target is State.CANCELLED else ~_ASKED_TO_STOP],
        beside=[_close_attempt, same_work.wake],
    )
    for target in TERMINAL
}
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
    _leave(connection, job_id, fence, _RELEASE, parameters)


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
) -> None:
    """End a running job; timings, skipped rungs and losses that are None stay as they are.

    What it found `serves` jobs of the same work, which are all due then; else the first of them is, to do it
    itself.

    Raises:
        LostClaim: this claim is no longer the current one.
        CancelRequested: the job is to be cancelled, and `target` is another end; nothing is written.
    """
    parameters = {
        "ending": target,
        "outcome": outcome,
        "error": error,
        "timings": timings,
        "skipped_rungs": skipped_rungs,
        "losses": losses,
        "serves": serves,
        "woken": same_work.WAKE_LIMIT if serves else 1,
    }
    if target is not State.SUCCEEDED:  # those who found something hold it already
        connection.execute(_LOCK, {"job_id": job_id, "fence": fence})
    _leave(connection, job_id, fence, _FINISH[target], parameters)


def _leave(
    connection: Connection, job_id: uuid.UUID, fence: int, way: Move, parameters: Mapping[str, Any]
) -> None:
    if not way.apply(connection, [job_id], fence=fence, **parameters):
        lock(connection, job_id, fence)
        raise LostClaim(f"the claim {fence} of job {job_id} cannot end so")


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


_BELONGINGS = (
    select(sources.c.content, projects.c.policy, runs.c.reported)
    .select_from(
        sources.join(projects, projects.c.id == sources.c.project_id).outerjoin(
            runs, runs.c.id == bindparam("run_id", type_=Uuid)
        )
    )
    .where(sources.c.project_id == bindparam("project_id"), sources.c.sha256 == bindparam("sha256"))
)


def _belongings(connection: Connection, row: RowMapping) -> RowMapping:
    """Read what a job shares with others: its source, its project's policy, its run's rules."""
    parameters = {name: row[name] for name in ("project_id", "sha256", "run_id")}
    found = connection.execute(_BELONGINGS, parameters).mappings().one()
    if found["content"] is None:
        raise LookupError("a job's source is kept as long as the job")
    return found


def _task(connection: Connection, row: RowMapping, belongings: RowMapping) -> Task:
    request = row["request"]
    options = request["options"]
    scope = request["scope"]
    return Task(
        kind=KindName(row["kind"]),
        path=row["path"],
        language=row["language"],
        source=bytes(belongings["content"]).decode(),
        findings=findings_of(connection, row["id"]),
        what=frozenset(Annotation(name) for name in request["what"]),
        instruction=request.get("instruction"),
        scope=None if scope is None else Scope(**scope),
        context=tuple(ContextFile(**file) for file in request["context"]),
        checkers=request["checkers"],
        reported=belongings["reported"] or {},
        options=Options(**{**options, "priority": Priority(options["priority"])}),
    )
