"""What bounds a call's tokens: the model's limits, and the bytes of the request."""

from dataclasses import dataclass

TOKENS_PER_MESSAGE = 16  # what a chat template may add around one message
TEMPLATE_TOKENS = 64  # and around the whole
JSON_MODE_TOKENS = 1_024  # and what it may add to ask for an answer in JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLimits:
    """A model's context (prompt and answer together) and its longest answer, in tokens."""

    context_tokens: int | None  # None: not known, so it bounds nothing
    output_tokens: int


LIMITS = {  # https://docs.bytespike.ai, models
    "deepseek-v4-flash": ModelLimits(context_tokens=65_536, output_tokens=8_192),
    "deepseek-v4-pro": ModelLimits(context_tokens=65_536, output_tokens=16_384),
    "deepseek-v3-2": ModelLimits(context_tokens=65_536, output_tokens=8_192),
}
UNKNOWN = ModelLimits(context_tokens=None, output_tokens=4_096)


def limits_of(model: str) -> ModelLimits:
    """Give a model's limits; of a model that is not in the table little is known."""
    return LIMITS.get(model, UNKNOWN)


def input_bound(request_bytes: int, messages: int, limits: ModelLimits) -> int:
    """Bound the prompt's tokens from above.

    Byte-level BPE never makes more tokens than there are bytes, and the context limit is enforced by an
    unbilled refusal; the template's own tokens are added on top.
    """
    by_bytes = request_bytes + TOKENS_PER_MESSAGE * messages + TEMPLATE_TOKENS
    return by_bytes if limits.context_tokens is None else min(limits.context_tokens, by_bytes)
