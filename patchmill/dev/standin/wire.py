"""The bytes of an answer: the plain document, and the frames of a stream."""

import json
from dataclasses import dataclass
from typing import Any

FINGERPRINT = "stand-in"
DONE = b"data: [DONE]\n\n"
# One encoder for all: `json.dumps` with options makes a new one each time.
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageReport:
    """Tokens of one answer; cached ones are a part of the input, reasoning ones a part of the output."""

    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int

    def document(self) -> dict[str, Any]:
        """Usage as the protocol writes it, cached input in both ways that are in use."""
        return {
            "prompt_tokens": self.input_tokens,
            "completion_tokens": self.output_tokens,
            "total_tokens": self.input_tokens + self.output_tokens,
            "prompt_cache_hit_tokens": self.cached_tokens,
            "prompt_cache_miss_tokens": self.input_tokens - self.cached_tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": self.reasoning_tokens},
        }


def encode(document: Any) -> bytes:
    """Compact JSON in UTF-8."""
    return _JSON.encode(document).encode("utf-8", "replace")


class Envelope:
    """What every document and frame of one answer has in common."""

    def __init__(self, *, request_id: str, created: int, model: str) -> None:
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

    def plain(self, *, content: str, reasoning: str, finish: str, usage: UsageReport) -> bytes:
        """The whole answer as one JSON document."""
        message: dict[str, Any] = {"role": "assistant", "content": content}
        if reasoning:
            message["reasoning_content"] = reasoning
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
        document = self._document("chat.completion", [choice])
        return encode({**document, "usage": usage.document()})

    def delta_frame(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        """A chunk with one choice."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return b"data: %b[%b]%b\n\n" % (self._before, encode(choice), self._after)

    def usage_frame(self, usage: UsageReport) -> bytes:
        """The chunk with empty `choices` that reports usage."""
        document = self._document("chat.completion.chunk", [])
        return b"data: %b\n\n" % encode({**document, "usage": usage.document()})


def error_frame(error: dict[str, Any]) -> bytes:
    """The last frame of a stream that the gateway itself broke off."""
    return b"data: %b\n\n" % encode(error)
