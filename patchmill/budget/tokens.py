"""What bounds a call's tokens: the model's limits, and the bytes of the request."""

from patchmill.budget.models import ModelCapability

TOKENS_PER_MESSAGE = 16  # what a chat template may add around one message
TEMPLATE_TOKENS = 64  # and around the whole
JSON_MODE_TOKENS = 1_024  # and what it may add to ask for an answer in JSON


def input_bound(
    request_bytes: int, messages: int, limits: ModelCapability, *, structured: bool = False
) -> int:
    """Bound the prompt's tokens from above; `structured` when the answer is to be JSON.

    Byte-level BPE never makes more tokens than there are bytes, and the context limit is enforced by an
    unbilled refusal; the template's own tokens are added on top.
    """
    by_bytes = request_bytes + TOKENS_PER_MESSAGE * messages + TEMPLATE_TOKENS
    by_bytes += JSON_MODE_TOKENS if structured else 0
    return by_bytes if limits.context_tokens is None else min(limits.context_tokens, by_bytes)
