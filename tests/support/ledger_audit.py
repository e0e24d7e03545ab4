"""Our calls beside the stand-in's own ledger: each row is one call of ours, and the money agrees."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, text

Row = Mapping[str, Any]

# Cases whose usage does not tell, or tells falsely, how much input was read from the cache.
UNTOLD_CACHE = {"C4_none", "C4_hit_past_prompt"}
# Failures after which nothing can have arrived.
_NEVER_SENT = {"connect", "not_sent"}
# A row tells its arrival in whole milliseconds, cut off.
_CLOCK = timedelta(milliseconds=2)
_FAR = timedelta(days=1)
_CALLS = """
    SELECT c.id, j.path, c.state, c.model, c.failure, c.gateway_request_id, c.messages, c.sent_at, c.ended_at,
        c.input_tokens, c.cached_tokens, c.output_tokens, c.cost_picos, c.hold_tokens, c.hold_picos
    FROM calls c JOIN jobs j ON j.id = c.job_id ORDER BY c.sent_at, c.id
"""
_AMOUNTS = ("input_tokens", "cached_tokens", "output_tokens", "cost_picos")


@dataclass(slots=True, kw_only=True)
class Account:
    """What was counted for one group of calls; tokens and money of settled calls, theirs and ours."""

    calls: int = 0
    requests: int = 0
    never_arrived: int = 0  # admitted, and not one byte came to the gateway
    states: Counter[str] = field(default_factory=Counter)
    their_tokens: int = 0
    our_tokens: int = 0
    their_picos: int = 0
    our_picos: int = 0
    uncertain_billed_picos: int = 0  # what the gateway billed of the calls that are uncertain
    uncertain_held_picos: int = 0


@dataclass(slots=True, kw_only=True)
class Audit:
    """The comparison: an account for each group, and every difference in words."""

    accounts: dict[str, Account] = field(default_factory=lambda: defaultdict(Account))
    differences: list[str] = field(default_factory=list)
    dearer: set[str] = field(
        default_factory=set
    )  # wire cases whose calls we settled for more than was billed

    @property
    def total(self) -> Account:
        """The sum of all groups."""
        total = Account()
        for account in self.accounts.values():
            for name in (each for each in Account.__slots__ if each != "states"):
                setattr(total, name, getattr(total, name) + getattr(account, name))
            total.states.update(account.states)
        return total


def audit(engine: Engine, truth: Mapping[str, Any], *, group: Callable[[str], str] = str) -> Audit:
    """Compare all calls with the truth; `group` names the group of a job by the path of its file."""
    with engine.connect() as connection:
        calls: list[Row] = [dict(row) for row in connection.execute(text(_CALLS)).mappings()]
    found = Audit()
    if truth["requests"] != len(truth["rows"]):
        found.differences.append(
            f"{truth['requests']} requests, {len(truth['rows'])} rows: some are in flight"
        )
    for call, row in _pairs(calls, truth["rows"], found.differences):
        account = found.accounts[group(call["path"])]
        account.calls += 1
        account.states[call["state"]] += 1
        account.requests += row is not None
        account.never_arrived += row is None
        if row is not None and _is_dearer(call, row):
            found.dearer.add(row["wire_case"])
        else:
            found.differences += (f"call {call['id']}: {each}" for each in _compared(call, row))
        _count(account, call, row)
    return found


def _pairs(
    calls: Sequence[Row], rows: Sequence[Row], differences: list[str]
) -> Iterator[tuple[Row, Row | None]]:
    """Pair each call with its row: by the request's id where an answer told it, else by prompt and time."""
    left = {row["request_id"]: row for row in rows}
    nameless: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for call in calls:
        name = call["gateway_request_id"]
        if name in left:
            yield call, left.pop(name)
        else:
            nameless[_asked(call), call["model"]].append(call)
    for row in sorted(left.values(), key=lambda each: each["at"]):
        candidates = nameless[row["messages_sha256"], row["model"]]
        fitting = [each for each in candidates if _in_time(each, row)]
        if not fitting:
            differences.append(f"request {row['request_id']} is no call of ours: {dict(row)}")
            continue
        candidates.remove(fitting[0])
        yield fitting[0], row
    yield from ((call, None) for call in _flat(nameless.values()))


def _flat(groups: Iterable[list[Row]]) -> Iterator[Row]:
    for group in groups:
        yield from group


def _asked(call: Row) -> str:
    told = json.dumps(call["messages"], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(told.encode()).hexdigest()


def _in_time(call: Row, row: Row) -> bool:
    at = datetime.fromisoformat(row["at"])
    ended_at = call["ended_at"] or call["sent_at"] + _FAR
    return bool(call["sent_at"] - _CLOCK <= at <= ended_at)


def _compared(call: Row, row: Row | None) -> Iterator[str]:
    """Say what is wrong with a call, given its row."""
    state = call["state"]
    if state not in {"settled", "void", "uncertain"}:
        yield f"is still {state}"
    if row is None:
        if state == "settled" or (state == "void" and call["failure"] not in _NEVER_SENT):
            yield f"is {state} ({call['failure']}) though no request of it arrived"
        return
    billed = row["outcome"] == "billed"
    if state == "settled" and not billed:
        yield f"is settled though {row['request_id']} was not billed"
    elif state == "settled":
        ours, theirs = ([each[name] for name in _AMOUNTS] for each in (call, row))
        if ours != theirs:
            yield f"settled {ours}, billed {theirs} ({row['wire_case'] or row['finish']})"
    elif billed and state == "void":
        yield f"is void ({call['failure']}) though {row['request_id']} was billed ({row['wire_case']})"
    elif billed and (_tokens(row) > call["hold_tokens"] or row["cost_picos"] > call["hold_picos"]):
        yield f"holds {call['hold_picos']} of {row['cost_picos']} billed ({row['wire_case']})"


def _is_dearer(call: Row, row: Row) -> bool:
    """Whether a call differs in nothing but that input from the cache was counted as fresh."""
    if call["state"] != "settled" or row["outcome"] != "billed" or row["wire_case"] not in UNTOLD_CACHE:
        return False
    told = ("input_tokens", "output_tokens")
    return call["cost_picos"] > row["cost_picos"] and all(call[name] == row[name] for name in told)


def _tokens(row: Row) -> int:
    return int(row["input_tokens"] + row["output_tokens"])


def _count(account: Account, call: Row, row: Row | None) -> None:
    if call["state"] == "uncertain":
        account.uncertain_held_picos += call["hold_picos"]
        account.uncertain_billed_picos += 0 if row is None else row["cost_picos"]
    elif row is not None:
        account.our_tokens += _tokens(call)
        account.our_picos += call["cost_picos"]
        account.their_tokens += _tokens(row)
        account.their_picos += row["cost_picos"]
