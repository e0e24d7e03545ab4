"""What everybody who looks should know first: a few sentences at the top of every page, while they hold."""

from dataclasses import dataclass

from fastapi import Request

from api.dashboard.rendering import clock
from api.dashboard.sentences import reason_of
from api.dashboard.session import Viewer
from api.database import Connection
from api.parts import Parts, PartsOf
from patchmill.budget.prices import rates_at
from patchmill.job.circuit import GATEWAY, Circuit
from patchmill.job.ladder import Policy
from patchmill.job.pause import Pause
from patchmill.store import access, budget_alerts, circuits, pauses, reconciliations, shared_time, workers
from patchmill.store.budget_alerts import Told
from patchmill.store.ids import to_edge
from patchmill.store.prices import prices_of
from patchmill.store.reconciliations import LOOKS_BACK


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What keeps jobs from running, what to do about it, and the circuit that an administrator may close."""

    what: str
    advice: str
    circuit: Circuit | None = None
    waiting: int = 0  # jobs that wait for the gateway or its models, told once
    link: str | None = None  # a page that has more
    pause: Pause | None = None  # of a project or a queue, which an administrator may end


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
    told += [_of_pause(each) for each in pauses.standing(connection)]
    told += _of_drift(connection)
    if not workers.count_live(connection, lease_ttl_s=parts.lease_ttl_s):
        what = "No worker is alive, so no job runs."
        told.append(Notice(what=what, advice="Start one with python -m worker."))
    told += [_of_unpriced(model) for model in _unpriced(connection, parts.policy)]
    told += [_of_budget(each) for each in budget_alerts.standing(connection)]
    return told


def _unpriced(connection: Connection, policy: Policy) -> list[str]:
    """Give the models of ladders that are never called."""
    now = shared_time.now()
    models = ladder_models(connection, policy)
    return [model for model in models if rates_at(prices_of(connection, model), now) is None]


def _of_pause(pause: Pause) -> Notice:
    option = f"--{pause.part.what} {pause.name}"
    advice = f"They begin when an administrator resumes: here, or by patchmill resume {option}."
    what = f"The {pause.part.what} {pause.name} is paused: its jobs wait."
    return Notice(what=what, advice=advice, pause=pause)


def _of_unpriced(model: str) -> Notice:
    advice = f"Add one with patchmill prices add {model} --input … --cached … --output …."
    return Notice(what=f"No price is known for {model}, so it is never called.", advice=advice)


def _of_budget(told: Told) -> Notice:
    link = f"/budgets/{to_edge('bud', told.budget_id)}"
    until = f" until {clock(told.resets_at)} UTC" if told.resets_at else ""
    if told.type == budget_alerts.EXHAUSTED:
        what = f"The budget {told.name} is used up{until}."
        return Notice(what=what, advice="Raise it, or wait for its next window.", link=link)
    what = f"The budget {told.name} has passed {told.percent} percent of its limit."
    return Notice(what=what, advice=f"It counts{until or ' for ever'}.", link=link)


def _of_drift(connection: Connection) -> list[Notice]:
    """Say that the gateway's account and the ledger differ, while the last days show it."""
    drift = reconciliations.drift_by_model(connection, since=shared_time.now() - LOOKS_BACK)
    if not drift:
        return []
    count = sum(hours for _, hours in drift)
    what = f"The gateway's account and the ledger differ in {count} hour{'' if count == 1 else 's'}."
    return [Notice(what=what, advice="The page of the gateway shows by how much; nothing explains it.")]


def ladder_models(connection: Connection, policy: Policy) -> list[str]:
    """Give the models that jobs climb to, by the installation's policy and by those of projects."""
    policies = [policy, *(policy.changed(each.policy) for each in access.list_projects(connection))]
    named = {model for each in policies for model in (each.model, each.escalation_model, each.fallback_model)}
    return sorted(model for model in named if model is not None)


def _of_circuit(circuit: Circuit, waiting: int) -> Notice:
    reason = reason_of(circuit)
    return Notice(what=reason.what, advice=reason.advice, circuit=circuit, waiting=waiting)
