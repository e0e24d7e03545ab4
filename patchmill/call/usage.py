"""A usage report becomes tokens, and whatever is odd about it becomes anomalies."""

from collections.abc import Mapping
from typing import Any

from patchmill.call.reply import Anomaly, Usage
from patchmill.call.storable import storable_json

# No context window comes near this; a larger count is a broken report, not a bill.
MOST_TOKENS_BELIEVED = 100_000_000


def usage_of(reported: object) -> Usage | None:
    """Read a usage report; None when a number that it needs is missing, or any cannot be true.

    Cached tokens come in either spelling or in neither, which means none. More of them than input are not
    believed, and where both spellings are given and differ the smaller counts, so that a call is never
    thought cheaper than it was.
    """
    if not isinstance(reported, Mapping):
        return None
    try:
        input_tokens = _count(reported, "prompt_tokens")
        output_tokens = _count(reported, "completion_tokens")
        cached = _cached(reported)
        reasoning = _reasoning(reported)
    except _Impossible:
        return None
    if input_tokens is None or output_tokens is None:
        return None
    return Usage(
        input_tokens=input_tokens,
        cached_tokens=min((count for count in cached if count <= input_tokens), default=0),
        output_tokens=output_tokens,
        reasoning_tokens=min(output_tokens, reasoning or 0),
        raw=storable_json(reported),
    )


def anomalies_of(usage: Usage | None, reported: object, *, max_tokens: int, bound: int) -> list[Anomaly]:
    """Say what is odd about a report: against itself, the `max_tokens` asked for and the prompt's `bound`."""
    if usage is None:
        return [Anomaly.USAGE_MISSING if reported is None else Anomaly.USAGE_IMPOSSIBLE]
    cached = _cached(usage.raw)
    miss = _believed(usage.raw.get("prompt_cache_miss_tokens"))
    hit = _believed(usage.raw.get("prompt_cache_hit_tokens"))
    summed = None if hit is None or miss is None else hit + miss
    total = usage.raw.get("total_tokens")
    odd = {
        Anomaly.CACHED_DIFFER: len(set(cached)) > 1 or summed not in {None, usage.input_tokens},
        Anomaly.CACHED_OVER_INPUT: max(cached, default=0) > usage.input_tokens,
        Anomaly.REASONING_OVER_OUTPUT: (_reasoning(usage.raw) or 0) > usage.output_tokens,
        Anomaly.TOTAL_DIFFERS: total is not None and total != usage.input_tokens + usage.output_tokens,
        Anomaly.OUTPUT_OVER_MAX: usage.output_tokens > max_tokens,
        Anomaly.INPUT_OVER_BOUND: usage.input_tokens > bound,
    }
    return [anomaly for anomaly, found in odd.items() if found]


class _Impossible(ValueError):
    """A number of the report cannot be true."""


def _cached(report: Mapping[str, Any]) -> list[int]:
    """Give the cached tokens in each spelling that is there."""
    hit = _count(report, "prompt_cache_hit_tokens")
    detail = _count(_details(report, "prompt_tokens_details"), "cached_tokens")
    return [count for count in (hit, detail) if count is not None]


def _reasoning(report: Mapping[str, Any]) -> int | None:
    return _count(_details(report, "completion_tokens_details"), "reasoning_tokens")


def _count(report: Mapping[str, Any], name: str) -> int | None:
    value = report.get(name)
    if value is None:
        return None
    count = _believed(value)
    if count is None:
        raise _Impossible(name)
    return count


def _believed(value: object) -> int | None:
    return value if type(value) is int and 0 <= value <= MOST_TOKENS_BELIEVED else None


def _details(report: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = report.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise _Impossible(name)
    return value
