"""What a job will probably take: its prompt counted by the model's own vocabulary, the rest by experience."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from patchmill.budget.ledger import Spent
from patchmill.call.ceiling import may_be_made
from patchmill.call.effort import Effort
from patchmill.call.excerpts import Extent
from patchmill.call.fitting import Prompt, Question, fitted
from patchmill.call.prompt import first_parts, first_turn
from patchmill.edit.protocol import Message
from patchmill.job.experience import BYTES_IN_UNIT, Experience
from patchmill.job.record import KindName, Task

MESSAGE_TOKENS = 4  # around one message, in the templates of the models at hand
FEEDBACK_TOKENS = 60  # why an answer failed, and that another is wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What is expected of each call, one a rung; `first` is the prompt of the first, None if there is none.

    `too_long` says that no form of the question fits the model's context, so that the job will fail.
    """

    calls: tuple[Spent, ...] = ()
    first: Sequence[Message] | None = None
    too_long: bool = False

    @property
    def input_tokens(self) -> int:
        """The input tokens of all calls."""
        return sum(call.input_tokens for call in self.calls)

    @property
    def output_tokens(self) -> int:
        """The output tokens of all calls."""
        return sum(call.output_tokens for call in self.calls)


def expected(
    question: Question,
    experience: Experience,
    *,
    rungs: int,
    context_tokens: int | None,
    effort: Effort,
    searched: bool,
) -> Expected:
    """Say what a job will probably take: so many of the ladder's `rungs` as earlier jobs have climbed.

    Findings that come with a tool's own safe fix are taken for mended by it. What may not be `searched` for
    the functions around its findings is taken to be shown whole.
    """
    task = unmended(question.task)
    if task.kind is KindName.FIX and not task.findings and task.instruction is None:
        return Expected()
    question = replace(question, task=task)
    messages = _prompt(question, context_tokens, effort) if searched else _whole(question)
    if messages is None:
        return Expected(too_long=True)
    first = sum(effort.count(message["content"]) + MESSAGE_TOKENS for message in messages)
    answer = min(_answer_tokens(task, experience), question.kind.max_tokens)
    climbed = min(experience.calls, rungs, may_be_made(task.options.max_calls))
    entering = [first + rung * (answer + FEEDBACK_TOKENS) for rung in range(climbed)]
    if context_tokens is not None:
        entering = [min(tokens, context_tokens) for tokens in entering]
    calls = tuple(
        Spent(
            input_tokens=tokens,
            cached_tokens=tokens * experience.cached_percent // 100,
            output_tokens=answer,
        )
        for tokens in entering
    )
    return Expected(calls=calls, first=messages)


def unmended(task: Task) -> Task:
    """Give the task without the findings that tools' own safe fixes will probably mend."""
    if not task.options.tool_fixes:
        return task
    left = tuple(each for each in task.findings if not any(fix.safe for fix in each.fixes))
    return replace(task, findings=left)


def _prompt(question: Question, context_tokens: int | None, effort: Effort) -> Sequence[Message] | None:
    """Give the messages of the first call, or None where no form fits."""
    max_tokens = question.kind.max_tokens
    found = fitted(question, context_tokens=context_tokens, max_tokens=max_tokens, count=effort.count)
    return found.messages if isinstance(found, Prompt) else None


def _whole(question: Question) -> Sequence[Message]:
    return first_turn(first_parts(question.task, question.kind, question.edit_format, extent=Extent.WHOLE))


def _answer_tokens(task: Task, experience: Experience) -> int:
    """Give the tokens of one answer."""
    if task.kind is KindName.ANNOTATE:
        size = len(task.source.encode("utf-8", "replace"))
        return experience.output_tokens * max(1, -(-size // BYTES_IN_UNIT))
    return experience.output_tokens * max(1, len(task.findings))
