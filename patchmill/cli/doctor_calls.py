"""What `patchmill doctor` says of `GET /v1/gateway`: whether calls are made, else what lets them go on."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from patchmill.cli.doctor_line import Line
from patchmill.cli.exits import Exit
from patchmill.cli.talk import some
from patchmill.cli.waiting import moment, paused_since, resuming
from patchmill.client.documents import Pause
from patchmill.job.circuit import Condition, Why

_KEY = "set the workers' PATCHMILL_GATEWAY_API_KEY to a key that the gateway takes"
_CREDIT = "top the account up, or raise the key's quota"
_ENDS = {
    Why.INVALID_API_KEY: Exit.AUTHENTICATION,
    Why.PERMISSION_DENIED: Exit.AUTHENTICATION,
    Why.INSUFFICIENT_BALANCE: Exit.BUDGET,
    Why.QUOTA_EXCEEDED: Exit.BUDGET,
    Why.SPEND_CAP: Exit.BUDGET,
}
_FIRST = {
    Why.INVALID_API_KEY: _KEY,
    Why.PERMISSION_DENIED: _KEY,
    Why.INSUFFICIENT_BALANCE: _CREDIT,
    Why.QUOTA_EXCEEDED: _CREDIT,
    Why.UNREACHABLE: "see that the workers' hosts reach PATCHMILL_GATEWAY_URL",
    Why.MODEL_NOT_FOUND: "choose a model that the gateway has",
    Why.MODEL_NOT_IN_GROUP: "choose a model that the key reaches, or let it reach this one",
    Why.OVERRUN: "compare what its calls used with the gateway's bill",
}


def calls(gateway: Mapping[str, Any]) -> Iterator[Line]:
    """Say how the account is, and each model that is not called now."""
    if gateway["state"] == Condition.OK:
        yield Line.ok("calls", "are made")
    else:
        yield _stopped(gateway)
    for each in gateway["models"]:
        if each["state"] != Condition.OK:
            detail = f"{each['model']} is {each['state']} ({_why(each)})"
            yield Line.warn("model", detail, _advice(each, f"patchmill resume --model {each['model']}"))


def pauses(found: Iterable[Pause]) -> Iterator[Line]:
    """Say which projects and queues are paused."""
    for each in found:
        yield Line.warn("paused", paused_since(each), f"`{resuming(each)}` lets its jobs begin again")


def account(reconciliation: Mapping[str, Any]) -> Iterator[Line]:
    """Say whether the gateway's account agrees with the ledger."""
    state, drift = reconciliation["state"], reconciliation["drift"]
    if drift:
        worst = drift[0]
        detail = f"differs from the ledger in {some(len(drift), 'hour')}, last {moment(worst['hour'])}"
        advice = "see the page of the gateway; is the key used elsewhere, are the prices right?"
        yield Line.warn("bill", f"{detail} ({worst['model']}): {worst['message']}", advice)
    elif state == "unavailable":
        yield Line.warn("bill", f"cannot be read: {reconciliation['message']}", "it is tried again by itself")
    elif state == "unsupported":
        yield Line.ok("bill", "is not told by this gateway; nothing is compared with it")
    elif state == "ok":
        yield Line.ok(
            "bill", f"agrees with the ledger, or is explained; read at {moment(reconciliation['looked_at'])}"
        )
    if reconciliation["uncertain_calls"]:
        count = some(reconciliation["uncertain_calls"], "call")
        yield Line.warn(
            "uncertain", f"{count} may have been billed or not", "see `patchmill calls uncertain`"
        )


def _stopped(gateway: Mapping[str, Any]) -> Line:
    detail = f"are {'paused' if gateway['state'] == Condition.PAUSED else 'impossible'} ({_why(gateway)})"
    advice = _advice(gateway, "patchmill resume")
    if gateway["reason"] == Why.OPERATOR:
        return Line.warn("calls", detail, advice)
    return Line.fail("calls", detail, advice, _ENDS.get(gateway["reason"], Exit.SERVICE))


def _why(circuit: Mapping[str, Any]) -> str:
    message = f": {circuit['message']}" if circuit["message"] else ""
    by = f" by {circuit['actor']}" if circuit.get("actor") else ""
    return f"{circuit['reason']}{by} since {moment(circuit['since'])}{message}"


def _advice(circuit: Mapping[str, Any], command: str) -> str:
    steps = [step for step in (_FIRST.get(circuit["reason"]),) if step]
    if circuit["resumes_at"]:
        steps.append(f"it goes on by itself at {moment(circuit['resumes_at'])}, or with `{command}`")
    elif circuit["next_probe_at"]:
        steps.append(
            f"a waiting job tries again from {moment(circuit['next_probe_at'])} on, or all with `{command}`"
        )
    else:
        steps.append(f"`{command}` lets them go on")
    return "; ".join(steps)
