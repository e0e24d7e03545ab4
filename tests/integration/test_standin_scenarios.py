import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from patchmill.dev.standin.behaviour import Behaviour
from patchmill.dev.standin.gateway import Options
from patchmill.dev.standin.scenarios import InvalidScenario, bundled_scenarios, find_scenario, load_scenario
from patchmill.dev.standin.server import running
from patchmill.dev.standin.wire_cases import CASES
from tests.support import plain_http
from tests.support.command import ROOT

KEY = {"authorization": "Bearer sk-byts-stand-in"}
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def connected() -> Iterator[httpx.Client]:
    with running() as root, plain_http.client(root, headers=KEY, timeout=10) as client:
        yield client


@pytest.fixture
def gateway(connected: httpx.Client) -> httpx.Client:
    connected.put("/standin/behaviour", json={}).raise_for_status()
    connected.delete("/standin/ledger").raise_for_status()
    return connected


def body(model: str = "deepseek-v4-flash", **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "hello"}], **fields}


def statuses(gateway: httpx.Client, count: int) -> list[int]:
    return [gateway.post(CHAT, json=body()).status_code for _ in range(count)]


@pytest.mark.parametrize("name", bundled_scenarios())
def test_a_bundled_scenario_can_be_set_at_run_time_and_is_described(gateway: httpx.Client, name: str) -> None:
    shown = gateway.post("/standin/scenario", json={"name": name, "seed": 7})
    assert shown.status_code == 200, shown.text
    assert shown.json()["seed"] == 7
    own = load_scenario(name).behaviour
    concurrency = own.concurrency or Options().concurrency  # shown is what holds
    expected = own.model_copy(update={"seed": 7, "concurrency": concurrency})
    assert Behaviour.model_validate(shown.json()) == expected
    listed = {one["name"]: one["description"] for one in gateway.get("/standin/scenarios").json()["data"]}
    assert listed[name] == load_scenario(name).description
    assert f"| `{name}` |" in (ROOT / "docs" / "standin.md").read_text(encoding="utf-8")


def test_every_field_of_a_scenario_is_documented() -> None:
    page = (ROOT / "docs" / "standin.md").read_text(encoding="utf-8")
    schema = Behaviour.model_json_schema()
    fields = [
        *schema["properties"],
        *(name for part in schema["$defs"].values() for name in part.get("properties", [])),
    ]
    assert [name for name in fields if f"`{name}`" not in page] == []


def test_shares_are_kept_and_are_the_same_for_the_same_seed(gateway: httpx.Client) -> None:
    behaviour = {"seed": 5, "shares": [{"fault": "503", "share": 0.2}, {"fault": "500", "share": 0.1}]}
    runs = []
    for _ in range(2):
        gateway.put("/standin/behaviour", json=behaviour).raise_for_status()
        runs.append(statuses(gateway, 300))
    counted = Counter(runs[0])
    assert runs[0] == runs[1]
    assert 30 <= counted[503] <= 90
    assert 10 <= counted[500] <= 55


def test_an_outage_strikes_its_model_in_its_time(gateway: httpx.Client) -> None:
    behaviour = {
        "outages": [{"model": "deepseek-v4-flash", "fault": "502", "until_s": 0.4}],
        "script": [{"content": "x", "times": 9}],
    }
    gateway.put("/standin/behaviour", json=behaviour).raise_for_status()
    began = time.monotonic()
    assert statuses(gateway, 1) == [502]
    assert gateway.post(CHAT, json=body("deepseek-v4-pro")).status_code == 200
    threading.Event().wait(max(0.0, began + 0.5 - time.monotonic()))
    assert statuses(gateway, 1) == [200]


def test_delays_are_drawn_from_their_distribution(gateway: httpx.Client) -> None:
    behaviour = {
        "latency_ms": {"min_ms": 30, "max_ms": 60},
        "first_token_ms": {"median_ms": 20, "p95_ms": 40},
        "script": [{"content": "x"}],
    }
    gateway.put("/standin/behaviour", json=behaviour).raise_for_status()
    began = time.monotonic()
    statuses(gateway, 1)
    assert time.monotonic() - began > 0.03


def test_the_wire_scenario_plays_every_case_in_turn(gateway: httpx.Client) -> None:
    gateway.post("/standin/scenario", json={"name": "wire"}).raise_for_status()
    names = list(CASES)[:12]
    for _ in names:
        gateway.post(CHAT, json=body(stream=True))
    rows = gateway.get("/standin/ledger").json()["rows"]
    assert [row["wire_case"] for row in rows] == names


def test_cached_input_is_spelt_as_the_scenario_says(gateway: httpx.Client) -> None:
    fields = {}
    for spelling in ("both", "hit_miss", "details", "none"):
        gateway.put("/standin/behaviour", json={"odd": {"cached_fields": spelling}}).raise_for_status()
        usage = gateway.post(CHAT, json=body()).json()["usage"]
        fields[spelling] = ("prompt_cache_hit_tokens" in usage, "prompt_tokens_details" in usage)
    assert fields == {
        "both": (True, True),
        "hit_miss": (True, False),
        "details": (False, True),
        "none": (False, False),
    }


@pytest.mark.parametrize(("when", "places"), [("always", [-2]), ("on_finish", [-2]), ("never", [])])
def test_streams_report_usage_when_the_scenario_says(
    gateway: httpx.Client, when: str, places: list[int]
) -> None:
    gateway.put("/standin/behaviour", json={"odd": {"streamed_usage": when}}).raise_for_status()
    events = gateway.post(CHAT, json=body(stream=True)).text.strip().split("\n\n")
    found = [place - len(events) for place, event in enumerate(events) if '"usage"' in event]
    assert found == places
    if when == "on_finish":
        assert '"finish_reason":"stop"' in events[-2]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("seed = 1", "description: must be one line"),
        ('description = "x"\nlatency_ms = -1', "latency_ms: "),
        ('description = "x"\nlatency_ms = { median_ms = 5, p95_ms = 2 }', "latency_ms: "),
        ('description = "x"\n[odd]\nspeed = 1', "odd.speed: "),
        ('description = "x"\n[[shares]]\nfault = "418"\nshare = 0.1', "shares.0.fault: "),
        ('description = "x"\n[[shares]]\nfault = "500"\nshare = 2', "shares.0.share: "),
        (
            'description = "x"\nshares = [{fault = "500", share = 0.7}, {fault = "502", share = 0.7}]',
            "the shares add up to more than 1",
        ),
        ('description = "x"\n[[outages]]\nevery_s = 5', "outages.0: "),
        ('description = "x"\n[[limits.spend_caps]]\nwindow_s = 5\nusd = "much"', "limits.spend_caps.0.usd: "),
        ("description = ", "not valid TOML"),
    ],
)
def test_a_wrong_scenario_file_is_refused_by_name(tmp_path: Path, text: str, wrong: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(InvalidScenario, match=f"^{path}: ") as refused:
        find_scenario(str(path))
    assert wrong in str(refused.value)


def test_an_unknown_scenario_is_refused_with_the_names_of_those_there_are(gateway: httpx.Client) -> None:
    refused = gateway.post("/standin/scenario", json={"name": "hurricane"})
    assert refused.status_code == 422
    assert "storm" in refused.json()["error"]["message"]
    with pytest.raises(InvalidScenario, match="No such file"):
        find_scenario("nowhere.toml")
