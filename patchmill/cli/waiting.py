"""Why jobs wait, in words, and when they go on: the job's reason, and the gateway's state."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from patchmill.cli.talk import shown
from patchmill.client.documents import CircuitState, Gateway, Job, Pause
from patchmill.client.http import Client
from patchmill.job.circuit import Condition, Why
from patchmill.job.state import WaitReason

_WORDS: Mapping[str, str] = {
    WaitReason.RETRY: "a call failed and is made anew",
    WaitReason.RATE_LIMIT: "the gateway asked to wait, or every call slot was taken",
    WaitReason.BUDGET: "a budget has no room for a call (`patchmill budgets`)",
    WaitReason.GATEWAY_ACCOUNT: "the gateway lets this account make no call",
    WaitReason.GATEWAY_DOWN: "the gateway or the model cannot be reached",
    WaitReason.PAUSED: "calls are paused",
    WaitReason.SAME_WORK: "another job does the same work",
}
_NAMED = frozenset({"project", "queue"})
_OF_GATEWAY = frozenset({WaitReason.GATEWAY_ACCOUNT, WaitReason.GATEWAY_DOWN, WaitReason.PAUSED})
_ASK = _OF_GATEWAY | {WaitReason.RATE_LIMIT}  # a spend cap is one of these


@dataclass(frozen=True, slots=True)
class Wait:
    """Why a job waits, and when it goes on."""

    why: str
    until: str

    def __str__(self) -> str:
        return f"{self.why}; {self.until}"


def waits_of(client: Client, jobs: Sequence[Job]) -> dict[str, Wait]:
    """Say of every job that waits, by its id, why; the gateway's state is only read where it may tell."""
    waiting = [job for job in jobs if job["wait_reason"]]
    gateway = client.gateway() if any(job["wait_reason"] in _ASK for job in waiting) else None
    return {job["id"]: _wait(job, gateway) for job in waiting}


def moment(at: str) -> str:
    """Write a time of the API for people, to the second."""
    return f"{at[:19].replace('T', ' ')} UTC"


def _wait(job: Job, gateway: Gateway | None) -> Wait:
    pause = job.get("paused_by")
    if pause is not None and pause["what"] in _NAMED:
        return Wait(paused_since(pause), f"goes on with `{resuming(pause)}`")
    reason = job["wait_reason"] or ""
    why = _WORDS.get(reason, reason)
    circuit = None if gateway is None else _in_the_way(reason, gateway)
    if circuit is None:
        return Wait(
            why, f"looked at again at {moment(job['run_at'])}" if job["run_at"] else "goes on by itself"
        )
    said = [circuit["reason"] if circuit["reason"] != Why.OPERATOR else None, circuit["message"]]
    told = ": ".join(" ".join(shown(each).split()) for each in said if each)
    return Wait(f"{why} ({told})" if told else why, _until(circuit))


def paused_since(pause: Pause) -> str:
    """Write what is paused, by whom, since when and why."""
    by = f" by {shown(pause['actor'])}" if pause["actor"] else ""
    reason = " ".join(shown(pause["reason"]).split())
    name = " ".join(shown(pause["name"]).split())
    since = f"paused{by} since {moment(pause['since'])}"
    return f"the {pause['what']} {name} is {since}" + (f": {reason}" if reason else "")


def resuming(pause: Pause) -> str:
    """Give the command that ends the pause of a project or a queue."""
    return f"patchmill resume --{pause['what']} {shlex.quote(pause['name'])}"


def _until(circuit: Mapping[str, Any]) -> str:
    of_model = f" --model {shlex.quote(circuit['model'])}" if "model" in circuit else ""
    command = f"`patchmill resume{of_model}`"
    if circuit["resumes_at"]:
        return f"goes on by itself at {moment(circuit['resumes_at'])}, or with {command}"
    if circuit["next_probe_at"]:
        return f"the next try is at {moment(circuit['next_probe_at'])}, or with {command}"
    return f"goes on with {command}"


def _in_the_way(reason: str, gateway: Gateway) -> CircuitState | None:
    """Give what a job waits for: the gateway before a model; a rate limit is one only until a known time."""
    if reason in _OF_GATEWAY and gateway["state"] != Condition.OK:
        return gateway
    if reason == WaitReason.RATE_LIMIT and gateway["resumes_at"]:
        return gateway
    states = {WaitReason.GATEWAY_DOWN: Condition.DOWN, WaitReason.PAUSED: Condition.PAUSED}
    return next((each for each in gateway["models"] if each["state"] == states.get(WaitReason(reason))), None)
