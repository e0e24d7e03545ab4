"""Jobs brought straight to a state through the store, for tests of what follows it."""

import uuid
from typing import Any

from sqlalchemy import Engine

from patchmill.budget.ledger import Amount, Fit, Room, fit
from patchmill.budget.prices import Rates
from patchmill.job.record import ErrorCode, Finding, KindName, Options, Task
from patchmill.job.retry import Fail
from patchmill.store import claims, dispatch, ledger, serving, workers
from patchmill.store.access import ensure_project
from patchmill.store.claims import Claim
from patchmill.store.engine import one_by_one
from patchmill.store.ids import new_id
from patchmill.store.submission import Submission, submit
from tests.support.requests import SOURCE

RATES = Rates(input_picos=140_000, cached_picos=3_000, output_picos=280_000)
HOLD = Amount(tokens=1_000, picos=10**9)
PLAN = ledger.CallPlan(
    model="deepseek-v4-flash", rung="first", prompt_version="v", turn="t", messages=(), deadline_s=60.0
)


def submitted(
    engine: Engine, number: int = 0, *, project: str = "default", reuse: bool = False, **more: Any
) -> uuid.UUID:
    """Submit a fix job to a project, `default` if none is named; without `reuse` all of them are done."""
    finding = Finding(
        index=0, tool="ruff", rule="B006", message="m", severity="warning", start_line=4, end_line=4
    )
    task = Task(
        kind=KindName.FIX,
        path="a.py",
        language="python",
        source=SOURCE.format(number=number),
        findings=(finding,),
        options=Options(reuse=reuse),
    )
    with engine.begin() as connection:
        project_id = ensure_project(connection, project)
        submission = Submission(project_id=project_id, key_id=None, task=task, origin={}, labels={}, **more)
        return submit(connection, submission).job_id


def worker(engine: Engine) -> uuid.UUID:
    """Register a worker."""
    worker_id = new_id()
    with engine.begin() as connection:
        workers.register(connection, worker_id, "test:1")
    return worker_id


def dispatched(engine: Engine, limit: int = 10_000) -> list[tuple[uuid.UUID, int, str]]:
    """Dispatch what is due."""
    with engine.begin() as connection:
        return dispatch.dispatch_due(connection, window=100_000, limit=limit)


def take(
    engine: Engine, job_id: uuid.UUID, number: int, worker_id: uuid.UUID | None = None, *, terms: bytes = b""
) -> Claim | None:
    """Claim a job as a worker does: at once where its work is new, else by a closer look, and serve it."""
    worker_id = worker_id or worker(engine)
    with one_by_one(engine) as connection:
        claim = claims.claim_new(connection, job_id, number, worker_id, terms=terms)
    if claim is not None:
        return claim
    with engine.begin() as connection:
        claim = claims.claim(connection, job_id, number, worker_id, terms=terms)
        if claim is not None and claim.served_from is not None:
            serving.serve(connection, claim)
        return claim


def claimed(engine: Engine, **more: Any) -> Claim:
    """Submit, dispatch and claim one job."""
    job_id = submitted(engine, **more)
    numbers = {each: number for each, number, _ in dispatched(engine)}
    claim = take(engine, job_id, numbers[job_id])
    assert claim is not None
    return claim


def decide(hold: Amount = HOLD) -> Any:
    """Give an admission rule: the hold fits every room, or the call is refused."""

    def rule(rooms: list[Room]) -> ledger.Admission:
        worst = max((fit(hold, room) for room in rooms), key=list(Fit).index)
        if worst is not Fit.FITS:
            raise ledger.Refused(Fail(code=ErrorCode.BUDGET_EXHAUSTED, message=worst, retryable=True))
        return ledger.Admission(max_tokens=100, hold=hold, rates=RATES)

    return rule


def admitted(engine: Engine, claim: Claim, hold: Amount = HOLD) -> uuid.UUID:
    """Admit one call of a claimed job."""
    with engine.begin() as connection:
        return ledger.admit(connection, claim.job_id, claim.fence, PLAN, decide(hold)).call_id
