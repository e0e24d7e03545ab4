"""Uncertain calls, and what ends them: evidence, or an operator's word, kept with its reason for good."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, insert, select

from patchmill.budget.ledger import Spent
from patchmill.budget.reconciliation import Use
from patchmill.errors import Conflict
from patchmill.store import auditing
from patchmill.store.ids import no_such, to_edge
from patchmill.store.ledger import EndedCall, Ending, end_call
from patchmill.store.tables import call_decisions, calls, jobs, projects

MAX_REASON = 500
RECONCILIATION, OPERATOR = "reconciliation", "operator"
NUMBERS = "worker"  # the actor where the numbers of the gateway's account have shown it


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What became of an uncertain call: billed for so much, or not at all (None)."""

    billed: Use | None
    ground: str
    reason: str
    evidence: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DecidedCall:
    """A call that is, or was, uncertain, with the decision that ended that."""

    id: uuid.UUID
    job_id: uuid.UUID
    project_id: uuid.UUID
    project: str
    path: str
    model: str
    state: str
    failure: str | None
    message: str | None
    hold_tokens: int
    hold_picos: int
    input_tokens: int
    output_tokens: int
    cost_picos: int
    sent_at: datetime
    ended_at: datetime | None
    at: datetime | None
    actor: str | None
    ground: str | None
    reason: str | None

    @property
    def overrun_picos(self) -> int:
        """What it cost beyond its hold, which no budget bears."""
        return max(0, self.cost_picos - self.hold_picos)


_OF = {
    "project": projects.c.name,
    "path": jobs.c.path,
    "project_id": jobs.c.project_id,
    **{name: call_decisions.c[name] for name in ("at", "actor", "ground", "reason")},
}
_COLUMNS = [
    _OF[field.name].label(field.name) if field.name in _OF else calls.c[field.name]
    for field in fields(DecidedCall)
]
_CALLS = select(*_COLUMNS).select_from(
    calls.join(jobs, jobs.c.id == calls.c.job_id)
    .join(projects, projects.c.id == jobs.c.project_id)
    .outerjoin(call_decisions, call_decisions.c.call_id == calls.c.id)
)
_ONE = _CALLS.where(calls.c.id == bindparam("call_id"))


def uncertain_calls(
    connection: Connection, *, project_id: uuid.UUID | None, before: uuid.UUID | None, limit: int
) -> Sequence[DecidedCall]:
    """List the calls of which nobody knows whether they were billed, of a project or of all; newest first."""
    asked: Select[Any] = _CALLS.where(calls.c.state == "uncertain").order_by(calls.c.id.desc()).limit(limit)
    if project_id is not None:
        asked = asked.where(jobs.c.project_id == project_id)
    if before is not None:
        asked = asked.where(calls.c.id < before)
    return [DecidedCall(**row) for row in connection.execute(asked).mappings()]


_COUNT = select(func.count()).select_from(calls).where(calls.c.state == "uncertain")


def count_uncertain(connection: Connection) -> int:
    """Count the uncertain calls of all projects."""
    return connection.scalar(_COUNT) or 0


def call_of(connection: Connection, call_id: uuid.UUID, *, project_id: uuid.UUID | None) -> DecidedCall:
    """Give one call; raises NotFound for what there is not, or what is another project's."""
    row = connection.execute(_ONE, {"call_id": call_id}).mappings().one_or_none()
    if row is None or project_id not in {None, row["project_id"]}:
        raise no_such("call", to_edge("call", call_id))
    return DecidedCall(**row)


_ADD = insert(call_decisions)


def decide(
    connection: Connection,
    call_id: uuid.UUID,
    decision: Decision,
    *,
    actor: str,
    project_id: uuid.UUID | None = None,
) -> DecidedCall:
    """End an uncertain call, with its reason: settled for what it cost, or void. Wakes who waits for room.

    What exceeds its hold becomes overrun, as everywhere.

    Raises:
        NotFound: there is no such call in this project.
        Conflict: it is not uncertain, or not any more.
    """
    call = call_of(connection, call_id, project_id=project_id)
    ended = EndedCall.STAYED
    if call.state == "uncertain":  # what ends it locks it and looks again
        ended = end_call(connection, call.job_id, call_id, _ending(decision))
    if ended is EndedCall.STAYED:
        now = call_of(connection, call_id, project_id=project_id)
        raise Conflict(f"call {to_edge('call', call_id)} is not uncertain; it is {now.state}")
    _write_down(connection, call_id, decision, actor)
    return call_of(connection, call_id, project_id=project_id)


def _ending(decision: Decision) -> Ending:
    if decision.billed is None:
        return Ending(billed=False, phase="rejected", spent=None, values={})
    spent = Spent(
        input_tokens=decision.billed.input_tokens,
        cached_tokens=0,
        output_tokens=decision.billed.output_tokens,
        picos=decision.billed.picos,
    )
    return Ending(billed=True, phase="unknown", spent=spent, values={})


def _write_down(connection: Connection, call_id: uuid.UUID, decision: Decision, actor: str) -> None:
    amounts = {"input_tokens": 0, "output_tokens": 0, "picos": 0}
    if decision.billed is not None:
        amounts = {name: getattr(decision.billed, name) for name in amounts}
    told = {"billed": decision.billed is not None, **amounts, "reason": decision.reason}
    row = {"call_id": call_id, "actor": actor, "ground": decision.ground, **told, "evidence": None}
    if decision.evidence is not None:
        row["evidence"] = dict(decision.evidence)
    connection.execute(_ADD, row)
    auditing.record(
        connection,
        actor=actor,
        action="call.decide",
        subject=to_edge("call", call_id),
        details={**told, "ground": decision.ground},
    )
