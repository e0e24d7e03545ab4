import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from patchmill.dev.standin.gateway import Options
from patchmill.dev.standin.server import running
from tests.support.stack import until
from tests.support.standin import KEY

CHAT = "/v1/chat/completions"
SERVE = """
import sys
from pathlib import Path
from patchmill.dev.standin.gateway import Options
from patchmill.dev.standin.server import serve
serve(Options(ledger_path=Path(sys.argv[1])), on_ready=lambda port: print(port, flush=True))
"""


def body(prompt: str = "hello", **fields: Any) -> dict[str, Any]:
    return {"model": "deepseek-v4-flash", "messages": [{"role": "user", "content": prompt}], **fields}


@pytest.mark.parametrize(
    ("model", "input_picos", "cached_picos", "output_picos"),
    [("deepseek-v4-flash", 140_000, 3_000, 280_000), ("deepseek-v4-pro", 435_000, 4_000, 870_000)],
)
def test_a_row_says_what_the_answer_cost(
    gateway: httpx.Client, model: str, input_picos: int, cached_picos: int, output_picos: int
) -> None:
    prompt = "costs of an answer " * 60
    request = body(prompt, model=model)
    answers = [gateway.post(CHAT, json=request).json() for _ in range(2)]
    ledger = gateway.get("/standin/ledger").json()
    assert ledger["requests"] == 2
    for answer, row in zip(answers, ledger["rows"], strict=True):
        usage = answer["usage"]
        cost_picos = (
            usage["prompt_cache_miss_tokens"] * input_picos
            + usage["prompt_cache_hit_tokens"] * cached_picos
            + usage["completion_tokens"] * output_picos
        )
        assert row["request_id"] == answer["id"]
        assert row["input_tokens"] == usage["prompt_tokens"]
        assert row["cached_tokens"] == usage["prompt_cache_hit_tokens"]
        assert row["output_tokens"] == usage["completion_tokens"]
        assert row["cost_picos"] == cost_picos
        assert (row["model"], row["status"], row["outcome"]) == (model, 200, "billed")
        assert (row["key"], row["finish"]) == ("sk-byts-stand-in", "stop")
    assert ledger["rows"][1]["cached_tokens"] == 256


def test_a_row_carries_the_digest_of_the_messages(gateway: httpx.Client) -> None:
    request = body("grüße")
    gateway.post(CHAT, json=request)
    text = json.dumps(request["messages"], separators=(",", ":"), sort_keys=True)
    [row] = gateway.get("/standin/ledger").json()["rows"]
    assert row["messages_sha256"] == hashlib.sha256(text.encode()).hexdigest()


def test_a_refused_request_has_a_row_that_hides_an_unknown_key(gateway: httpx.Client) -> None:
    gateway.post(CHAT, json=body(), headers={"x-api-key": "sk-somebody-elses"})
    gateway.post(CHAT, content=b"?")
    ledger = gateway.get("/standin/ledger").json()
    assert [(row["status"], row["code"]) for row in ledger["rows"]] == [
        (401, "invalid_api_key"),
        (400, "invalid_param"),
    ]
    assert {row["outcome"] for row in ledger["rows"]} == {"not_billed"}
    assert "somebody" not in json.dumps(ledger)


def test_the_row_is_there_as_soon_as_the_answer_is_read(gateway: httpx.Client) -> None:
    for number in range(1, 21):
        gateway.post(CHAT, json=body(stream=True))
        ledger = gateway.get("/standin/ledger").json()
        assert (len(ledger["rows"]), ledger["in_flight"]) == (number, 0)


def test_a_client_that_leaves_a_stream_pays_for_what_was_produced(gateway: httpx.Client) -> None:
    behaviour = {"chunk_delay_ms": 20, "script": [{"content": "0123456789abcdef" * 100}]}
    gateway.put("/standin/behaviour", json=behaviour)
    text = ""
    with gateway.stream("POST", CHAT, json=body(stream=True)) as response:
        for line in response.iter_lines():
            text += line
            if text.count("0123456789abcdef") == 3:
                break
    until(lambda: len(gateway.get("/standin/ledger").json()["rows"]) == 1, "a row")
    [row] = gateway.get("/standin/ledger").json()["rows"]
    assert (row["outcome"], row["finish"]) == ("billed", "client_closed")
    assert 12 <= row["output_tokens"] <= 40
    assert row["cost_picos"] == row["input_tokens"] * 140_000 + row["output_tokens"] * 280_000


def test_a_client_that_leaves_an_error_to_come_pays_nothing(gateway: httpx.Client) -> None:
    gateway.put("/standin/behaviour", json={"latency_ms": 5_000, "faults": [{"fault": "500"}]})
    with pytest.raises(httpx.ReadTimeout):
        gateway.post(CHAT, json=body(), timeout=httpx.Timeout(30, read=0.3))
    until(lambda: len(gateway.get("/standin/ledger").json()["rows"]) == 1, "a row")
    [row] = gateway.get("/standin/ledger").json()["rows"]
    assert (row["outcome"], row["finish"]) == ("not_billed", "client_closed")


def test_clearing_forgets_rows_and_counts(gateway: httpx.Client) -> None:
    gateway.post(CHAT, json=body())
    assert gateway.delete("/standin/ledger").status_code == 204
    ledger = gateway.get("/standin/ledger").json()
    assert ledger.pop("observed_s") < 5
    assert ledger == {"requests": 0, "rows": [], "in_flight": 0, "peak_in_flight": 0, "mean_in_flight": 0}


def test_the_mean_in_flight_is_that_of_the_time_since_the_ledger_was_cleared(gateway: httpx.Client) -> None:
    gateway.put("/standin/behaviour", json={"latency_ms": 400}).raise_for_status()
    gateway.delete("/standin/ledger")
    gateway.post(CHAT, json=body())
    ledger = gateway.get("/standin/ledger").json()
    assert 0.4 <= ledger["mean_in_flight"] * ledger["observed_s"] <= ledger["observed_s"]


def test_a_stopped_stand_in_bills_what_it_was_producing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with httpx.Client(headers=KEY) as client:
        with running(Options(ledger_path=path)) as url:
            client.put(f"{url}/standin/behaviour", json={"faults": [{"fault": "stall"}]})
            request = client.build_request("POST", f"{url}{CHAT}", json=body(stream=True))
            response = client.send(request, stream=True)
        response.close()
    [row] = [json.loads(line) for line in path.read_text().splitlines()]
    assert (row["outcome"], row["finish"]) == ("billed", "client_closed")


def test_the_ledger_file_survives_a_kill_and_is_carried_on(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url = f"http://127.0.0.1:{process.stdout.readline().strip()}"
        answer = httpx.post(f"{url}{CHAT}", json=body(), headers=KEY).json()
        os.kill(process.pid, signal.SIGKILL)
    with path.open("a", encoding="utf-8") as file:
        file.write('{"request_id": "half a li')
    with running(Options(ledger_path=path)) as url, httpx.Client(base_url=url, headers=KEY) as client:
        assert client.get("/standin/ledger").json()["requests"] == 1
        client.post(CHAT, json=body())
        rows = client.get("/standin/ledger").json()["rows"]
    assert rows[0]["request_id"] == answer["id"]
    assert [json.loads(line) for line in path.read_text().splitlines()] == rows
