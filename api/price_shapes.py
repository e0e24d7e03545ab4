"""The shapes of prices: requests, answers and their examples."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from api.fields import Instant as GivenInstant
from api.fields import Short, TimeZone, fault
from api.requests import Body
from api.schemas import Instant, Shape, Usd
from patchmill.budget.price_rows import calendar_from, rate_of, refuse_far_off


def _rate(text: str) -> str:
    try:
        rate_of(text)
    except ValueError as error:
        example = "must be US dollars for a million tokens as a decimal string, such as 0.14"
        raise fault("out_of_range", f"{example}: {error}") from None
    return text


def _in_reach(at: datetime) -> datetime:
    try:
        refuse_far_off(at)
    except ValueError as error:
        raise fault("out_of_range", str(error)) from None
    return at


def _hours(hours: list[str]) -> list[str]:
    try:
        calendar_from("UTC", hours)
    except ValueError as error:
        raise fault("not_allowed", str(error)) from None
    return hours


Rate = Annotated[
    str,
    Field(max_length=32, description="US dollars for a million tokens, as a decimal string"),
    AfterValidator(_rate),
]
Validity = Annotated[GivenInstant, AfterValidator(_in_reach)]
Hours = Annotated[
    list[Annotated[str, Field(max_length=10)]],
    Field(min_length=1, max_length=24, description="as 9-18, or 22-6 over midnight"),
    AfterValidator(_hours),
]


class PeakBody(Body):
    """Hours of the day in which this price outranks the one without hours."""

    time_zone: TimeZone
    hours: Hours


class PriceRequest(Body):
    """A new row of the price list; a later one replaces it, and nothing that was settled changes."""

    model: Short
    input_usd_per_million: Rate
    cached_usd_per_million: Rate
    output_usd_per_million: Rate
    peak: PeakBody | None = Field(None, description="null: at all hours")
    valid_from: Validity | None = Field(None, description="null: from now on")
    valid_to: Validity | None = Field(None, description="null: until a later row replaces it")
    source: Short = Field("operator", description="where the price was found")


class Peak(Shape):
    """Hours of the day in which a price outranks the one without hours."""

    time_zone: str
    hours: list[str]


class PriceDocument(Shape):
    """A row of the price list."""

    id: str
    model: str
    status: Literal["current", "upcoming", "past"] = Field(
        description="past: over, or replaced by a later row with the same hours"
    )
    input_usd_per_million: Usd = Field(description="of input that was not served from the cache")
    cached_usd_per_million: Usd = Field(description="of input that was")
    output_usd_per_million: Usd
    peak: Peak | None
    valid_from: Instant
    valid_to: Instant | None
    source: str


class PriceList(Shape):
    """Rows of the price list: current ones by model, then upcoming ones, then past ones."""

    data: list[PriceDocument]
    next_cursor: str | None


PRICE_REQUESTS: dict[str, Any] = {
    "from now on": {
        "model": "deepseek-v4-flash",
        "input_usd_per_million": "0.14",
        "cached_usd_per_million": "0.0028",
        "output_usd_per_million": "0.28",
        "source": "the gateway's page of prices",
    },
    "at peak hours": {
        "model": "deepseek-v4-flash",
        "input_usd_per_million": "0.28",
        "cached_usd_per_million": "0.0056",
        "output_usd_per_million": "0.56",
        "peak": {"time_zone": "Asia/Shanghai", "hours": ["9-12", "14-18"]},
        "valid_from": "2026-12-01T00:00:00Z",
    },
}
PRICE: dict[str, Any] = {
    "id": "prc_4",
    "status": "current",
    **PRICE_REQUESTS["from now on"],
    "peak": None,
    "valid_from": "2026-11-22T12:00:00.000000Z",
    "valid_to": None,
}
PRICE_LIST: dict[str, Any] = {"data": [PRICE], "next_cursor": None}
