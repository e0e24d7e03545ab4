"""One step of the ladder: a prompt that fits, its answer, and another try where either was too long."""

from dataclasses import replace

from patchmill.call.fitting import Prompt, Question, TooLong, fitted, refused_twice
from patchmill.job.ladder import GROWTH, Step
from patchmill.job.record import ErrorCode
from patchmill.job.retry import Fail
from worker.calling import Calling, Interrupted, Reply, RungSkipped


def answer(calling: Calling, step: Step, question: Question, max_tokens: int) -> tuple[Reply, Prompt]:
    """Get the answer of a step; one that was cut short is asked for once more, with more room.

    If the budgets do not allow more than was too little, the job goes on with what there is.

    Raises as `Calling.ask` does; Interrupted also where no form of the question fits the model's context.
    """
    reply, prompt = _ask(calling, step, question, max_tokens)
    longer = max_tokens * GROWTH
    if (
        reply.finish_reason != "length"
        or _fit(calling, step, prompt.question, longer).max_tokens <= prompt.max_tokens
    ):
        return reply, prompt
    try:
        second, prompt = _ask(calling, step, prompt.question, longer, floor_tokens=reply.max_tokens + 1)
    except RungSkipped:
        return reply, prompt
    except Interrupted as stop:
        if not _cannot_be_paid(stop):
            raise
        return reply, prompt
    return replace(second, model_ms=reply.model_ms + second.model_ms), prompt


def _ask(
    calling: Calling, step: Step, question: Question, max_tokens: int, *, floor_tokens: int | None = None
) -> tuple[Reply, Prompt]:
    """Ask in a form that fits the model's context; once more in a smaller one if the gateway refuses it."""
    floor_tokens = question.kind.floor_tokens if floor_tokens is None else floor_tokens
    prompt = _fit(calling, step, question, max_tokens)
    paid = _paid_in_a_smaller_form(calling, step, question, max_tokens, prompt)
    if paid is not None:
        return calling.ask(step, paid, floor_tokens=floor_tokens), paid
    try:
        return calling.ask(step, prompt, floor_tokens=floor_tokens), prompt
    except Interrupted as stop:
        if not _is_too_long(stop):
            raise
    smaller = _fit(calling, step, question, max_tokens, refused=prompt)
    try:
        return calling.ask(step, smaller, floor_tokens=floor_tokens), smaller
    except Interrupted as stop:
        if not _is_too_long(stop):
            raise
        raise Interrupted(refused_twice(prompt, smaller).fail(), stop.server_errors) from None


def _paid_in_a_smaller_form(
    calling: Calling, step: Step, question: Question, max_tokens: int, prompt: Prompt
) -> Prompt | None:
    """Find the form that an earlier attempt got its answer by, once the larger one had been refused."""
    if not calling.resumed or calling.has(step, prompt):
        return None
    smaller = _fitted(calling, step, question, max_tokens, refused=prompt)
    if isinstance(smaller, TooLong) or not calling.has(step, smaller):
        return None
    return smaller


def _fit(
    calling: Calling, step: Step, question: Question, max_tokens: int, *, refused: Prompt | None = None
) -> Prompt:
    found = _fitted(calling, step, question, max_tokens, refused=refused)
    if isinstance(found, TooLong):
        raise Interrupted(found.fail())
    return found


def _fitted(
    calling: Calling, step: Step, question: Question, max_tokens: int, *, refused: Prompt | None
) -> Prompt | TooLong:
    limits = calling.limits_of(step.model)
    return fitted(
        question,
        context_tokens=limits.context_tokens,
        max_tokens=min(max_tokens, limits.output_tokens),
        refused=refused,
    )


def _is_too_long(stop: Interrupted) -> bool:
    return isinstance(stop.decision, Fail) and stop.decision.code is ErrorCode.CONTEXT_TOO_LONG


def _cannot_be_paid(stop: Interrupted) -> bool:
    codes = {ErrorCode.BUDGET_EXHAUSTED, ErrorCode.OVER_BUDGET}
    return isinstance(stop.decision, Fail) and stop.decision.code in codes
