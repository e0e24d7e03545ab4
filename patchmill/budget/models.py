"""What a model can be asked: its limits, and the request fields that it takes."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

# The fields of a request that it makes sense without, in the order of the protocol's pages.
OPTIONAL_FIELDS = (
    "temperature",
    "top_p",
    "seed",
    "stop",
    "tools",
    "tool_choice",
    "response_format",
    "reasoning",
    "stream",
    "stream_options",
)
_EVERYWHERE = frozenset({"stream", "stream_options"})
_ON_FLASH = _EVERYWHERE | {"tools", "response_format"}
_GENERAL = _ON_FLASH | {"tool_choice", "temperature", "top_p", "seed", "stop"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCapability:
    """What a model can be asked.

    `context_tokens` holds prompt and answer together (None: not known, so it bounds nothing), and
    `output_tokens` is the longest answer. `fields` are the optional fields that may be sent. Of a streamed
    answer without `usage_in_streams` nobody would know what it cost. `dropped` are fields that the model was
    said to take and then refused by name.
    """

    context_tokens: int | None
    output_tokens: int
    fields: frozenset[str] = _EVERYWHERE
    json_object: bool = False
    json_schema: bool = False
    usage_in_streams: bool = True
    dropped: frozenset[str] = field(default=frozenset())

    def takes(self, name: str) -> bool:
        """Whether this optional field may be sent."""
        return name in self.fields and name not in self.dropped

    @property
    def tools(self) -> bool:
        """Whether it can be offered tools."""
        return self.takes("tools")

    @property
    def reasoning(self) -> bool:
        """Whether it can be asked to think first."""
        return self.takes("reasoning")

    @property
    def streams(self) -> bool:
        """Whether its answer is to be streamed: only if the stream will say what it cost."""
        return self.takes("stream") and self.usage_in_streams

    def without(self, name: str) -> "ModelCapability":
        """Give what is left once the model has refused this field by name.

        Without `stream_options` a stream is not expected to report usage, until it is seen to.
        """
        dropped = self.dropped | {name}
        if name == "stream_options":
            return replace(self, dropped=dropped, usage_in_streams=False)
        return replace(self, dropped=dropped)


CAPABILITIES: Mapping[str, ModelCapability] = {  # https://docs.bytespike.ai, models
    "deepseek-v4-flash": ModelCapability(
        context_tokens=65_536, output_tokens=8_192, fields=_ON_FLASH, json_object=True, json_schema=True
    ),
    "deepseek-v4-pro": ModelCapability(
        context_tokens=65_536,
        output_tokens=16_384,
        fields=_GENERAL | {"reasoning"},
        json_object=True,
        json_schema=True,
    ),
    "deepseek-v3-2": ModelCapability(
        context_tokens=65_536, output_tokens=8_192, fields=_GENERAL, json_object=True
    ),
}
UNKNOWN = ModelCapability(context_tokens=None, output_tokens=4_096)


def capability_of(model: str) -> ModelCapability:
    """Give what the gateway's pages say of a model; of one that they do not name little is known."""
    return CAPABILITIES.get(model, UNKNOWN)


LEARNABLE = tuple(each.name for each in fields(ModelCapability) if each.name != "dropped")


def with_learned(
    known: ModelCapability, learned: Mapping[str, Any], dropped: Collection[str]
) -> ModelCapability:
    """Give what is known of a model with what a trial found in its place, less what the model refused.

    `learned` is a JSON object with some of the names in `LEARNABLE`; others are ignored.
    """
    found = {name: learned[name] for name in LEARNABLE if name in learned}
    if "fields" in found:
        found["fields"] = frozenset(found["fields"])
    capability = replace(known, **found)
    for name in sorted(dropped):
        capability = capability.without(name)
    return capability
