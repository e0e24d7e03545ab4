"""The shape of usage: rows whose fields are the groups that were asked for, and sums."""

from typing import Any

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from api.schemas import Instant, Shape, Usd

_TEXT: JsonDict = {"type": "string"}
_TEXT_OR_NULL: JsonDict = {"anyOf": [{"type": "string"}, {"type": "null"}]}
_GROUPS = {
    "day": ("a day of the time zone's calendar", _TEXT),
    "hour": ("when an hour begins, as local clocks show it, with their offset", _TEXT),
    "project": ("an id `prj_…`", _TEXT),
    "project_name": ("beside `project`", _TEXT),
    "key": ("an id `key_…`; null where no key submitted the job", _TEXT_OR_NULL),
    "key_name": ("beside `key`", _TEXT_OR_NULL),
    "model": ("the model that was asked", _TEXT),
    "kind": ("fix or annotate", _TEXT),
    "rule": ("of the job's findings; null where it has none", _TEXT_OR_NULL),
}


class UsageSums(Shape):
    """What calls used and cost."""

    jobs: int = Field(description="that have a part in this; a job in several rows counts in each")
    calls: int = Field(description="that were sent, also those that cost nothing; likewise")
    input_tokens: int
    cached_tokens: int = Field(description="of the input, from the gateway's cache")
    output_tokens: int
    reasoning_tokens: int = Field(description="of the output")
    cost_usd: Usd
    uncertain_usd: Usd = Field(description="what calls may have cost on top whose end nobody knows")


class UsageRow(UsageSums):
    """One group: a field for each name in `group_by`, labels as `label.KEY`, and its sums."""

    model_config = ConfigDict(
        extra="allow",
        frozen=True,
        json_schema_extra={
            "properties": {
                name: {"description": f"{meaning}; if asked for", **kind}
                for name, (meaning, kind) in _GROUPS.items()
            }
        },
    )


class Usage(Shape):
    """Usage of a period, which begins with `since` and ends before `until`."""

    since: Instant
    until: Instant
    time_zone: str
    group_by: list[str]
    data: list[UsageRow] = Field(
        description="in the order of the groups, null last; one row if there are none"
    )
    total: UsageSums = Field(description="of the whole period, whatever the page")
    next_cursor: str | None


_SUMS = {
    "jobs": 12,
    "calls": 14,
    "input_tokens": 11368,
    "cached_tokens": 8960,
    "output_tokens": 1330,
    "reasoning_tokens": 0,
    "cost_usd": "0.0017",
    "uncertain_usd": "0",
}
USAGE: dict[str, Any] = {
    "since": "2026-11-22T00:00:00.000000Z",
    "until": "2026-11-23T00:00:00.000000Z",
    "time_zone": "UTC",
    "group_by": ["day", "model"],
    "data": [{**_SUMS, "day": "2026-11-22", "model": "deepseek-v4-flash"}],
    "total": _SUMS,
    "next_cursor": None,
}
USAGE_CSV = """\
day,model,jobs,calls,input_tokens,cached_tokens,output_tokens,reasoning_tokens,cost_usd,uncertain_usd\r
2026-11-22,deepseek-v4-flash,12,14,11368,8960,1330,0,0.0017,0\r
"""
