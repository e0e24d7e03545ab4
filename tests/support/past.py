"""Jobs and runs that ended some time ago, with all that hangs on them, to be pruned by age."""

import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, text, update

from patchmill.store.drift import rebuild
from patchmill.store.engine import allow_long, one_by_one
from patchmill.store.ids import new_id
from patchmill.store.retention import Age
from patchmill.store.tables import (
    attempts,
    budgets,
    call_windows,
    calls,
    checks,
    events,
    findings,
    jobs,
    ledger_entries,
    runs,
    suggestions,
    windows,
)
from tests.support.usage_history import History, PastCall, PastJob, store

SECRET = "sesame_open"
TEXTS = (jobs, runs, calls, findings, suggestions, checks, events)


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What was stored: the history, and which jobs were submitted together, by the run's id."""

    history: History
    runs: Mapping[uuid.UUID, Sequence[PastJob]]

    def run_of(self, job: PastJob) -> uuid.UUID | None:
        """Give the run of a job."""
        return next((each for each, members in self.runs.items() if job in members), None)

    def ended_at(self, run_id: uuid.UUID) -> datetime | None:
        """Give when a run ended; None while it has a job that has not."""
        ends = [job.ended_at for job in self.runs[run_id]]
        return None if None in ends else max(end for end in ends if end is not None)

    def stay(self, ages: Sequence[Age]) -> set[uuid.UUID]:
        """Say which jobs must be there after everything that is due was pruned."""
        before = {each.project_id: each.before for each in ages}
        return {job.id for job in self.history.jobs if self._stays(job, before)}

    def _stays(self, job: PastJob, before: Mapping[uuid.UUID, datetime]) -> bool:
        run_id = self.run_of(job)
        together = [job] if run_id is None else self.runs[run_id]
        ended_at = job.ended_at if run_id is None else self.ended_at(run_id)
        kept = before.get(self.history.project_ids[job.project])
        uncertain = any(call.ending == "uncertain" for each in together for call in each.calls)
        return ended_at is None or kept is None or ended_at >= kept or uncertain


def random_past(seed: int, now: datetime, *, number: int = 60, living: float = 0.1) -> Past:
    """Make up jobs of two projects, of the last 200 days; some are of runs, some share files.

    `living` is the share of jobs that have not ended, between 0 and 1.
    """
    rng = random.Random(seed)
    made = [_job(rng, now, living) for _ in range(number)]
    together: dict[uuid.UUID, list[PastJob]] = {}
    for job in made:
        if rng.random() < 0.4:
            fits = [each for each, members in together.items() if members[0].project == job.project]
            chosen = rng.choice(fits) if fits and rng.random() < 0.7 else new_id()
            together.setdefault(chosen, []).append(job)
    return Past(history=History(jobs=made), runs=together)


def _job(rng: random.Random, now: datetime, living: float) -> PastJob:
    ended_at = now - timedelta(days=rng.uniform(0, 200))
    lives = rng.random() < living
    endings = ["settled"] * 6 + ["void", "late", "late_void", "uncertain"] + ["sent"] * lives
    return PastJob(
        calls=[
            PastCall(
                at=ended_at - timedelta(minutes=rng.randrange(60)),
                model=rng.choice(["deepseek-v4-flash", "deepseek-v4-pro"]),
                ending=rng.choice(endings),
                fresh_tokens=rng.randrange(1_000),
                picos=rng.randrange(10**10),
            )
            for _ in range(rng.choice([0, 0, 1, 2, 3]))
        ],
        project=rng.randrange(2),
        key=rng.choice([None, 0, 1]),
        kind=rng.choice(["fix", "annotate"]),
        rules=[rng.choice(["B006", "F401", "I001"]) for _ in range(rng.randrange(4))],
        labels={"team": rng.choice(["core", "web"])} if rng.random() < 0.7 else {},
        file=rng.choice([b"a", b"b", b"c", rng.randbytes(4)]),
        ended_at=None if lives else ended_at,
    )


def store_past(connection: Connection, past: Past) -> None:
    """Store it with every text that it may have, and a budget over all of its calls."""
    allow_long(connection)
    store(connection, past.history)
    for run_id, members in past.runs.items():
        _store_run(connection, past, run_id, members)
    for job in past.history.jobs:
        _tell(connection, past, job)
    connection.execute(update(calls).values(messages=[{"content": SECRET}], reply=SECRET, message=SECRET))
    connection.execute(update(findings).values(message=SECRET, fingerprint=SECRET))
    connection.execute(
        update(jobs).values(
            event_seq=3, path=SECRET, request={"instruction": SECRET}, origin={"repository": SECRET}
        )
    )
    _watch_money(connection)
    rebuild(connection, actor="test")


