"""What codes mean, in words for people: one table for each sort of code, which all pages read."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from patchmill.job.circuit import GATEWAY, Circuit, Condition, Why
from patchmill.job.state import WaitReason


@dataclass(frozen=True, slots=True)
class Reason:
    """Why no call is made, and what a person can do; `{model}` stands for the model's name."""

    what: str
    advice: str


REASONS: Mapping[Why, Reason] = {
    Why.INVALID_API_KEY: Reason(
        "The gateway refuses the API key.",
        "Check PATCHMILL_GATEWAY_API_KEY and start the workers again with the right key.",
    ),
    Why.PERMISSION_DENIED: Reason(
        "The gateway does not let this host in.",
        "Allow the address of the workers in the gateway's account.",
    ),
    Why.INSUFFICIENT_BALANCE: Reason(
        "The wallet at the gateway is empty.", "Top it up; the next try finds that out."
    ),
    Why.QUOTA_EXCEEDED: Reason(
        "The API key has used up its lifetime quota.",
        "Raise the quota at the gateway, or start the workers with another key.",
    ),
    Why.SPEND_CAP: Reason(
        "The API key has reached a spend cap of the gateway.",
        "Calls go on by themselves when its window ends; raise the cap to go on sooner.",
    ),
    Why.OPERATOR: Reason(
        "Somebody has paused all calls.",
        "They go on when an administrator resumes: here, or by patchmill resume.",
    ),
    Why.UNREACHABLE: Reason(
        "The gateway cannot be reached.",
        "Calls go on by themselves once it answers. Look at the network and PATCHMILL_GATEWAY_URL.",
    ),
    Why.FAILING: Reason(
        "The model {model} fails again and again.",
        "It is tried again by itself; until then the fallback answers where a project has one.",
    ),
    Why.MODEL_NOT_FOUND: Reason(
        "The gateway knows no model {model}.",
        "Check the name in the settings and in the projects' policies.",
    ),
    Why.MODEL_NOT_IN_GROUP: Reason(
        "The API key does not reach the model {model}.",
        "Add it to the key's routing group at the gateway, or let the projects use another model.",
    ),
    Why.OVERRUN: Reason(
        "A call of the model {model} used more than the most that it was thought to.",
        "Compare the call with the gateway's bill, then let calls go on by patchmill resume --model NAME.",
    ),
}

WAITS: Mapping[WaitReason, str] = {
    WaitReason.RETRY: "A call failed and is made anew",
    WaitReason.RATE_LIMIT: "The gateway asked to wait, or every call slot was taken",
    WaitReason.BUDGET: "A budget has no room",
    WaitReason.GATEWAY_ACCOUNT: "The gateway lets this account make no call",
    WaitReason.GATEWAY_DOWN: "The gateway or the model cannot be reached",
    WaitReason.PAUSED: "Somebody has paused all calls",
    WaitReason.SAME_WORK: "Another job does the same work, and its result may serve this one",
}
_FOR_CIRCUIT = {WaitReason.GATEWAY_ACCOUNT, WaitReason.GATEWAY_DOWN, WaitReason.PAUSED}

SKIPPED: Mapping[str, str] = {  # reasons of a rung that no call was made for
    "calls_spent": "the job had made as many calls as it may",
    "budget_exhausted": "a budget was spent",
    "over_budget": "one call could have cost more than a limit allows",
    "unavailable": "the model could not be had",
    "no_price": "no price is known for the model",
    "same_answer": "the model had given the same answer twice",
}

ANOMALIES: Mapping[str, str] = {  # what is odd about answers that were taken all the same
    "no_done": "the stream ended without its mark",
    "usage_missing": "no usage was reported",
    "usage_impossible": "the usage cannot be true",
    "cached_differ": "two reports of cached tokens differ",
    "cached_over_input": "more tokens cached than sent",
    "reasoning_over_output": "more reasoning than output",
    "total_differs": "the total is not the sum",
    "output_over_max": "more output than was allowed",
    "input_over_bound": "more input than the request can have",
    "model_differs": "another model's name came back",
    "more_choices": "more answers than one",
    "finish_differs": "tools were called without saying so",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitInWords:
    """Why a job waits, and what ends that, with the time where it is known."""

    why: str
    until: str
    at: datetime | None


def reason_of(circuit: Circuit) -> Reason:
    """Say why an open circuit is open, and what to do about it."""
    found = REASONS[circuit.why or Why.FAILING]
    return Reason(found.what.replace("{model}", circuit.name), found.advice)


def wait_of(reason: WaitReason, run_at: datetime, open_ones: Mapping[str, Circuit]) -> WaitInWords:
    """Say why a job waits and when it goes on; `open_ones` are the open circuits by name."""
    why = WAITS[reason]
    circuit = _in_the_way(reason, open_ones)
    if circuit is not None:
        why = reason_of(circuit).what.removesuffix(".")
        if circuit.until is not None:
            return WaitInWords(why=why, until="goes on at", at=circuit.until)
        if circuit.probe_at is None:
            return WaitInWords(why=why, until="goes on when calls are resumed", at=None)
        return WaitInWords(why=why, until="the next try is at", at=circuit.probe_at)
    words = {
        WaitReason.BUDGET: "goes on when there is room, looked for again at",
        WaitReason.SAME_WORK: "goes on when that has ended, looked for again at",
    }
    return WaitInWords(why=why, until=words.get(reason, "goes on at"), at=run_at)


def _in_the_way(reason: WaitReason, open_ones: Mapping[str, Circuit]) -> Circuit | None:
    """Give the circuit that a job waits for: the gateway's before those of models, which it may not need."""
    gateway = open_ones.get(GATEWAY)
    if reason is WaitReason.RATE_LIMIT:
        return gateway if gateway is not None and gateway.until is not None else None
    if reason not in _FOR_CIRCUIT or gateway is not None:
        return gateway if reason in _FOR_CIRCUIT else None
    if reason is WaitReason.PAUSED:
        return next((each for each in open_ones.values() if each.state is Condition.PAUSED), None)
    down = [each for each in open_ones.values() if each.state is Condition.DOWN and each.probe_at is not None]
    return min(down, key=lambda each: each.probe_at or each.since, default=None)
