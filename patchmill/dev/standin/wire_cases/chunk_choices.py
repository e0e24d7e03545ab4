"""C6 to C8, C10 to C12 and C16: finish reasons, contents and choices of chunks."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from patchmill.dev.standin.wire_cases.case import WireCase
from patchmill.dev.standin.wire_cases.reply import DONE, Reply, Step, Write, event, streamed

_THOUGHT = "First one would have to look at the line. "
_MARKUP = (
    '<\uff5cDSML\uff5cfunction_calls>\n<\uff5cDSML\uff5cinvoke name="read">\n</\uff5cDSML\uff5cinvoke>\n'
    "</\uff5cDSML\uff5cfunction_calls>"
)


def _case(
    name: str,
    summary: str,
    steps: Callable[[Reply], Iterable[Step]],
    says: str | None = None,
    thinks: str = "",
) -> WireCase:
    return WireCase(name=name, summary=summary, steps=steps, says=says, thinks=thinks)


def _usual(reply: Reply) -> Iterator[Step]:
    return streamed(reply, *reply.whole())


def _finish(reason: str | None) -> Callable[[Reply], Iterator[Step]]:
    def steps(reply: Reply) -> Iterator[Step]:
        finish = event(reply.chunk({}, reason))
        return streamed(reply, reply.opening(), *reply.spoken(), finish, reply.used(), DONE)

    return steps


def _finish_twice(reply: Reply) -> Iterator[Step]:
    spoken = reply.spoken()
    return streamed(reply, reply.opening(), *spoken, reply.finished(), reply.finished(), reply.used(), DONE)


def _finish_on_content(reply: Reply) -> Iterator[Step]:
    spoken = reply.spoken()[:-1]
    last = event(reply.chunk({"content": reply.pieces[-1]}, reply.finish), reply.pieces[-1])
    return streamed(reply, reply.opening(), *spoken, last, reply.used(), DONE)


def _before_each(*deltas: dict[str, Any]) -> Callable[[Reply], Iterator[Step]]:
    """A chunk for each of these deltas before each piece of the content."""

    def steps(reply: Reply) -> Iterator[Step]:
        between = [event(reply.chunk(delta)) for delta in deltas]
        told: list[Step] = [step for write in reply.told() for step in (*between, write)]
        return streamed(reply, *told, reply.used(), DONE)

    return steps


def _spoken_with(**delta: Any) -> Callable[[Reply], Iterator[Step]]:
    """Each piece of the content with more fields in its delta."""

    def steps(reply: Reply) -> Iterator[Step]:
        spoken = [event(reply.chunk({**delta, "content": piece}), piece) for piece in reply.pieces]
        return streamed(reply, *spoken, reply.finished(), reply.used(), DONE)

    return steps


def _thinking_between(reply: Reply) -> Iterator[Step]:
    thoughts = [_thought(reply, word + " ") for word in reply.reasoning.split()]
    spoken = reply.spoken()
    steps: list[Step] = []
    for place in range(max(len(thoughts), len(spoken))):
        steps += [*thoughts[place : place + 1], *spoken[place : place + 1]]
    return streamed(reply, reply.opening(), *steps, reply.finished(), reply.used(), DONE)


def _thinking_only(reply: Reply) -> Iterator[Step]:
    return streamed(
        reply, reply.opening(), _thought(reply, reply.reasoning), reply.finished("stop"), reply.used(), DONE
    )


def _thinking_elsewhere(reply: Reply) -> Iterator[Step]:
    thought = event(reply.chunk({"reasoning": reply.reasoning}), reply.reasoning)
    return streamed(reply, reply.opening(), thought, *reply.told()[1:], reply.used(), DONE)


def _thought(reply: Reply, text: str) -> Write:
    return event(reply.chunk({"content": None, "reasoning_content": text}), text)


def _second_choice(reply: Reply) -> Iterator[Step]:
    other = event(reply.chunk({"content": "the other choice"}, index=1))
    ended = event(reply.chunk({}, "length", index=1))
    between: list[Step] = [step for write in reply.told() for step in (write, other)]
    return streamed(reply, *between, ended, reply.used(), DONE)


def _only_second(reply: Reply) -> Iterator[Step]:
    spoken = [event(reply.chunk({"content": piece}, index=1), piece) for piece in reply.pieces]
    return streamed(reply, *spoken, event(reply.chunk({}, "stop", index=1)), reply.used(), DONE)


def _varying(reply: Reply) -> Iterator[Step]:
    steps: list[Step] = [
        event(
            reply.chunk({"content": piece}, id=f"gen-{place}", created=place, model=f"alias-{place}"), piece
        )
        for place, piece in enumerate(reply.pieces)
    ]
    return streamed(reply, reply.opening(), *steps, reply.finished(), reply.used(), DONE)


def _under_name(model: str) -> Callable[[Reply], Iterator[Step]]:
    def steps(reply: Reply) -> Iterator[Step]:
        spoken = reply.spoken(model=model)
        return streamed(reply, *spoken, reply.finished(model=model), reply.used(), DONE)

    return steps


def _stripped(reply: Reply) -> Iterator[Step]:
    """Chunks with the fewest fields that still carry an answer."""
    spoken: list[Step] = [
        event({"choices": [{"delta": {"content": piece}}]}, piece) for piece in reply.pieces
    ]
    finish = event({"choices": [{"finish_reason": reply.finish}]})
    return streamed(reply, *spoken, finish, event({"usage": reply.usage.document()}), DONE)


def _message_for_delta(reply: Reply) -> Iterator[Step]:
    choice = {"index": 0, "message": {"role": "assistant", "content": reply.content}, "finish_reason": "stop"}
    document = reply.document(choices=[choice])
    return streamed(reply, event(document, reply.content), DONE)


def _with_logprobs(reply: Reply) -> Iterator[Step]:
    def chunk(piece: str) -> dict[str, Any]:
        logprobs = {"content": [{"token": piece, "logprob": -0.1, "bytes": None, "top_logprobs": []}]}
        choice = {"index": 0, "delta": {"content": piece}, "logprobs": logprobs, "finish_reason": None}
        return reply.chunk({}, choices=[choice])

    spoken = [event(chunk(piece), piece) for piece in reply.pieces]
    return streamed(reply, reply.opening(), *spoken, reply.finished(), reply.used(), DONE)


def _with_unknown(reply: Reply) -> Iterator[Step]:
    more: dict[str, Any] = {
        "service_tier": None,
        "provider": "x",
        "x": {"nested": [1, None]},
        "object": "unknown",
    }
    return streamed(reply, reply.opening(), *reply.spoken(**more), reply.finished(**more), reply.used(), DONE)


_FINISHES = (
    _case("C6_stop", "Finishes with `stop`.", _finish("stop")),
    _case("C6_length", "Finishes with `length`, though the answer is whole.", _finish("length")),
    _case("C6_content_filter", "Finishes with `content_filter`.", _finish("content_filter")),
    _case(
        "C6_insufficient_system_resource",
        "Finishes with `insufficient_system_resource`, which is billed.",
        _finish("insufficient_system_resource"),
    ),
    _case("C6_function_call", "Finishes with `function_call` and no call.", _finish("function_call")),
    _case("C6_tool_calls_without_calls", "Finishes with `tool_calls` and no call.", _finish("tool_calls")),
    _case("C6_error", "Finishes with `error`, and no error is reported.", _finish("error")),
    _case("C6_unknown", "Finishes with a reason that nobody knows.", _finish("eos")),
    _case("C6_empty", "Finishes with an empty reason.", _finish("")),
    _case("C6_null", "Has the finish reason null to the end.", _finish(None)),
    _case("C6_twice", "Gives the finish reason twice.", _finish_twice),
    _case("C6_on_content", "Gives the finish reason with the last piece of content.", _finish_on_content),
)
_CONTENTS = (
    _case("C7_empty_content", "Answers nothing and finishes with `stop`.", _usual, says=""),
    _case("C7_blank_content", "Answers blanks.", _usual, says=" \n \n"),
    _case(
        "C7_json_blank",
        "Answers a long run of blanks, as JSON mode does when the model has none.",
        _usual,
        says=" " * 256,
    ),
    _case(
        "C7_json_fenced",
        "Answers JSON inside a Markdown fence.",
        _usual,
        says='```json\n{"answer": "fenced"}\n```',
    ),
    _case(
        "C7_json_cut",
        "Answers JSON that is cut, and finishes with `length`.",
        _finish("length"),
        says='{"answer": "cut in the mid',
    ),
    _case(
        "C8_content_null",
        "Has chunks whose content is null.",
        _before_each({"content": None}, {"role": "assistant", "content": None}),
    ),
    _case("C8_content_empty", "Has chunks whose content is empty.", _before_each({"content": ""})),
    _case("C8_content_absent", "Has chunks whose delta is empty.", _before_each({})),
    _case("C8_role_repeated", "Gives the role in each chunk.", _spoken_with(role="assistant")),
    _case("C8_reasoning_empty", "Gives empty reasoning in each chunk.", _spoken_with(reasoning_content="")),
    _case("C8_reasoning_null", "Gives null reasoning in each chunk.", _spoken_with(reasoning_content=None)),
    _case(
        "C8_reasoning_between", "Reasons between the pieces of content.", _thinking_between, thinks=_THOUGHT
    ),
    _case(
        "C8_reasoning_only",
        "Reasons, answers nothing, and finishes with `stop`.",
        _thinking_only,
        says="",
        thinks=_THOUGHT,
    ),
    _case(
        "C8_reasoning_other_field", "Reasons in a field `reasoning`.", _thinking_elsewhere, thinks=_THOUGHT
    ),
    _case(
        "C10_markup_in_content",
        "Leaks the model's own markup for calls into the content.",
        _usual,
        says=_MARKUP,
    ),
    _case(
        "C10_call_announced",
        "Says that it will call a tool, and stops.",
        _usual,
        says="Let me read the file first.",
    ),
)
_CHOICES = (
    _case("C11_second_choice", "Answers with two choices though one was asked for.", _second_choice),
    _case("C11_only_second_choice", "Answers with a choice whose index is 1.", _only_second),
    _case("C11_ids_vary", "Gives each chunk another id, time and model.", _varying),
    _case(
        "C11_other_version", "Answers under another version's name.", _under_name("deepseek-v4-flash-0731")
    ),
    _case("C11_other_model", "Answers under another model's name.", _under_name("qwen-72b")),
    _case("C11_fewest_fields", "Leaves out every field that is not needed.", _stripped),
    _case(
        "C11_message_for_delta", "Sends the whole message in one chunk instead of deltas.", _message_for_delta
    ),
    _case("C12_logprobs", "Has log probabilities.", _with_logprobs),
    _case(
        "C12_refusal_null",
        "Has `refusal` null and `annotations` in each delta.",
        _spoken_with(refusal=None, annotations=[], audio=None),
    ),
    _case("C12_unknown_fields", "Has fields that nobody knows.", _with_unknown),
    _case(
        "C16_format_ignored",
        "Answers in prose, whatever format was asked for.",
        _usual,
        says="Here is the answer: change line 1.",
    ),
)

CHUNK_CHOICES = (*_FINISHES, *_CONTENTS, *_CHOICES)
