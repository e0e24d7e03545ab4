"""Calls as they may have come to pass, stored as they would be, and summed up in plain Python."""

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, insert

from patchmill.budget.ledger import Account, Amount, Phase, Transfer, settled, suspended, voided
from patchmill.store.ids import first_id, new_id
from patchmill.store.tables import (
    attempts,
    calls,
    findings,
    jobs,
    keys,
    ledger_entries,
    projects,
    sources,
    workers,
)
from patchmill.store.usage import Question, Sums

HOLD = Amount(tokens=2_000, picos=10**9)
STATES = {
    "sent": "sent",
    "settled": "settled",
    "void": "void",
    "uncertain": "uncertain",
    "late": "settled",
    "late_void": "void",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PastCall:
    """One call of a job: how it ended, and what it then cost; more than the hold is an overrun."""

    at: datetime
    model: str = "deepseek-v4-flash"
    ending: str = "settled"  # a name in STATES
    fresh_tokens: int = 100
    cached_tokens: int = 10
    written_tokens: int = 50
    reasoning_tokens: int = 5
    picos: int = 1_234_567

    @property
    def amounts(self) -> Mapping[str, int]:
        """What is divided of it."""
        known = STATES[self.ending] == "settled"
        return {
            "fresh_tokens": self.fresh_tokens if known else 0,
            "cached_tokens": self.cached_tokens if known else 0,
            "written_tokens": self.written_tokens if known else 0,
            "reasoning_tokens": self.reasoning_tokens if known else 0,
            "cost_picos": self.picos if known else 0,
            "uncertain_picos": HOLD.picos if self.ending == "uncertain" else 0,
        }

    @property
    def transfers(self) -> tuple[Transfer, ...]:
        """How its money moved."""
        used = Amount(tokens=self.fresh_tokens + self.written_tokens, picos=self.picos)
        late = self.ending.startswith("late")
        doubt = suspended(HOLD) if late or self.ending == "uncertain" else ()
        source = Account.UNCERTAIN if late else Account.HELD
        ends = {"settled": lambda: settled(HOLD, used, source), "void": lambda: voided(HOLD, source)}
        end = ends.get(STATES[self.ending], tuple)()
        hold = Transfer(phase=Phase.HOLD, debit=Account.AVAILABLE, credit=Account.HELD, amount=HOLD)
        return (hold, *doubt, *end)


@dataclass(frozen=True, slots=True, kw_only=True)
class PastJob:
    """A job with its calls; project and key are places in the history's lists."""

    calls: Sequence[PastCall]
    project: int = 0
    key: int | None = None
    kind: str = "fix"
    rules: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    file: bytes = b"s"  # in place of the digest
    ended_at: datetime | None = None
    id: uuid.UUID = field(default_factory=new_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What came to pass: jobs of projects, each with two keys; one without a name is there already."""

    jobs: Sequence[PastJob]
    project_names: Sequence[str] = ("one", "other")
    key_names: Sequence[str] = ("first", "second")
    project_ids: Sequence[uuid.UUID] = field(default_factory=lambda: [new_id(), new_id()])
    key_ids: Sequence[uuid.UUID] = field(default_factory=lambda: [new_id() for _ in range(4)])

    def key_of(self, job: PastJob) -> uuid.UUID | None:
        """Give the id of the key that submitted a job."""
        return None if job.key is None else self.key_ids[2 * job.project + job.key]


def store(connection: Connection, history: History) -> None:
    """Store a history; ids of calls begin with the time at which they were sent."""
    worker_id = new_id()
    connection.execute(insert(workers).values(id=worker_id, name="test"))
    for project, (project_id, name) in enumerate(zip_longest(history.project_ids, history.project_names)):
        if name is not None:
            connection.execute(insert(projects).values(id=project_id, name=f"{name} {project_id.hex[-6:]}"))
        for file in {b"s", *(job.file for job in history.jobs)}:
            connection.execute(insert(sources).values(project_id=project_id, sha256=file, content=file))
        for key, key_name in enumerate(history.key_names):
            values = {"id": history.key_ids[2 * project + key], "project_id": project_id, "name": key_name}
            connection.execute(
                insert(keys).values(**values, public_id=new_id().hex, secret_hash=b"", scopes=["jobs:read"])
            )
    for job in history.jobs:
        _store_job(connection, history, job, worker_id)


def _store_job(connection: Connection, history: History, job: PastJob, worker_id: uuid.UUID) -> None:
    connection.execute(
        insert(jobs).values(
            id=job.id,
            project_id=history.project_ids[job.project],
            key_id=history.key_of(job),
            kind=job.kind,
            priority="bulk",
            run_at=datetime.now(UTC),
            path="a.py",
            language="python",
            sha256=job.file,
            bytes=0,
            request={},
            origin={},
            labels=dict(job.labels),
            timings={},
            state="queued" if job.ended_at is None else "succeeded",
            outcome=None if job.ended_at is None else "verified",
            finished_at=job.ended_at,
        )
    )
    connection.execute(insert(attempts).values(job_id=job.id, fence=1, worker_id=worker_id))
    for index, rule in enumerate(job.rules):
        told = {
            "tool": "t",
            "message": "m",
            "severity": "warning",
            "start_line": 1,
            "end_line": 1,
            "fixes": [],
        }
        row = {"job_id": job.id, "index": index, "fingerprint": "f", "rule": rule, **told}
        connection.execute(insert(findings).values(row))
    rows = [_call_rows(job, number, call) for number, call in enumerate(job.calls, start=1)]
    if rows:
        connection.execute(insert(calls), [call for call, _ in rows])
        connection.execute(insert(ledger_entries), [entry for _, entries in rows for entry in entries])


def _call_rows(job: PastJob, number: int, call: PastCall) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    call_id = uuid.UUID(int=first_id(call.at).int | (new_id().int & (2**62 - 1)))
    amounts = call.amounts
    row = {
        "id": call_id,
        "job_id": job.id,
        "number": number,
        "fence": 1,
        "model": call.model,
        "state": STATES[call.ending],
        "turn": "t",
        "messages": [],
        "max_tokens": 1,
        "hold_tokens": HOLD.tokens,
        "hold_picos": HOLD.picos,
        **dict.fromkeys(("input_picos", "cached_picos", "output_picos"), 1),
        "input_tokens": amounts["fresh_tokens"] + amounts["cached_tokens"],
        "cached_tokens": amounts["cached_tokens"],
        "output_tokens": amounts["written_tokens"] + amounts["reasoning_tokens"],
        "reasoning_tokens": amounts["reasoning_tokens"],
        "cost_picos": amounts["cost_picos"],
        "sent_at": call.at,
        "deadline_at": call.at,
    }
    entries = [
        {
            "call_id": call_id,
            "phase": each.phase,
            "debit": each.debit,
            "credit": each.credit,
            "tokens": each.amount.tokens,
            "picos": each.amount.picos,
        }
        for each in call.transfers
    ]
    return row, entries


Places = tuple[str | None, ...]


def expected(history: History, question: Question) -> dict[Places, Sums]:
    """Sum up a history as a question asks, one finding after the other."""
    members: dict[Places, list[tuple[uuid.UUID, PastCall, Mapping[str, int]]]] = defaultdict(list)
    for job in history.jobs:
        project_id = history.project_ids[job.project]
        if question.project_id not in {None, project_id}:
            continue
        for call in job.calls:
            if question.since <= call.at < question.until:
                for rule, amounts in _divided(job, call, by_rule="rule" in question.groups):
                    place = tuple(
                        _place(history, job, call, rule, name=name, time_zone=question.time_zone)
                        for name in question.groups
                    )
                    members[place].append((job.id, call, amounts))
    return {place: _summed(each) for place, each in members.items()}


def _summed(members: Sequence[tuple[uuid.UUID, PastCall, Mapping[str, int]]]) -> Sums:
    sums: dict[str, int] = defaultdict(int)
    for _, _, amounts in members:
        for name, amount in amounts.items():
            sums[name] += amount
    return Sums(
        jobs=len({job_id for job_id, _, _ in members}),
        calls=len(members),
        input_tokens=sums["fresh_tokens"] + sums["cached_tokens"],
        cached_tokens=sums["cached_tokens"],
        output_tokens=sums["written_tokens"] + sums["reasoning_tokens"],
        reasoning_tokens=sums["reasoning_tokens"],
        cost_picos=sums["cost_picos"],
        uncertain_picos=sums["uncertain_picos"],
    )


def _divided(job: PastJob, call: PastCall, *, by_rule: bool) -> list[tuple[str | None, Mapping[str, int]]]:
    """Let each finding bear the same part; what does not divide is spread evenly over them."""
    if not by_rule or not job.rules:
        return [(None, call.amounts)]
    borne: dict[str | None, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    whole = len(job.rules)
    for number, rule in enumerate(sorted(job.rules, key=str.encode)):
        for name, amount in call.amounts.items():
            borne[rule][name] += amount * (number + 1) // whole - amount * number // whole
    return list(borne.items())


def _place(
    history: History, job: PastJob, call: PastCall, rule: str | None, *, name: str, time_zone: str
) -> str | None:
    local = call.at.astimezone(ZoneInfo(time_zone))
    ahead = local.utcoffset() or timedelta(0)
    key_id = history.key_of(job)
    hour = local.replace(minute=0, second=0, microsecond=0, tzinfo=None) - ahead
    places: dict[str, Any] = {
        "day": local.date().isoformat(),
        "hour": f"{hour.isoformat()}|{int(ahead.total_seconds())}",
        "project": str(history.project_ids[job.project]),
        "key": None if key_id is None else str(key_id),
        "model": call.model,
        "kind": job.kind,
        "rule": rule,
    }
    found: str | None = places[name] if name in places else job.labels.get(name.removeprefix("label."))
    return found
