"""The most that a job's calls may take: an upper bound by the arithmetic of admission, before any is made.

Every call may be made as large as it can become, and as often as calls may be billed: an answer that nobody
knows the bill of counts like one that failed. Prices that are known today count, those to come included.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate

from patchmill.budget.ledger import worst_case
from patchmill.budget.models import ModelCapability
from patchmill.budget.prices import Price, Rates, lasting
from patchmill.budget.tokens import input_bound
from patchmill.call.edit_request import edit_request
from patchmill.call.excerpts import MOST_PIECES, Extent, extents
from patchmill.call.fitting import Question
from patchmill.call.prompt import fence_bytes, first_parts, first_turn
from patchmill.call.request import request_body
from patchmill.edit.protocol import EditFormat, Message
from patchmill.job.ladder import GROWTH, REASONING_TOKENS, Rung, Step
from patchmill.job.retry import MAX_BILLED_CALLS

_FRAME_BYTES = 100  # around an excerpt: its heading, the language, and the fences


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    """What is known of a model: its limits, and every row of its price list."""

    able: ModelCapability
    prices: Sequence[Price]

    def highest_rates(self, now: datetime) -> Rates | None:
        """Give the highest of each rate that is known to hold now or at any later time; None without one."""
        known = [row.rates for row in lasting(self.prices, now)]
        if not known:
            return None
        return Rates(
            input_picos=max(rates.input_picos for rates in known),
            cached_picos=max(rates.cached_picos for rates in known),
            output_picos=max(rates.output_picos for rates in known),
        )


Models = Mapping[str, KnownModel]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """What all calls together cannot exceed.

    None where nothing bounds it: the context of a model is not known, or, for money, no price is.
    """

    calls: int
    input_tokens: int | None
    output_tokens: int
    picos: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Size:
    """The same of one call."""

    input_tokens: int | None
    output_tokens: int
    picos: int | None


def may_be_made(max_calls: int | None) -> int:
    """Give how many calls of a job may be billed at most."""
    return min(max_calls or MAX_BILLED_CALLS, MAX_BILLED_CALLS)


def ceiling(question: Question, ladder: Sequence[Step], models: Models, now: datetime) -> Ceiling:
    """Bound everything that the job may spend until it ends, whatever the models answer.

    A stronger model without a price is not asked; without a price of the first one the money is not known.
    """
    calls = may_be_made(question.task.options.max_calls)
    sizes = _Climb(question, models, now).sizes(ladder)
    return Ceiling(
        calls=calls,
        input_tokens=_climbed([size.input_tokens for size in sizes], calls),
        output_tokens=_climbed([size.output_tokens for size in sizes], calls) or 0,
        picos=_climbed([size.picos for size in sizes], calls),
    )


def input_tokens_of(
    messages: Sequence[Message], edit_format: EditFormat, step: Step, model: str, able: ModelCapability
) -> int:
    """Bound a prompt's tokens as its admission will."""
    largest = edit_request(
        model,
        messages,
        edit_format,
        max_tokens=able.output_tokens,
        reasoning=step.reasoning,
        able=able,
    )
    return input_bound(len(request_body(largest)), len(messages), able, structured=largest.structured)


def priced(step: Step, models: Models, now: datetime) -> list[str]:
    """Give who may be called for a rung, in order: those that have a price now, or will."""
    named = [step.model] if step.fallback is None else [step.model, step.fallback]
    return [name for name in named if models[name].highest_rates(now) is not None]


def _climbed(most: Sequence[int | None], calls: int) -> int | None:
    """Give the most that so many calls sum up to: of each rung that is left behind there was one at least."""
    known = [each for each in most[:calls] if each is not None]
    if len(known) < len(most[:calls]):
        return None
    sums = zip(accumulate(known), accumulate(known, max), strict=True)
    return max(once + (calls - number) * highest for number, (once, highest) in enumerate(sums, start=1))


class _Climb:
    """The rungs of one question's ladder, each with the largest call that may be made for it."""

    def __init__(self, question: Question, models: Models, now: datetime) -> None:
        self._question = question
        self._models = models
        self._now = now

    def sizes(self, ladder: Sequence[Step]) -> list[_Size]:
        """Give the largest call of each rung, with the room that an answer gets that was cut short."""
        sizes: list[_Size] = []
        answer = self._question.kind.max_tokens
        for step in ladder:
            names = priced(step, self._models, self._now)
            if not names and step.rung is Rung.ESCALATION:
                continue
            answer = max(answer, min(answer * GROWTH, self._models[step.model].able.output_tokens))
            of_each = [self._call(step, name, answer, first=not sizes) for name in names or [step.model]]
            sizes.append(
                _Size(
                    input_tokens=_most([size.input_tokens for size in of_each]),
                    output_tokens=max(size.output_tokens for size in of_each),
                    picos=_most([size.picos for size in of_each]),
                )
            )
        return sizes

    def _call(self, step: Step, model: str, answer: int, *, first: bool) -> _Size:
        able = self._models[model].able
        output = min(answer + (REASONING_TOKENS if step.reasoning else 0), able.output_tokens)
        # What a failed answer adds to the next prompt has no bound but the model's context.
        entering = self._first_input(step, model, output) if first else able.context_tokens
        rates = self._models[model].highest_rates(self._now)
        picos = None
        if entering is not None and rates is not None:
            picos = worst_case(entering, output, rates).picos
        return _Size(input_tokens=entering, output_tokens=output, picos=picos)

    def _first_input(self, step: Step, model: str, output: int) -> int:
        """Bound any form of the first prompt: the whole file, with what can stand around its pieces.

        Which form it will be, who makes the call decides, by a look into the file; and tools may mend some of
        the findings first.
        """
        question, able = self._question, self._models[model].able
        context = self._models[step.model].able.context_tokens
        parts = first_parts(
            question.task,
            question.kind,
            question.edit_format,
            mended=[(each.start_line, each.end_line) for each in question.task.findings],
            extent=Extent.WHOLE,
        )
        bound = input_tokens_of(first_turn(parts), question.edit_format, step, model, able)
        if extents(question.task)[0] is not Extent.WHOLE:
            bound += MOST_PIECES * (_FRAME_BYTES + 2 * fence_bytes(question.task.source))
        if context is None or bound + output <= context:
            return bound
        return able.context_tokens or bound


def _most(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return max(known) if len(known) == len(values) else None
