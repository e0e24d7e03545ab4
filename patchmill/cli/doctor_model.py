"""What a trial found out about one model, in the doctor's lines: a contradiction to the documents warns."""

from collections.abc import Iterator, Mapping
from enum import StrEnum

from patchmill.budget.models import ModelCapability, capability_of
from patchmill.call.reply import Anomaly, Answered, Rejected, Unknown, Usage
from patchmill.call.trial.probes import COUNTED_TOKENS, Feature, Finding, Found
from patchmill.call.trial.trial import ModelTrial
from patchmill.cli.doctor_line import Line
from patchmill.cli.exits import Exit
from patchmill.job.failure import Failure, FailureClass

_NO_CREDIT = {"insufficient_balance", "quota_exceeded", "insufficient_quota"}
_PAYMENT_REQUIRED = 402
_FORBIDDEN = 403


class Role(StrEnum):
    """What a model is to jobs; the value is the setting that names it."""

    FIRST = "PATCHMILL_MODEL"
    ESCALATION = "PATCHMILL_ESCALATION_MODEL"
    FALLBACK = "PATCHMILL_FALLBACK_MODEL"


# What happens without the model.
_WITHOUT = {
    Role.ESCALATION: "jobs end without the stronger model",
    Role.FALLBACK: "jobs wait while the first model cannot be had",
}
_LABELS = {
    Feature.JSON_OBJECT: ("json", "JSON mode"),
    Feature.JSON_SCHEMA: ("json", "JSON by a schema"),
    Feature.TOOLS: ("tools", "calling tools"),
    Feature.REASONING: ("reasoning", "reasoning"),
}
# What Patchmill does where the model does not do as documented.
_INSTEAD = {
    Feature.JSON_OBJECT: "the edit format `json` asks for JSON by the prompt alone",
    Feature.JSON_SCHEMA: "the edit format `json` asks for JSON mode in its place",
    Feature.TOOLS: "it is offered none; the edit format `tool` asks for its JSON in words",
    Feature.REASONING: "it is asked without; a project's policy `reasoning` changes nothing with it",
}
_TOLD_APART = {Anomaly.USAGE_MISSING, Anomaly.OUTPUT_OVER_MAX, Anomaly.MODEL_DIFFERS}


def lines(trial: ModelTrial, role: Role, told: Mapping[str, int]) -> Iterator[Line]:
    """Say what was found out about a model; `told` are the limits that the gateway named."""
    if trial.not_tried is not None:
        yield Line.warn("model", f"{trial.model} was not tried: {trial.not_tried}", "run this again")
        return
    if trial.failed is not None:
        yield _out_of_reach(trial, role, trial.failed)
        return
    if trial.first is None:
        raise AssertionError("a model that was tried has an answer, or the reason why there is none")
    documented = capability_of(trial.model)
    yield _answers(trial, trial.first)
    yield from _name(trial, trial.first)
    yield from _limits(trial.model, documented, told)
    yield _stream(trial, trial.first)
    yield _max_tokens(trial, trial.first)
    for feature, finding in trial.features.items():
        yield _feature(trial.model, documented, feature, finding)
    yield from _refused(trial, documented)
    yield from _oddities(trial)


def of_all(outcome: Rejected, url_advice: str) -> Line:
    """Say why no model can be called at all."""
    failure = outcome.failure
    if failure.failure is FailureClass.CONNECT:
        return Line.fail("gateway", f"takes no call: {failure.message}", url_advice)
    return account_refused("gateway", failure, outcome.status, code=outcome.code)


def account_refused(name: str, failure: Failure, status: int | None, *, code: str | None) -> Line:
    """Say why the account lets nobody call, and what would help."""
    if failure.failure is FailureClass.SPEND_CAP:
        wait = "" if failure.retry_after_s is None else f" for {failure.retry_after_s:.0f} s"
        advice = f"wait{wait}, or raise the key's spend cap"
        return Line.fail(name, f"the spend cap is reached: {failure.message}", advice, Exit.BUDGET)
    if status == _PAYMENT_REQUIRED or code in _NO_CREDIT:
        advice = "top the account up, or raise the key's quota"
        return Line.fail(name, f"there is no credit: {failure.message}", advice, Exit.BUDGET)
    advice = "is the key right?"
    if status == _FORBIDDEN:
        advice = "is the key right, and may it be used from this address?"
    return Line.fail(name, f"refuses the key: {failure.message}", advice, Exit.AUTHENTICATION)


def _out_of_reach(trial: ModelTrial, role: Role, failed: Rejected | Unknown) -> Line:
    failure = failed.failure
    if failure.failure is FailureClass.MODEL:
        detail = f"{trial.model} is out of this key's reach: {failure.message}"
        advice, ends = f"set {role} to one that it reaches", Exit.USAGE
    else:
        detail = f"{trial.model} gives no answer: {failure.message}"
        advice, ends = "is PATCHMILL_GATEWAY_URL right, and does the gateway serve?", Exit.SERVICE
    if role is Role.FIRST:
        return Line.fail("model", detail, advice, ends)
    return Line.warn("model", detail, f"{_WITHOUT[role]}; {advice}")


