"""The promise of an estimate: whatever becomes of a job, the ledger never holds more than was said."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select

from patchmill.budget.prices import from_usd
from patchmill.store.engine import open_engine
from patchmill.store.tables import calls
from tests.support.api import job_uuid
from tests.support.requests import SOURCE, mutable_default, unique
from tests.support.stack import Stack

pytestmark = pytest.mark.timeout(180)

LONG = "word " * 6_000  # about 7,500 tokens: cut short twice, and useless
USELESS = "I would rather not say."
FAULTS = ("truncate", "empty", "stream_error", "502", "429_concurrency")


@pytest.fixture(autouse=True)
def plain_stand_in(service: Stack) -> Iterator[None]:
    service.behave()
    yield
    service.behave()


def some_job(chance: random.Random) -> dict[str, Any]:
    body = mutable_default(unique())
    options: dict[str, Any] = {
        "max_calls": chance.choice([None, None, 1, 2, 5]),
        "escalate": chance.random() < 0.8,
        "tool_fixes": chance.random() < 0.5,
        "edit_format": chance.choice([None, None, "json"]),
        "model": chance.choice([None, None, None, "deepseek-v4-pro"]),
        "max_cost_usd": chance.choice([None, None, "0.02", "0.2"]),
    }
    form = chance.choice(["one", "several", "long file", "instruction", "annotate"])
    if form == "annotate":
        body = {"kind": "annotate", "file": body["file"], "what": ["types", "docstrings"]}
    elif form == "instruction":
        body |= {"findings": [], "instruction": "rename collect to gather"}
    elif form == "long file":
        body["file"]["content"] += "".join(
            f"\n\ndef f{number}():\n    return {number}\n" for number in range(80)
        )
    elif form == "several":
        body["file"]["content"] = body["file"]["content"].replace('"""\n\n', '"""\n\nimport os\n', 1)
        moved = {**body["findings"][0], "start_line": 5, "end_line": 5}
        unused = {
            "tool": "ruff",
            "rule": "F401",
            "message": "`os` imported but unused",
            "start_line": 3,
            "end_line": 3,
        }
        body["findings"] = [moved, unused]
    if chance.random() < 0.3:
        body["context"] = [{"path": "src/other.py", "content": SOURCE.format(number=1) * 20}]
    return {**body, "options": options}


def misbehave(service: Stack, chance: random.Random) -> None:
    answers = [chance.choice([USELESS, LONG, None, None]) for _ in range(4)]
    script = [{"match": None, "content": text, "times": 1} for text in answers if text]
    faults = [{"fault": chance.choice(FAULTS), "times": 1} for _ in range(chance.randrange(4))]
    service.behave(script=script or None, faults=faults)


def held(service: Stack, job: str) -> list[Any]:
    """Give the calls of a job that were billed or may have been, each with its hold."""
    engine = open_engine(service.database_url, pool_size=1)
    with engine.begin() as connection:
        rows = connection.execute(
            select(
                calls.c.hold_tokens,
                calls.c.hold_picos,
                calls.c.max_tokens,
                calls.c.input_tokens,
                calls.c.output_tokens,
                calls.c.cost_picos,
            )
            .where(calls.c.job_id == job_uuid(job), calls.c.state != "void")
            .order_by(calls.c.number)
        ).all()
    engine.dispose()
    return list(rows)


@pytest.mark.parametrize("seed", range(12))
def test_no_job_takes_more_than_its_estimate_said_at_the_worst(service: Stack, seed: int) -> None:
    chance = random.Random(seed)
    body = some_job(chance)
    misbehave(service, chance)
    with service.http() as http:
        answer = http.post("/v1/estimate", json=body)
    assert answer.status_code == 200, answer.text
    said = answer.json()

    job = service.run(body)

    made = held(service, job["id"])
    told = (seed, said, made)
    assert len(made) <= said["calls"]["worst"], told
    worst_tokens = said["input_tokens"]["worst"] + said["output_tokens"]["worst"]
    assert sum(call.hold_tokens for call in made) <= worst_tokens, told
    assert sum(call.max_tokens for call in made) <= said["output_tokens"]["worst"], told
    assert sum(call.hold_tokens - call.max_tokens for call in made) <= said["input_tokens"]["worst"], told
    worst_picos = from_usd(said["cost_usd"]["worst"])
    assert all(call.hold_picos <= worst_picos for call in made[:1]), told
    spent = from_usd(job["usage"]["cost_usd"]) + from_usd(job["usage"]["uncertain_usd"])
    assert spent <= worst_picos, told
    if said["cost_usd"]["worst"] != body["options"]["max_cost_usd"]:
        assert sum(call.hold_picos for call in made) <= worst_picos, told


def test_a_call_is_admitted_exactly_where_the_estimate_says_that_it_fits(service: Stack) -> None:
    body = mutable_default(unique())

    def asked(cap: int) -> dict[str, Any]:
        return {**body, "options": {"max_cost_usd": f"0.{cap:06d}", "escalate": False}}

    def fits(cap: int) -> bool:
        with service.http() as http:
            return bool(http.post("/v1/estimate", json=asked(cap)).json()["fits"])

    low, high = 1, 5_000
    assert not fits(low)
    assert fits(high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle, high)

    refused, admitted = service.run(asked(low)), service.run(asked(high))

    assert (refused["state"], refused["error"]["code"]) == ("failed", "over_budget")
    assert admitted["usage"]["calls"] == 1
