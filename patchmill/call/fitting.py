"""A prompt that fits the model's context: as much as helps, made smaller by fixed steps, or too long.

Of a file that is not small the imports and the functions around the findings are shown, about a quarter of
its tokens, since the right fix seldom lies elsewhere. Once an answer has failed, the whole file is added.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain

from patchmill.budget.tokens import TEMPLATE_TOKENS, TOKENS_PER_MESSAGE
from patchmill.call.excerpts import Extent, Layout, extents
from patchmill.call.prompt import first_parts, first_turn, repair_parts, repair_turn
from patchmill.call.tokens import count_tokens
from patchmill.edit.protocol import EditFormat, Message
from patchmill.job.record import ErrorCode, Task
from patchmill.job.retry import Fail
from patchmill.kinds.kind import Kind

JOIN_TOKENS = 2  # the line ends between two parts
WIDENED_BYTES = 32 * 1024  # a file up to this size is shown whole once an answer from excerpts has failed

Count = Callable[[str], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked, and what came of it so far: each answer that failed, with the reason.

    `step` passes over so many of the largest forms; `widens` lets a repair turn bring the whole file.
    Excerpts follow the file's `layout`, if it is known.
    """

    task: Task
    kind: Kind
    edit_format: EditFormat
    mended: tuple[tuple[int, int], ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    step: int = 0
    widens: bool = True
    layout: Layout | None = None

    def repaired(self, answer: str, feedback: str) -> "Question":
        """Ask again after an answer that failed: the messages so far stay as they are."""
        return replace(self, failed=(*self.failed, (answer, feedback)))

    def forms(self) -> Iterator["Question"]:
        """Give this question and its smaller forms, one after the other.

        The whole file gives way to excerpts, then the context files go, from the last to the first, then the
        imports, then all but the margins of the findings.
        """
        form = self
        for step in range(self.step, len(_steps(self.task))):
            form = replace(form, step=step)
            if form.is_widened:
                yield form
                form = replace(form, widens=False)
            yield form

    @property
    def is_widened(self) -> bool:
        """Whether the first repair turn brings the whole file."""
        if not (self.widens and self.failed) or self._shown[0] is Extent.WHOLE:
            return False
        return len(_utf8(self.task.source)) <= WIDENED_BYTES

    @property
    def _shown(self) -> tuple[Extent, int]:
        return _steps(self.task)[self.step]

    def parts(self) -> list[list[str]]:
        """Write the parts of each turn."""
        extent, context_files = self._shown
        first = first_parts(
            self.task,
            self.kind,
            self.edit_format,
            mended=self.mended,
            extent=extent,
            context_files=context_files,
            layout=self.layout,
        )
        wholes = [self.task if self.is_widened else None, *[None] * len(self.failed)]
        repairs = [
            repair_parts(answer, feedback, self.edit_format, whole=whole)
            for (answer, feedback), whole in zip(self.failed, wholes, strict=False)
        ]
        return [first, *repairs]

    def __str__(self) -> str:
        extent, context_files = self._shown
        said = f"{extent} and {context_files} of {len(self.task.context)} context files"
        return f"{said}, with the whole file after the first answer" if self.is_widened else said


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A question in the form that fits, and how long the answer may be.

    `estimated_tokens` is None where the number of bytes shows that it fits.
    """

    question: Question
    messages: list[Message]
    max_tokens: int
    estimated_tokens: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TooLong:
    """No form of a question fits: the tokens of the smallest, the limit, and what was tried."""

    estimated_tokens: int
    max_tokens: int
    context_tokens: int | None
    tried: tuple[str, ...]

    def fail(self) -> Fail:
        """Give the end of the job."""
        limit = "what the gateway takes" if self.context_tokens is None else f"{self.context_tokens} tokens"
        return Fail(
            code=ErrorCode.CONTEXT_TOO_LONG,
            message=f"the prompt is about {self.estimated_tokens} tokens even in its smallest form, "
            f"which with {self.max_tokens} for the answer is more than {limit}",
            retryable=False,
            details={
                "estimated_tokens": self.estimated_tokens,
                "max_tokens": self.max_tokens,
                "context_tokens": self.context_tokens,
                "tried": list(self.tried),
            },
        )


def fitted(
    question: Question,
    *,
    context_tokens: int | None,
    max_tokens: int,
    refused: Prompt | None = None,
    count: Count = count_tokens,
) -> Prompt | TooLong:
    """Give the largest form whose estimate leaves `max_tokens` in the context, or else the kind's floor.

    After a prompt that the gateway `refused` as too long, against the estimate, only forms count that are
    smaller by a quarter. Without `context_tokens` nothing is known of the limit, and any form fits.
    """
    sizes = _Sizes(count)
    forms = list(question.forms())
    tried: list[str] = []
    estimate = 0
    if refused is not None:
        estimate = sizes.estimate(refused.question)
        forms = [form for form in forms if sizes.estimate(form) <= estimate * 3 // 4]
        tried.append(_refusal(refused.question, sizes))
    floor = min(question.kind.floor_tokens, max_tokens)
    spacious: tuple[Question, int] | None = None
    for form in forms:
        if context_tokens is None or sizes.bound(form) + max_tokens <= context_tokens:
            return _prompt(form, max_tokens, None)
        estimate = sizes.estimate(form)
        tried.append(f"{form}: about {estimate} tokens")
        if estimate + max_tokens <= context_tokens:
            return _prompt(form, max_tokens, estimate)
        if spacious is None and estimate + floor <= context_tokens:
            spacious = form, context_tokens - estimate
    if spacious is not None:
        form, room = spacious
        return _prompt(form, room, sizes.estimate(form))
    return TooLong(
        estimated_tokens=estimate, max_tokens=floor, context_tokens=context_tokens, tried=tuple(tried)
    )


def refused_twice(first: Prompt, second: Prompt, *, count: Count = count_tokens) -> TooLong:
    """Say what was tried when the gateway found the smaller form too long as well."""
    sizes = _Sizes(count)
    tried = [_refusal(prompt.question, sizes) for prompt in (first, second)]
    return TooLong(
        estimated_tokens=sizes.estimate(second.question),
        max_tokens=second.max_tokens,
        context_tokens=None,
        tried=tuple(tried),
    )


class _Sizes:
    """The sizes of prompts in tokens; each part is counted once, whatever forms it stands in."""

    def __init__(self, count: Count) -> None:
        self._count = cache(count)

    def bound(self, form: Question) -> int:
        """Bound the tokens by the bytes, which is quick."""
        return self._sum(form, lambda part: len(_utf8(part)))

    def estimate(self, form: Question) -> int:
        """Count the tokens; where two parts meet it may be one more or less."""
        return self._sum(form, self._count)

    def _sum(self, form: Question, size: Count) -> int:
        turns = form.parts()
        parts = [*chain.from_iterable(turns), *_schemas(form.edit_format)]
        frame = TEMPLATE_TOKENS + 2 * TOKENS_PER_MESSAGE * len(turns)
        return frame + sum(size(part) + JOIN_TOKENS for part in parts)


def _refusal(form: Question, sizes: _Sizes) -> str:
    return f"{form}: about {sizes.estimate(form)} tokens, refused by the gateway"


def _prompt(form: Question, max_tokens: int, estimate: int | None) -> Prompt:
    first, *repairs = form.parts()
    messages = first_turn(first)
    for parts in repairs:
        messages = repair_turn(messages, parts, form.edit_format)
    return Prompt(question=form, messages=messages, max_tokens=max_tokens, estimated_tokens=estimate)


def _schemas(edit_format: EditFormat) -> list[str]:
    """What a request carries of an edit format beside the messages."""
    schema, tool = edit_format.answer_schema, edit_format.tool
    schemas = [] if schema is None else [json.dumps(schema)]
    return schemas if tool is None else [*schemas, tool.name, tool.description, json.dumps(tool.parameters)]


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _steps(task: Task) -> list[tuple[Extent, int]]:
    """Give what is shown of the file and how many context files, the most first."""
    first, *rest = extents(task)
    files = len(task.context)
    steps = [(first, files)]
    if first is Extent.WHOLE and rest:
        first, *rest = rest
        steps.append((first, files))
    steps += [(first, left) for left in range(files - 1, -1, -1)]
    return steps + [(extent, 0) for extent in rest]