def _answers(trial: ModelTrial, first: Answered) -> Line:
    times = first.timings
    parts = [f"connected after {times.queue_ms} ms"]
    if times.first_token_ms is not None:
        parts.append(f"first token after {times.first_token_ms} ms")
    parts.append(f"all after {times.total_ms} ms")
    who = " (the stand-in, no model)" if first.stand_in else ""
    return Line.ok("model", f"{trial.model} answers{who}: {', '.join(parts)}")


def _name(trial: ModelTrial, first: Answered) -> Iterator[Line]:
    if Anomaly.MODEL_DIFFERS in trial.anomalies:
        yield Line.warn(
            "model",
            f"{trial.model} gives its name as {first.returned_model}",
            "calls are priced as the model that was asked, and keep the name that was given",
        )


def _limits(model: str, documented: ModelCapability, told: Mapping[str, int]) -> Iterator[Line]:
    for name, limit in told.items():
        written = getattr(documented, name)
        if model_is_documented(documented) and written != limit:
            detail = f"{model}: {name} {limit:,}, where the documents say {written:,}"
            yield Line.warn("limits", detail, "the gateway's own number holds")


def model_is_documented(capability: ModelCapability) -> bool:
    """Say whether the documents describe the model: of those alone the context is known."""
    return capability.context_tokens is not None


def _stream(trial: ModelTrial, first: Answered) -> Line:
    takes = "stream_options" not in trial.refused
    if not trial.streamed:
        return Line.warn("stream", f"{trial.model} refuses `stream`", "it is called unstreamed")
    if first.usage is not None:
        detail = f"{trial.model} tells its usage, {_cached(first.usage)}"
        if takes:
            return Line.ok("stream", f"{detail}; takes stream_options")
        advice = "it is streamed without that"
        return Line.warn("stream", f"{detail}, but refuses stream_options", advice)
    detail = f"{trial.model}'s streams tell no usage"
    if takes:
        return Line.warn("stream", f"{detail}, though it was asked for", "it is called unstreamed")
    return Line.warn(
        "stream",
        f"{detail}, and it refuses stream_options",
        "it is called unstreamed, without stream_options",
    )


def _cached(usage: Usage) -> str:
    details = usage.raw.get("prompt_tokens_details")
    spellings = [
        name
        for name, there in (
            ("prompt_cache_hit_tokens", "prompt_cache_hit_tokens" in usage.raw),
            (
                "prompt_tokens_details.cached_tokens",
                isinstance(details, Mapping) and "cached_tokens" in details,
            ),
        )
        if there
    ]
    if not spellings:
        return "without cached tokens, so all input counts in full"
    return f"cached tokens as {' and '.join(spellings)}"


def _max_tokens(trial: ModelTrial, first: Answered) -> Line:
    model = trial.model
    if trial.keeps_max_tokens:
        return Line.ok("max_tokens", f"{model} keeps to it")
    if trial.keeps_max_tokens is None:
        return Line.ok("max_tokens", f"{model} ended by itself before {COUNTED_TOKENS}; not shown")
    came = f"more than {2 * COUNTED_TOKENS}" if first.usage is None else f"{first.usage.output_tokens}"
    return Line.warn(
        "max_tokens",
        f"{model} ignores it: {came} tokens where {COUNTED_TOKENS} were asked for",
        "what exceeds a hold is booked as overrun, which no budget bears: set a spend cap at the gateway",
    )


def _feature(model: str, documented: ModelCapability, feature: Feature, finding: Finding) -> Line:
    name, what = _LABELS[feature]
    promised = getattr(documented, feature)
    fine = {
        Found.WORKS: f"{what} works{'' if promised else ', which the documents do not say'}",
        Found.CUT: f"{what} is taken; the answer was {finding.said}",
    }
    wrong = {
        Found.FENCED: (f"{what} comes in a Markdown fence", "the edit format `json` reads it all the same"),
        Found.NOT_TRIED: (f"{what} was not tried: {finding.said}", "run this again"),
        Found.FAILED: (f"{what}: no answer: {finding.said}", "run this again"),
        Found.REFUSED: (f"{what} is refused: {finding.said}", _INSTEAD[feature]),
        Found.UNUSABLE: (f"{what} is taken, and gave {finding.said}", _INSTEAD[feature]),
    }
    if finding.found in fine:
        return Line.ok(name, f"{model}: {fine[finding.found]}")
    if finding.found in {Found.REFUSED, Found.UNUSABLE} and not promised:
        return Line.ok(name, f"{model}: no {what}, nor do the documents say so")
    detail, advice = wrong[finding.found]
    return Line.warn(name, f"{model}: {detail}", advice)


def _refused(trial: ModelTrial, documented: ModelCapability) -> Iterator[Line]:
    """Name the fields that were refused and that no other line speaks of."""
    others = {"stream", "stream_options", "tools", "reasoning", "response_format"}
    for name in sorted(trial.refused - others):
        if name in documented.fields:
            yield Line.warn("fields", f"{trial.model} refuses `{name}`", "it is not sent any more")


def _oddities(trial: ModelTrial) -> Iterator[Line]:
    if trial.usage_in_plain is False:
        detail = f"{trial.model} tells no usage in plain answers"
        advice = "the worst case of such a call stays against its budgets as uncertain"
        yield Line.warn("usage", detail, advice)
    left = sorted(trial.anomalies - _TOLD_APART)
    if left:
        yield Line.warn("usage", f"{trial.model}: {', '.join(left)}", "such calls are counted by these names")
