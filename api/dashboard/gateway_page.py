"""How the gateway is: whether it and its models can be called, what is left, and the last hour's calls."""

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from api.dashboard import charts
from api.dashboard.notices import ladder_models
from api.dashboard.page_route import PageRoute
from api.dashboard.rendering import page
from api.dashboard.sentences import ANOMALIES, reason_of
from api.dashboard.session import Acting, Form, Viewer, local
from api.gateway import quota_document
from api.gateway_shapes import Quota
from api.parts import PartsOf
from patchmill.job.circuit import GATEWAY, Circuit, Condition
from patchmill.store import circuits, metrics, stats
from patchmill.store.circuits import MAX_REASON
from patchmill.store.metrics import CacheUse

HERE = "/gateway"

router = APIRouter(prefix=HERE, route_class=PageRoute)


@router.get("")
def show_gateway(request: Request, person: Viewer, parts: PartsOf) -> Response:
    """Show whether calls can be made, and how those of the last hour went."""
    del person
    with parts.database.begin() as connection:
        known = circuits.every_one(connection)
        said = circuits.quota(connection)
        on_the_wire = stats.on_the_wire(connection)
        models = ladder_models(connection, parts.policy)
        outcomes = metrics.outcomes(connection)
        odd = metrics.anomalies(connection)
        cache = metrics.cache_use(connection)
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
    }
    return page(request, "gateway", values)


@router.post("/pause")
def pause(person: Acting, form: Form, parts: PartsOf) -> Response:
    """Let nobody call from now on; jobs wait, and calls on the wire are finished."""
    with parts.database.begin() as connection:
        circuits.pause(connection, form.get("reason", "").strip()[:MAX_REASON], actor=person.actor)
    return RedirectResponse(HERE, HTTPStatus.SEE_OTHER)


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
