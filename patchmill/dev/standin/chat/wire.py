"""The bytes of an answer: the plain document, and the frames of a stream."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FINGERPRINT = "stand-in"
DONE = b"data: [DONE]\n\n"
# One encoder for all: `json.dumps` with options makes a new one each time.
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


_HIT_AND_MISS = frozenset({"prompt_cache_hit_tokens", "prompt_cache_miss_tokens"})
_DETAILS = frozenset({"prompt_tokens_details"})
_HIDDEN: dict[str, frozenset[str]] = {
    "both": frozenset(),
    "hit_miss": _DETAILS,
    "details": _HIT_AND_MISS,
    "none": _HIT_AND_MISS | _DETAILS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageReport:
    """Tokens of one answer; cached ones are a part of the input, reasoning ones a part of the output."""

    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int

    def document(self, cached_fields: str = "both") -> dict[str, Any]:
        """Usage as the protocol writes it; cached input in one of the ways in use, in both, or in none."""
        whole: dict[str, Any] = {
            "prompt_tokens": self.input_tokens,
            "completion_tokens": self.output_tokens,
            "total_tokens": self.input_tokens + self.output_tokens,
            "prompt_cache_hit_tokens": self.cached_tokens,
            "prompt_cache_miss_tokens": self.input_tokens - self.cached_tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": self.reasoning_tokens},
        }
        return {name: value for name, value in whole.items() if name not in _HIDDEN[cached_fields]}


def encode(document: Any) -> bytes:
    """Compact JSON in UTF-8."""
    return _JSON.encode(document).encode("utf-8", "replace")


class Envelope:
    """What every document and frame of one answer has in common."""

    def __init__(self, *, request_id: str, created: int, model: str, cached_fields: str = "both") -> None:
        self._cached_fields = cached_fields
        self._request_id = request_id
        self._created = created
        self._model = model
        head = encode(self._document("chat.completion.chunk", []))
        self._before, self._after = head.split(b"[]")

    def _document(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._request_id,
            "object": kind,
            "created": self._created,
            "model": self._model,
            "system_fingerprint": FINGERPRINT,
            "choices": choices,
        }

    def plain(
        self, messages: Sequence[Mapping[str, Any]], finishes: Sequence[str], usage: UsageReport
    ) -> bytes:
        """The whole answer as one JSON document, with a choice for each message."""
        choices = [
            {"index": index, "message": message, "logprobs": None, "finish_reason": finish}
            for index, (message, finish) in enumerate(zip(messages, finishes, strict=True))
        ]
        document = self._document("chat.completion", choices)
        return encode({**document, "usage": usage.document(self._cached_fields)})

    def delta_frame(
        self,
        delta: Mapping[str, Any],
        finish: str | None = None,
        *,
        index: int = 0,
        usage: UsageReport | None = None,
    ) -> bytes:
        """A chunk with one choice, and usage if it is to be there."""
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
        after = self._after
        if usage is not None:
            after = b',"usage":%b}' % encode(usage.document(self._cached_fields))
        return b"data: %b[%b]%b\n\n" % (self._before, encode(choice), after)

    def usage_frame(self, usage: UsageReport) -> bytes:
        """The chunk with empty `choices` that reports usage."""
        document = self._document("chat.completion.chunk", [])
        return b"data: %b\n\n" % encode({**document, "usage": usage.document(self._cached_fields)})


def error_frame(error: dict[str, Any]) -> bytes:
    """The last frame of a stream that the gateway itself broke off."""
    return b"data: %b\n\n" % encode(error)
