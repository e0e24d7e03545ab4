"""The shapes of models, with an example."""

from typing import Any, Literal

from pydantic import Field

from api.gateway_shapes import ModelState
from api.schemas import Instant, Shape, Usd


class ModelPrice(Shape):
    """What a million tokens cost now, in US dollars."""

    input_usd_per_million: Usd = Field(description="of input that was not served from the cache")
    cached_usd_per_million: Usd = Field(description="of input that was")
    output_usd_per_million: Usd


class Model(ModelState):
    """One model: what it takes, by the documents and by what was learned since, its price and its state."""

    roles: list[Literal["first", "escalation", "fallback"]] = Field(description="in this project's ladder")
    price: ModelPrice | None = Field(description="null: it is never called")
    context_tokens: int | None = Field(description="of prompt and answer together; null: not known")
    output_tokens: int = Field(description="the longest answer")
    fields: list[str] = Field(description="optional request fields that it is sent")
    streamed: bool = Field(description="whether answers are streamed; not where a stream tells no usage")
    json_object: bool
    json_schema: bool
    tools: bool
    reasoning: bool
    documented: bool = Field(description="whether the gateway's pages describe it")
    dropped: list[str] = Field(description="fields that it refused by name, in a job's call")
    tried_at: Instant | None = Field(description="when `patchmill doctor --gateway` tried it last")


class ModelList(Shape):
    """The models that have a price, were tried, or are in the project's ladder, by name."""

    data: list[Model]
    next_cursor: str | None


MODEL: dict[str, Any] = {
    "state": "ok",
    "reason": None,
    "message": None,
    "since": None,
    "resumes_at": None,
    "next_probe_at": None,
    "actor": None,
    "model": "deepseek-v4-flash",
    "roles": ["first"],
    "price": {
        "input_usd_per_million": "0.14",
        "cached_usd_per_million": "0.003",
        "output_usd_per_million": "0.28",
    },
    "context_tokens": 65_536,
    "output_tokens": 8_192,
    "fields": ["response_format", "stream", "stream_options", "tool_choice", "tools"],
    "streamed": True,
    "json_object": True,
    "json_schema": True,
    "tools": True,
    "reasoning": False,
    "documented": True,
    "dropped": [],
    "tried_at": "2026-11-22T12:00:00.000000Z",
}
MODEL_LIST: dict[str, Any] = {"data": [MODEL], "next_cursor": None}
