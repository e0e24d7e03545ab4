"""What everybody who looks should know first: a few sentences at the top of every page, while they hold."""

from dataclasses import dataclass

from fastapi import Request

from api.dashboard.sentences import reason_of
from api.dashboard.session import Viewer
from api.database import Connection
from api.parts import Parts, PartsOf
from patchmill.job.circuit import GATEWAY, Circuit
from patchmill.job.ladder import Policy
from patchmill.store import access, circuits, workers


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What keeps jobs from running, what to do about it, and the circuit that an administrator may close."""

    what: str
    advice: str
    circuit: Circuit | None = None
    waiting: int = 0  # jobs that wait for the gateway or its models, told once


def put_up(request: Request, person: Viewer, parts: PartsOf) -> None:
    """Look what keeps jobs from running, for whichever page is shown in answer to this request."""
    del person
    with parts.database.begin() as connection:
        request.state.notices = notices(connection, parts)


def notices(connection: Connection, parts: Parts) -> list[Notice]:
    """Say what keeps jobs from running; nothing while nothing does."""
    told = []
    open_ones = circuits.open_ones(connection)
    if open_ones:
        names = [GATEWAY, *ladder_models(connection, parts.policy)]
        in_the_way = [open_ones[name] for name in names if name in open_ones]
        waiting = circuits.count_waiting(connection)
        told = [_of_circuit(circuit, 0 if number else waiting) for number, circuit in enumerate(in_the_way)]
    if not workers.count_live(connection, lease_ttl_s=parts.lease_ttl_s):
        what = "No worker is alive, so no job runs."
        told.append(Notice(what=what, advice="Start one with python -m worker."))
    return told


def ladder_models(connection: Connection, policy: Policy) -> list[str]:
    """Give the models that jobs climb to, by the installation's policy and by those of projects."""
    policies = [policy, *(policy.changed(each.policy) for each in access.list_projects(connection))]
    named = {model for each in policies for model in (each.model, each.escalation_model, each.fallback_model)}
    return sorted(model for model in named if model is not None)


def _of_circuit(circuit: Circuit, waiting: int) -> Notice:
    reason = reason_of(circuit)
    return Notice(what=reason.what, advice=reason.advice, circuit=circuit, waiting=waiting)
