"""The gateway's models: limits, abilities, and a snapshot of the prices."""

from dataclasses import dataclass

CONTEXT_TOKENS = 65_536
PICOS_PER_USD = 10**12


_EVERY_PAGE = frozenset({"model", "messages", "max_tokens", "tools", "response_format", "stream"})
_GENERAL_PAGE = _EVERY_PAGE | {"temperature", "top_p", "n", "stop", "seed", "user", "tool_choice"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """One model: the request fields on its page, its limits and abilities, and pico-dollars per token."""

    name: str
    fields: frozenset[str]
    max_output_tokens: int
    structured_output: bool
    parallel_tools: bool
    reasoning: bool
    input_picos: int
    output_picos: int
    cached_picos: int

    def cost_picos(self, *, input_tokens: int, cached_tokens: int, output_tokens: int) -> int:
        """Cost in pico-dollars; `cached_tokens` is a part of `input_tokens`."""
        fresh = (input_tokens - cached_tokens) * self.input_picos
        return fresh + cached_tokens * self.cached_picos + output_tokens * self.output_picos


_CARDS = (
    ModelCard(
        name="deepseek-v4-flash",
        fields=_EVERY_PAGE,
        max_output_tokens=8_192,
        structured_output=True,
        parallel_tools=False,
        reasoning=False,
        input_picos=140_000,
        output_picos=280_000,
        cached_picos=3_000,
    ),
    ModelCard(
        name="deepseek-v4-pro",
        fields=_GENERAL_PAGE | {"reasoning"},
        max_output_tokens=16_384,
        structured_output=True,
        parallel_tools=True,
        reasoning=True,
        input_picos=435_000,
        output_picos=870_000,
        cached_picos=4_000,
    ),
    # The gateway's pages print no rate for this one, so the stand-in bills an assumed one.
    ModelCard(
        name="deepseek-v3-2",
        fields=_GENERAL_PAGE,
        max_output_tokens=8_192,
        structured_output=False,
        parallel_tools=False,
        reasoning=False,
        input_picos=280_000,
        output_picos=420_000,
        cached_picos=28_000,
    ),
)

MODELS = {card.name: card for card in _CARDS}
