import json
import re
import socket
import threading
import time
from typing import Any

import httpx
import pytest

from patchmill.dev.standin.tokens import count_tokens
from patchmill.dev.standin.wire_cases import CASES, Billed, Ending, Mode, WireCase
from tests.support.standin import KEY

CHAT = "/v1/chat/completions"
ANSWER = "an answer of several words, which takes several chunks, and has a ü and a € in it"
ROWS = [*(f"H{n}" for n in range(1, 12)), *(f"S{n}" for n in range(1, 11)), *(f"C{n}" for n in range(1, 18))]
WHOLE_READ_S = 15
STALL_READ_S = 0.25


def body(*, stream: bool, **fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "four tokens here"}]
    return {"model": "deepseek-v4-flash", "messages": messages, "stream": stream, **fields}


def read_raw(url: str, *, stream: bool, patience_s: float) -> tuple[bytes, str]:
    """Give all bytes of the response, and how the connection ended: `closed`, `reset` or `open`."""
    address = httpx.URL(url)
    sent = json.dumps(body(stream=stream, max_tokens=200)).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: {KEY['authorization']}\r\n"
    received = bytearray()
    with socket.create_connection((address.host, address.port or 0)) as connection:
        connection.settimeout(patience_s)
        connection.sendall(f"{head}Content-Length: {len(sent)}\r\n\r\n".encode() + sent)
        try:
            deadline = time.monotonic() + patience_s
            while part := connection.recv(65_536):
                received += part
                if time.monotonic() > deadline:
                    return bytes(received), "open"
        except ConnectionResetError:
            return bytes(received), "reset"
        except TimeoutError:
            return bytes(received), "open"
    return bytes(received), "closed"


def ledger_row(gateway: httpx.Client) -> dict[str, Any]:
    deadline = time.monotonic() + 5
    pause = threading.Event()
    while not (rows := gateway.get("/standin/ledger").json()["rows"]):
        assert time.monotonic() < deadline
        pause.wait(0.01)
    [row] = rows
    found: dict[str, Any] = row
    return found


def play(gateway: httpx.Client, case: WireCase) -> bool:
    rule = {"wire_case": case.name, "times": 1}
    script = [{"content": ANSWER}] if case.answers and case.says is None else []
    answer = gateway.post("/standin/behaviour", json={"faults": [rule], "script": script})
    assert answer.status_code == 200, answer.text
    return case.mode is not Mode.PLAIN


def test_every_row_has_its_cases_and_every_case_its_sentence() -> None:
    assert sorted({case.row for case in CASES.values()}) == sorted(ROWS)
    for name, case in CASES.items():
        assert name == case.name
        assert re.fullmatch(r"[HSC]\d+_[a-zA-Z0-9_]+", name)
        assert case.summary.endswith(".")
        assert not case.billed or case.answers
    assert len({case.summary for case in CASES.values()}) == len(CASES)


@pytest.mark.parametrize("name", CASES)
def test_a_case_ends_and_is_billed_as_it_says(url: str, gateway: httpx.Client, name: str) -> None:
    case = CASES[name]
    stream = play(gateway, case)
    stalls = case.ending is Ending.STALL
    received, ended = read_raw(url, stream=stream, patience_s=STALL_READ_S if stalls else WHOLE_READ_S)

    expected = {Ending.END: "closed", Ending.CUT: "closed", Ending.RESET: "reset", Ending.STALL: "open"}
    assert ended == expected[case.ending]
    if b"\r\n\r\n" in received:
        statuses = re.findall(rb"^HTTP/1\.1 (\d+) ", received, re.MULTILINE)
        assert int(statuses[-1]) == case.status
    row = ledger_row(gateway)
    assert row["wire_case"] == name
    assert (row["outcome"] == "billed") is case.billed
    assert row["code"] == case.code
    if case.usage in {Billed.NOTHING, Billed.ZERO}:
        assert (row["input_tokens"], row["output_tokens"], row["cost_picos"]) == (0, 0, 0)
    else:
        assert row["input_tokens"] == 4
        if case.usage is not Billed.PRODUCED and not (case.overruns or case.thinks):
            assert row["output_tokens"] == count_tokens(ANSWER if case.says is None else case.says)
        elif case.usage is Billed.PRODUCED:
            assert row["output_tokens"] < count_tokens(ANSWER)
        assert row["cost_picos"] == (row["input_tokens"] * 140_000 + row["output_tokens"] * 280_000)


def test_the_answer_after_a_case_is_the_usual_one(gateway: httpx.Client) -> None:
    rules = [{"wire_case": "H3_502_html"}, {"wire_case": "S7_error_after_content", "times": 2}]
    gateway.post("/standin/behaviour", json={"faults": rules}).raise_for_status()
    answers = [gateway.post(CHAT, json=body(stream=True)) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [502, 200, 200, 200]
    assert ["error" in answer.text for answer in answers] == [False, True, True, False]


def test_a_case_for_streams_waits_for_a_stream(gateway: httpx.Client) -> None:
    gateway.post("/standin/behaviour", json={"faults": [{"wire_case": "S2_cr"}]}).raise_for_status()
    assert gateway.post(CHAT, json=body(stream=False)).json()["object"] == "chat.completion"
    assert "\r" in gateway.post(CHAT, json=body(stream=True)).text
    assert [row["wire_case"] for row in gateway.get("/standin/ledger").json()["rows"]] == [None, "S2_cr"]


def test_a_client_that_leaves_a_case_pays_for_what_it_was_sent(gateway: httpx.Client) -> None:
    behaviour = {"faults": [{"wire_case": "S9_slow"}], "script": [{"content": "0123456789abcdef" * 200}]}
    gateway.post("/standin/behaviour", json=behaviour).raise_for_status()
    with gateway.stream("POST", CHAT, json=body(stream=True)) as response:
        for line in response.iter_lines():
            if "0123456789abcdef" in line:
                break
    row = ledger_row(gateway)
    assert (row["outcome"], row["finish"]) == ("billed", "client_closed")
    assert 4 <= row["output_tokens"] < 400


def test_what_is_no_rule_is_refused_by_name(gateway: httpx.Client) -> None:
    for rule in ({}, {"wire_case": "S6_no_done", "fault": "500"}, {"wire_case": "S99"}):
        refused = gateway.post("/standin/behaviour", json={"faults": [rule]})
        assert refused.status_code == 422
        assert refused.json()["error"]["message"].startswith("faults.0")


def test_the_catalogue_can_be_read_over_http(gateway: httpx.Client) -> None:
    shown = gateway.get("/standin/wire-cases").json()["data"]
    assert [case["name"] for case in shown] == list(CASES)
    assert {"row", "summary", "mode", "ending", "billed", "usage"} <= set(shown[0])


def test_a_reset_is_a_reset(url: str, gateway: httpx.Client) -> None:
    gateway.post("/standin/behaviour", json={"faults": [{"wire_case": "H10_reset_before_answer"}]})
    assert read_raw(url, stream=True, patience_s=WHOLE_READ_S) == (b"", "reset")
