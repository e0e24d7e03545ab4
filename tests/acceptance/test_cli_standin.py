import subprocess
from pathlib import Path

import httpx

from tests.support.command import Command, arguments, environment

MINE = 'description = "Mine."\nlatency_ms = 7\nconcurrency = 3\n[[faults]]\nwire_case = "H3_502_html"\n'


def test_the_scenarios_are_listed_with_a_line_each(patchmill: Command) -> None:
    done = patchmill("standin", "--list-scenarios")

    assert done.code == 0
    names = [line.split()[0] for line in done.data.splitlines()]
    assert {"calm", "everyday", "storm", "outage", "slow", "quota", "stalls", "odd", "wire"} <= set(names)
    assert all(line.endswith(".") for line in done.data.splitlines())


def test_a_scenario_that_is_not_there_or_wrong_is_told_by_name(patchmill: Command, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text('description = "x"\n[[faults]]\nwire_case = "S99"\n')

    unknown = patchmill("standin", "--scenario", "hurricane")
    invalid = patchmill("standin", "--scenario", str(wrong))

    assert (unknown.code, invalid.code) == (2, 2)
    assert "storm" in unknown.talk
    assert "faults.0.wire_case" in invalid.talk
    assert "S99" in invalid.talk


def test_a_scenario_from_a_file_holds_from_the_start_and_options_win_over_it(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(MINE)
    words = ("standin", "--port", "0", "--scenario", str(mine), "--concurrency", "9")
    with subprocess.Popen(
        arguments(*words), env=environment({}), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        root = process.stdout.readline().strip().removesuffix("/v1")
        shown = httpx.get(f"{root}/standin/behaviour", trust_env=False).json()
        body = {"model": "deepseek-v4-flash", "messages": [{"role": "user", "content": "x"}]}
        key = {"x-api-key": "sk-byts-stand-in"}
        answer = httpx.post(f"{root}/v1/chat/completions", json=body, headers=key, trust_env=False)
        process.terminate()
        process.wait(timeout=60)

    assert (shown["latency_ms"], shown["concurrency"]) == (7, 9)
    assert (answer.status_code, answer.headers["content-type"]) == (502, "text/html; charset=utf-8")
