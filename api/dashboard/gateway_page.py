"""How the gateway is: whether it and its models can be called, what is left, and the last hour's calls."""

import json
from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from api.account import account_of, sentence_of
from api.account_shapes import DecisionBody
from api.bodies import read_model
from api.dashboard import charts
from api.dashboard.notices import ladder_models
from api.dashboard.page_route import PageRoute
from api.dashboard.rendering import page
from api.dashboard.sentences import ANOMALIES, reason_of
from api.dashboard.session import Acting, Form, Viewer, local
from api.gateway import quota_document
from api.gateway_shapes import Quota
from api.parts import PartsOf
from api.uncertain import AMOUNTS, decision_of
from patchmill.budget.reconciliation import HOUR
from patchmill.job.circuit import GATEWAY, Circuit, Condition
from patchmill.job.pause import MAX_REASON
from patchmill.store import accounts, circuits, decisions, metrics, reconciliations, shared_time, stats
from patchmill.store.ids import known_id
from patchmill.store.metrics import CacheUse
from patchmill.store.reconciliations import LOOKS_BACK

HERE = "/gateway"
MOST = 100  # rows of a table
COURSE = timedelta(days=7)

router = APIRouter(prefix=HERE, route_class=PageRoute)


@router.get("")
def show_gateway(request: Request, person: Viewer, parts: PartsOf) -> Response:
    """Show whether calls can be made, and how those of the last hour went."""
    del person
    now = shared_time.now()
    with parts.database.begin() as connection:
        known = circuits.every_one(connection)
        said = circuits.quota(connection)
        on_the_wire = stats.on_the_wire(connection)
        models = ladder_models(connection, parts.policy)
        outcomes = metrics.outcomes(connection)
        odd = metrics.anomalies(connection)
        cache = metrics.cache_use(connection)
        account = account_of(connection, now)
        course = accounts.balances_since(connection, now - COURSE)
        hours = reconciliations.latest(connection, since=now - LOOKS_BACK - HOUR, most=MOST)
        uncertain = decisions.uncertain_calls(connection, project_id=None, before=None, limit=MOST)
    quota = None if said is None else quota_document(said)
    gateway = known.pop(GATEWAY, None)
    models += [name for name in known if name not in models]
    values = {
        "gateway": gateway if gateway is not None and gateway.state is not Condition.OK else None,
        "states": [_row(GATEWAY, gateway), *(_row(name, known.get(name)) for name in models)],
        "slots": parts.slots.read(on_the_wire=on_the_wire),
        "cap": parts.slots.cap,
        "quota": quota,
        "amounts": [] if quota is None else _quota(quota),
        "outcomes": _outcomes(dict(outcomes)),
        "anomalies": [(ANOMALIES.get(name, name), count) for (name,), count in sorted(odd)],
        "cache": [(each, _bar(each)) for each in cache],
        "max_reason": MAX_REASON,
        "account": account,
        "course": list(zip(course, charts.bars([each.available_picos for each in course]), strict=True)),
        "width": charts.WIDTH,
        "height": charts.HEIGHT,
        "hours": [(each, sentence_of(each)) for each in hours],
        "amounts_by_hour": [
            picos for each in hours for picos in (each.billed.picos, each.settled.picos, each.uncertain.picos)
        ],
        "uncertain": uncertain,
    }
    return page(request, "gateway", values)


@router.post("/pause")
def pause(person: Acting, form: Form, parts: PartsOf) -> Response:
    """Let nobody call from now on; jobs wait, and calls on the wire are finished."""
    with parts.database.begin() as connection:
        circuits.pause(connection, form.get("reason", "").strip()[:MAX_REASON], actor=person.actor)
    return RedirectResponse(HERE, HTTPStatus.SEE_OTHER)


@router.post("/decide")
def decide(person: Acting, form: Form, parts: PartsOf) -> Response:
    """Decide what became of an uncertain call, as `POST /v1/gateway/uncertain/{call_id}/decision` does."""
    asked = read_model(json.dumps(_decision(form)).encode(), DecisionBody)
    with parts.database.begin() as connection:
        call_id = known_id("call", form.get("call", ""))
        decisions.decide(connection, call_id, decision_of(asked), actor=person.actor)
    parts.waker.wake()
    return RedirectResponse(HERE, HTTPStatus.SEE_OTHER)


def _decision(form: Mapping[str, str]) -> dict[str, Any]:
    """Read a form as the API's body: what was left empty is left out, and a number is one."""
    amounts: dict[str, Any] = {name: form[name] for name in AMOUNTS if form.get(name)}
    for name in ("input_tokens", "output_tokens"):
        if amounts.get(name, "").isdecimal():
            amounts[name] = int(amounts[name])
    return {"billed": form.get("billed") == "yes", "reason": form.get("reason", ""), **amounts}


@router.post("/resume")
def resume(person: Acting, form: Form, parts: PartsOf) -> Response:
    """Let calls go on, whatever had paused them; one that is refused pauses them again, unbilled."""
    with parts.database.begin() as connection:
        circuits.resume(connection, form.get("circuit", GATEWAY), actor=person.actor)
    parts.waker.wake()
    return RedirectResponse(local(form.get("back", HERE)), HTTPStatus.SEE_OTHER)


def _row(name: str, circuit: Circuit | None) -> tuple[str, Condition, Circuit | None, str]:
    """Give what one line of the table of states shows: name, state, the open circuit, and why it is."""
    if circuit is None or circuit.state is Condition.OK:
        return name, Condition.OK, None, ""
    return name, circuit.state, circuit, reason_of(circuit).what


def _outcomes(counts: Mapping[tuple[str, str], int]) -> list[tuple[str, str, int]]:
    """Give model, outcome and number, the most frequent first; a call that did not fail was answered."""
    named = [
        (model, "answered" if outcome == "settled" else outcome, count)
        for (model, outcome), count in counts.items()
    ]
    return sorted(named, key=lambda each: (each[0], -each[2], each[1]))


def _bar(use: CacheUse) -> list[charts.Part]:
    return charts.parts(use.input_tokens, [("settled", use.cached_tokens)])


def _quota(said: Quota) -> list[tuple[str, str | None]]:
    """Give what was said of money, each with what it is; what was not said is left out."""
    amounts = [
        ("Nearest spend cap", said.limit_usd),
        ("Left to that cap", said.remaining_usd),
        ("Left on the key", said.key_remaining_usd),
        ("Left in the wallet", said.account_remaining_usd),
    ]
    return [(what, amount) for what, amount in amounts if amount is not None]
