"""What a command that waits says of what is in the way: no calls are made, or the server is away."""

import subprocess
from pathlib import Path

import pytest

from tests.support.command import Done, arguments, environment, run_process
from tests.support.stack import Stack

pytestmark = pytest.mark.slow

SOURCE = "def double(value):\n    return value * 2\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "project"
    made.mkdir()
    (made / "app.py").write_text(SOURCE, encoding="utf-8")
    (made / "lint.py").write_text("def add(item, items=[]):\n    return items\n", encoding="utf-8")
    return made


def server(stack: Stack) -> dict[str, str]:
    return {"PATCHMILL_SERVER_URL": stack.api_url, "PATCHMILL_SERVER_KEY": stack.key}


def host(stack: Stack, *words: str) -> Done:
    return run_process(*words, settings=stack.environment())


def told(stack: Stack, folder: Path, *words: str) -> tuple[str, str]:
    """Run a command that waits until it has said why; give what it submitted, and what it said."""
    with waiting(stack, folder, *words) as process:
        assert process.stderr is not None
        submitted = process.stderr.readline().split()[1]
        why = process.stderr.readline().rstrip("\n")
        process.kill()
    return submitted, why


def test_calls_that_are_paused_are_told_while_one_waits_and_when_the_time_is_over(
    stack: Stack, folder: Path
) -> None:
    stack.start_api()
    host(stack, "pause", "--reason", "the bill")
    stack.start("worker")
    why = "calls are paused (the bill); goes on with `patchmill resume`"

    job, of_job = told(stack, folder, "annotate", "app.py")
    run, of_run = told(stack, folder, "fix", "lint.py", "--select", "B006")

    assert of_job == f"1 job of {job} waiting: {why}"
    assert of_run == f"1 job of {run} waiting: {why}"
    for identity in (job, run):
        late = run_process("wait", identity, "--timeout", "0", settings=server(stack))
        expected = (
            f"{identity} has not ended after 0 s, 1 job waiting: {why}; `patchmill wait {identity}` waits"
        )
        assert (late.code, expected in late.talk) == (3, True)
        status = run_process("status", identity, settings=server(stack)).data
        assert f"\n  waits: {why}\n" in status
    host(stack, "resume")
    assert run_process("wait", run, settings=server(stack)).code == 0


def test_a_key_that_the_gateway_refuses_is_told_in_its_words(stack: Stack, folder: Path) -> None:
    stack.start_api()
    stack.start("worker")
    stack.behave(faults=[{"fault": "401", "times": 1000}])

    _, why = told(stack, folder, "annotate", "app.py")

    assert "waiting: the gateway lets this account make no call (invalid_api_key: " in why
    assert "; the next try is at 20" in why
    assert why.endswith(" UTC, or with `patchmill resume`")


def test_a_restart_of_the_api_breaks_no_waiting(stack: Stack, folder: Path) -> None:
    stack.start_api()
    with waiting(stack, folder, "annotate", "app.py") as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("submitted job_")
        api = stack.processes[-1]
        api.kill()
        api.wait()
        away = process.stderr.readline()
        stack.start("api", PATCHMILL_PORT=stack.api_url.rpartition(":")[2])
        stack.start("worker")
        _, talk = process.communicate(timeout=60)

    assert "does not answer" in away
    assert "goes on there, and is asked for until it answers" in away
    assert (process.returncode, talk) == (0, "the server answers again\n")


def test_a_server_that_stays_away_ends_the_waiting_with_how_to_wait_again(stack: Stack, folder: Path) -> None:
    stack.start_api()
    with waiting(stack, folder, "annotate", "app.py", "--timeout", "6") as process:
        assert process.stderr is not None
        job = process.stderr.readline().split()[1]
        stack.processes[-1].kill()
        _, talk = process.communicate(timeout=60)

    _, over = talk.splitlines()
    assert process.returncode == 3
    assert f"{job} goes on there: `patchmill wait {job}` waits again" in over
    assert "PATCHMILL_SERVER_URL" not in over


def waiting(stack: Stack, folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        arguments(*words),
        env=environment(server(stack)),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
