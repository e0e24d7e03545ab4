"""C1 to C5, C13 and C17: how a stream reports usage, and when it does not, or not truly."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from patchmill.dev.standin.tokens import count_tokens
from patchmill.dev.standin.wire_cases.case import Billed, WireCase
from patchmill.dev.standin.wire_cases.reply import DONE, Reply, Step, event, streamed

_THOUGHT = "First one would have to look at the finding, and then at the line that it names. "
_CACHE_FIELDS = ("prompt_cache_hit_tokens", "prompt_cache_miss_tokens", "prompt_tokens_details")


def _case(
    name: str,
    summary: str,
    steps: Callable[[Reply], Iterable[Step]],
    usage: Billed = Billed.WHOLE,
    *,
    says: str | None = None,
    thinks: str = "",
) -> WireCase:
    return WireCase(name=name, summary=summary, steps=steps, usage=usage, says=says, thinks=thinks)


def _on_finish(reply: Reply) -> Iterator[Step]:
    finish = reply.finished(usage=reply.usage.document())
    return streamed(reply, reply.opening(), *reply.spoken(), finish, DONE)


def _twice(reply: Reply) -> Iterator[Step]:
    finish = reply.finished(usage=reply.usage.document())
    return streamed(reply, reply.opening(), *reply.spoken(), finish, reply.used(), DONE)


def _on_content(reply: Reply) -> Iterator[Step]:
    spoken = reply.spoken(usage=None)[:-1]
    last = event(reply.chunk({"content": reply.pieces[-1]}, usage=reply.usage.document()), reply.pieces[-1])
    return streamed(reply, reply.opening(), *spoken, last, reply.finished(), DONE)


def _null_elsewhere(reply: Reply) -> Iterator[Step]:
    spoken = reply.spoken(usage=None)
    return streamed(reply, reply.opening(), *spoken, reply.finished(usage=None), reply.used(), DONE)


def _so_far(reply: Reply) -> Iterator[Step]:
    """Each chunk reports the whole usage up to there."""
    said = ""
    steps: list[Step] = [reply.opening()]
    for piece in reply.pieces:
        said += piece
        usage = {
            "prompt_tokens": reply.usage.input_tokens,
            "completion_tokens": count_tokens(said),
            "total_tokens": reply.usage.input_tokens + count_tokens(said),
        }
        steps.append(event(reply.chunk({"content": piece}, usage=usage), piece))
    return streamed(reply, *steps, reply.finished(usage=reply.usage.document()), DONE)


def _after_done(reply: Reply) -> Iterator[Step]:
    return streamed(reply, *reply.told(), DONE, reply.used())


def _reported(change: Callable[[dict[str, Any], Reply], Any]) -> Callable[[Reply], Iterator[Step]]:
    """A good stream whose usage is changed before it is reported."""

    def steps(reply: Reply) -> Iterator[Step]:
        usage = change(reply.usage.document(), reply)
        return streamed(reply, *reply.told(), event(reply.chunk(None, usage=usage)), DONE)

    return steps


def _with(**fields: Any) -> Callable[[Reply], Iterator[Step]]:
    return _reported(lambda usage, _reply: {**usage, **fields})


def _without(*names: str) -> Callable[[Reply], Iterator[Step]]:
    return _reported(
        lambda usage, _reply: {name: value for name, value in usage.items() if name not in names}
    )


def _all(change: Callable[[int], Any]) -> Callable[[Reply], Iterator[Step]]:
    return _reported(
        lambda usage, _reply: {
            name: change(value) if isinstance(value, int) else value for name, value in usage.items()
        }
    )


def _hit_past_prompt(usage: dict[str, Any], reply: Reply) -> dict[str, Any]:
    hit = reply.usage.input_tokens + 64
    return {**usage, "prompt_cache_hit_tokens": hit, "prompt_tokens_details": {"cached_tokens": hit}}


def _hits_differ(usage: dict[str, Any], reply: Reply) -> dict[str, Any]:
    other = min(reply.usage.cached_tokens + 1, reply.usage.input_tokens)
    return {**usage, "prompt_tokens_details": {"cached_tokens": other}}


def _miss_short(usage: dict[str, Any], reply: Reply) -> dict[str, Any]:
    return {**usage, "prompt_cache_miss_tokens": max(0, reply.usage.input_tokens - 1)}


def _zeros(_usage: dict[str, Any], _reply: Reply) -> dict[str, Any]:
    return {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


def _thought_first(reply: Reply) -> Iterator[Step]:
    thought = event(reply.chunk({"content": None, "reasoning_content": reply.reasoning}), reply.reasoning)
    return streamed(reply, reply.opening(), thought, *reply.spoken(), reply.finished(), reply.used(), DONE)


def _thought_only(reply: Reply) -> Iterator[Step]:
    thought = event(reply.chunk({"content": None, "reasoning_content": reply.reasoning}), reply.reasoning)
    return streamed(reply, reply.opening(), thought, reply.finished("length"), reply.used(), DONE)


CHUNK_USAGE = (
    _case(
        "C1_usage_in_last_chunk",
        "Reports usage in a last chunk with empty `choices`, as documented.",
        lambda reply: streamed(reply, *reply.whole()),
    ),
    _case("C1_usage_on_finish", "Reports usage on the chunk with the finish reason.", _on_finish),
    _case("C1_usage_on_content", "Reports usage on the last chunk with content.", _on_content),
    _case("C1_usage_twice", "Reports the same usage on the finish chunk and in a chunk of its own.", _twice),
    _case("C1_usage_null_elsewhere", "Has `usage` null in every chunk but the last.", _null_elsewhere),
    _case("C1_usage_so_far", "Reports in each chunk the usage up to there.", _so_far),
    _case(
        "C1_usage_without_choices",
        "Reports usage in a chunk without the field `choices`.",
        lambda reply: streamed(
            reply, *reply.told(), event({"id": reply.request_id, "usage": reply.usage.document()}), DONE
        ),
    ),
    _case("C1_usage_after_done", "Reports usage after `[DONE]`.", _after_done),
    _case("C2_usage_absent", "Reports no usage.", lambda reply: streamed(reply, *reply.told(), DONE)),
    _case("C2_usage_null", "Reports usage that is null.", _reported(lambda _usage, _reply: None)),
    _case("C2_usage_empty", "Reports usage without a field.", _reported(lambda _usage, _reply: {})),
    _case(
        "C2_usage_half",
        "Reports the prompt's tokens alone.",
        _without("completion_tokens", "total_tokens", "completion_tokens_details"),
    ),
    _case(
        "C3_no_output",
        "Answers nothing and reports zero output.",
        lambda reply: streamed(reply, *reply.whole()),
        says="",
    ),
    _case(
        "C3_zeros", "Reports zeros, which are the truth: the call is free.", _reported(_zeros), Billed.ZERO
    ),
    _case(
        "C4_hit_and_miss", "Reports cached input as hit and miss alone.", _without("prompt_tokens_details")
    ),
    _case(
        "C4_details",
        "Reports cached input in the details alone.",
        _without("prompt_cache_hit_tokens", "prompt_cache_miss_tokens"),
    ),
    _case(
        "C4_none", "Reports no cached input though some was read from the cache.", _without(*_CACHE_FIELDS)
    ),
    _case(
        "C4_details_null",
        "Reports details that are null.",
        _with(prompt_tokens_details=None, completion_tokens_details=None),
    ),
    _case(
        "C4_differ",
        "Reports one token more in the details than as hit, which is billed.",
        _reported(_hits_differ),
    ),
    _case("C4_hit_past_prompt", "Reports more cached input than input.", _reported(_hit_past_prompt)),
    _case(
        "C4_miss_short", "Reports hit and miss that fall short of the input by one.", _reported(_miss_short)
    ),
    _case(
        "C5_reasoning_tokens",
        "Reasons first, and reports its tokens as a part of the output.",
        _thought_first,
        thinks=_THOUGHT,
    ),
    _case("C5_total_wrong", "Reports a total that is not the sum.", _with(total_tokens=1)),
    _case("C5_huge", "Reports counts that no window could hold.", _all(lambda count: count + 10**15)),
    _case("C5_negative", "Reports negative counts.", _all(lambda count: -count - 1)),
    _case("C5_fractions", "Reports counts with a fraction of zero.", _all(float)),
    _case("C5_texts", "Reports counts as strings.", _all(str)),
    _case("C5_booleans", "Reports `true` for counts.", _all(lambda _count: True)),
    _case(
        "C13_reasoning_unasked",
        "Reasons though nobody asked, and takes it from `max_tokens`.",
        _thought_first,
        thinks=_THOUGHT,
    ),
    _case(
        "C13_reasoning_takes_all",
        "Spends all of `max_tokens` on reasoning and answers nothing.",
        _thought_only,
        says="",
        thinks=_THOUGHT * 500,
    ),
    WireCase(
        name="C13_past_max_tokens",
        summary="Answers with more tokens than `max_tokens` allows, and bills them.",
        steps=lambda reply: streamed(reply, *reply.whole()),
        overruns=True,
    ),
    _case(
        "C17_nothing_cached",
        "Reads nothing from the cache, though the same prompt came before.",
        _reported(
            lambda usage, reply: {
                **usage,
                "prompt_cache_hit_tokens": 0,
                "prompt_cache_miss_tokens": reply.usage.input_tokens,
                "prompt_tokens_details": {"cached_tokens": 0},
            }
        ),
        Billed.UNCACHED,
    ),
)