def _store_run(connection: Connection, past: Past, run_id: uuid.UUID, members: Sequence[PastJob]) -> None:
    ended_at = past.ended_at(run_id)
    connection.execute(
        insert(runs).values(
            id=run_id,
            project_id=past.history.project_ids[members[0].project],
            kind="fix",
            state="running" if ended_at is None else "finished",
            outcome=None if ended_at is None else "verified",
            finished_at=ended_at,
            diff=SECRET,
            event_seq=2 * len(members),
            findings=1,
            skipped=[],
            origin={"repository": SECRET},
            labels={},
        )
    )
    connection.execute(update(jobs).where(jobs.c.id.in_([job.id for job in members])).values(run_id=run_id))
    project_id = past.history.project_ids[members[0].project]
    told = [
        {
            "project_id": project_id,
            "run_id": run_id,
            "seq": seq,
            "type": "run.progress",
            "data": {"said": SECRET},
        }
        for seq in range(1, 1 + 2 * len(members))
    ]
    connection.execute(insert(events), told)


def _tell(connection: Connection, past: Past, job: PastJob) -> None:
    project_id = past.history.project_ids[job.project]
    told = {"project_id": project_id, "job_id": job.id, "run_id": past.run_of(job), "data": {"said": SECRET}}
    connection.execute(insert(events), [{**told, "seq": seq, "type": "job.state"} for seq in (1, 2, 3)])
    suggestion_id = new_id()
    connection.execute(
        insert(suggestions).values(
            id=suggestion_id,
            job_id=job.id,
            ordinal=0,
            start_line=1,
            end_line=1,
            **dict.fromkeys(("path", "original", "replacement", "title", "explanation"), SECRET),
            status="verified",
            source="model",
            safety="safe",
            requires=[],
            committable=True,
            findings=[0],
        )
    )
    check = {"job_id": job.id, "check": "parses", "result": "passed", "detail": SECRET}
    connection.execute(insert(checks), [{**check, "suggestion_id": each} for each in (suggestion_id, None)])
    connection.execute(
        insert(attempts).from_select(
            ["job_id", "fence", "worker_id"],
            select(attempts.c.job_id, attempts.c.fence + 1, attempts.c.worker_id).where(
                attempts.c.job_id == job.id
            ),
        )
    )


def _watch_money(connection: Connection) -> None:
    budget_id, window_id = new_id(), new_id()
    connection.execute(
        insert(budgets).values(
            id=budget_id,
            name=f"all {budget_id.hex}",
            scope="installation",
            window="total",
            time_zone="UTC",
            limit_picos=10**15,
            at_limit="wait",
        )
    )
    connection.execute(
        insert(windows).values(id=window_id, budget_id=budget_id, starts_at=text("now() - interval '1 year'"))
    )
    connection.execute(
        insert(call_windows).from_select(
            ["call_id", "window_id"], select(calls.c.id, text(f"'{window_id}'::uuid"))
        )
    )


def money(engine: Engine) -> tuple[list[Any], ...]:
    """Read every row that money hangs on, in an order of their own."""
    with one_by_one(engine) as connection:  # no pause of a busy test makes a long transaction
        return tuple(
            [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key.columns))]
            for table in (ledger_entries, call_windows, windows)
        )


def rows_of(engine: Engine, job_ids: set[uuid.UUID]) -> dict[str, list[Any]]:
    """Read all that is stored of jobs, by table."""
    found = {}
    with one_by_one(engine) as connection:
        for table in (jobs, findings, attempts, calls, suggestions, checks, events):
            of_job = table.c.id if table is jobs else table.c.job_id
            rows = connection.execute(
                select(table).where(of_job.in_(job_ids)).order_by(*table.primary_key.columns)
            )
            found[table.name] = [tuple(row) for row in rows]
    return found


def secrets_of(engine: Engine, job_ids: set[uuid.UUID]) -> list[str]:
    """Name the tables in which a secret of these jobs is still to be read."""
    return [name for name, rows in rows_of(engine, job_ids).items() if SECRET in repr(rows)]
