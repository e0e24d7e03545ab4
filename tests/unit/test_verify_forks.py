import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from patchmill.edit.span import Hunk, split_lines
from patchmill.job.record import Annotation
from patchmill.verify.outline.read import Outline, read
from patchmill.verify.process import bare_python, forks, sandbox
from patchmill.verify.process.confinement import confinement
from patchmill.verify.process.forks import Forks
from patchmill.verify.process.keeper import KEEPER
from patchmill.verify.process.sandbox import Limits
from patchmill.verify.proof.prove import prove
from patchmill.verify.syntax.grammar import BY_LANGUAGE as GRAMMARS
from tests.support.stack import until

MODULE = "tests.support.forked"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch) -> Iterator[Forks]:
    """Forks whose template has loaded everything, on a machine that may be busy."""
    monkeypatch.setattr(forks, "_GRACE_S", 60.0)
    made = Forks()
    _until_ready(made)
    yield made
    made.close()


def _until_ready(made: Forks) -> None:
    until(lambda: ask(made, "echo", 1) == 1, "a template that forks")


def ask(made: Forks, do: str, value: Any = None, **limits: Any) -> Any:
    """What a fork answers, decoded; None where none does."""
    request = json.dumps({"do": do, "with": value}).encode()
    answer = made.ask(MODULE, request, Limits(**limits))
    return None if answer is None else json.loads(answer)


def test_each_request_has_a_fresh_fork_of_the_same_template(ready: Forks) -> None:
    first, second = ask(ready, "tell"), ask(ready, "tell")

    assert first["parent"] == second["parent"] == ready.pid
    assert first["pid"] != second["pid"]
    assert first["calls"] == second["calls"] == 1


def test_large_requests_and_answers_pass_whole(ready: Forks) -> None:
    text = "x" * 3_000_000

    assert ask(ready, "echo", text) == text


def test_many_threads_get_each_its_own_answer(ready: Forks) -> None:
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda number: ask(ready, "echo", number), range(200)))

    assert answers == list(range(200))


def test_nobody_waits_for_a_template_that_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "_START", (sys.executable, "-c", "import signal; signal.pause()"))
    made = Forks()

    assert ask(made, "echo", 1) is None
    made.close()


def test_nothing_of_the_environment_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATCHMILL_SECRET", "canary")
    made = Forks()
    _until_ready(made)

    of_the_shell = {"PWD", "OLDPWD", "SHLVL", "_"}
    assert set(ask(made, "tell")["environment"]) <= {"PATH", "LANG", "LC_CTYPE"} | of_the_shell
    made.close()


def test_a_fork_has_no_way_back_to_its_template(ready: Forks) -> None:
    assert ask(ready, "sockets") == []


@pytest.mark.skipif(not confinement().network, reason="this system allows no network namespaces")
def test_a_fork_reaches_no_network(ready: Forks) -> None:
    assert "unreachable" in ask(ready, "connect")


@pytest.mark.parametrize(
    ("do", "value", "limits"),
    [
        ("spin", None, {"cpu_s": 1}),
        ("wait", None, {"wall_s": 0.5}),
        ("grow", 1 << 30, {"memory_bytes": 256 * 1024**2}),
        ("open", 100, {"open_files": 32}),
        ("echo", "x" * 200_000, {"output_bytes": 100_000}),
        ("end", signal.SIGKILL, {}),
        ("end", signal.SIGSEGV, {}),
        ("no such thing", None, {}),
    ],
    ids=["processor", "wall", "memory", "files", "output", "killed", "crashed", "raised"],
)
def test_what_ends_a_fork_gives_no_answer_and_touches_nobody_else(
    ready: Forks, do: str, value: Any, limits: dict[str, Any]
) -> None:
    template = ready.pid

    assert ask(ready, do, value, **limits) is None
    assert ask(ready, "tell")["parent"] == template


def test_no_time_at_all_is_no_answer(ready: Forks) -> None:
    assert ask(ready, "echo", 1, wall_s=0.0) is None


def test_forks_that_have_ended_are_not_left_lying(ready: Forks) -> None:
    assert ready.pid is not None
    for _ in range(20):
        ask(ready, "tell")

    until(lambda: psutil.Process(ready.pid).children() == [], "their end")


def test_a_template_that_is_killed_is_replaced(ready: Forks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "_REST_S", 0.0)
    killed = ready.pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)

    _until_ready(ready)
    until(lambda: (ask(ready, "tell") or {}).get("parent") == ready.pid, "the next template")
    assert ready.pid != killed


def test_the_forks_of_a_template_that_was_killed_end_with_it_and_its_number_stays_its_own_till_then(
    ready: Forks, monkeypatch: pytest.MonkeyPatch
) -> None:
    reaped: list[bool] = []
    template = ready._template
    assert template is not None
    monkeypatch.setattr(KEEPER, "drop", lambda _: reaped.append(template.process.returncode is not None))
    process = psutil.Process(template.process.pid)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(ask, ready, "wait")
        at_work = until(process.children, "a fork at work")
        process.kill()
        until(lambda: ask(ready, "tell") is None and ready._template is None, "its death noticed")

        assert waiting.result() is None
    assert reaped == [False]
    until(lambda: not any(map(_runs, at_work)), "the end of its forks")


def test_one_that_dies_at_once_is_not_started_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "_START", (sys.executable, "-c", "raise SystemExit(1)"))
    monkeypatch.setattr(forks, "_REST_S", 600.0)
    started: list[object] = []
    start = forks._started

    def counted() -> object:
        started.append(start())
        return started[-1]

    monkeypatch.setattr(forks, "_started", counted)
    made = Forks()
    until(lambda: ask(made, "echo", 1) is None and made._template is None, "its death noticed")

    assert [ask(made, "echo", 1) for _ in range(5)] == [None] * 5
    assert len(started) == 1


def test_a_template_that_hangs_is_ended(ready: Forks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "_GRACE_S", 0.2)
    hanging = ready.pid
    assert hanging is not None
    os.kill(hanging, signal.SIGSTOP)

    assert ask(ready, "echo", 1, wall_s=0.5) is None
    until(lambda: not psutil.pid_exists(hanging), "its end")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_template_and_forks_end_with_the_process_that_started_them(number: signal.Signals) -> None:
    code = (
        "import json, threading\n"
        "from tests.unit.test_verify_forks import Forks, ask, _until_ready\n"
        "made = Forks()\n"
        "_until_ready(made)\n"
        "def wait():\n"
        "    while True: ask(made, 'wait', wall_s=3.0)\n"
        "threading.Thread(target=wait).start()\n"
        "print(made.pid, flush=True)\n"
        "threading.Event().wait()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        template = psutil.Process(int(starter.stdout.readline()))
        until(template.children, "a fork at work")
        started = [template, *template.children()]
        starter.send_signal(number)

    until(lambda: not any(map(_runs, started)), "the end of all")


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def outline_of(language: str, text: str) -> Outline | None:
    hunk = Hunk(start_line=1, end_line=1, original="", replacement="import json\n")
    return read(split_lines(text), [(1, 2)], [[hunk]], language=language)


@pytest.mark.parametrize(
    "look",
    [
        lambda: outline_of("python", "import os\n\ndef f():\n    return os\n"),
        lambda: outline_of("python", "def f(:\n"),
        lambda: outline_of("javascript", "import a from 'b';\nfunction f() { return a; }\n"),
        lambda: GRAMMARS["go"].diagnose(["package a\n", "func {"], path="a.go", rules=(), settings={}),
        lambda: prove(
            "def f(x):\n    return 1\n",
            ["def f(x) -> int:\n    return 1\n", "def f(x) -> int:\n    return 2\n", "def f("],
            path="a.py",
            what=frozenset({Annotation.TYPES}),
            target=None,
        ),
    ],
    ids=["python", "broken_python", "javascript", "go", "proof"],
)
def test_forks_and_processes_say_the_same(
    ready: Forks, monkeypatch: pytest.MonkeyPatch, look: Callable[[], object]
) -> None:
    monkeypatch.setattr(bare_python, "_FORKS", ready)
    started: list[object] = []
    start = sandbox.run

    def counted(*arguments: Any, **options: Any) -> sandbox.Completed:
        started.append(arguments)
        return start(*arguments, **options)

    monkeypatch.setattr(sandbox, "run", counted)

    forked = look()
    assert started == []
    ready.close()

    assert look() == forked is not None
    assert len(started) == 1


def test_a_request_that_no_fork_answers_gets_a_process_of_its_own(
    ready: Forks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bare_python, "_FORKS", ready)
    template = ready.pid

    quick = bare_python.run(MODULE, stdin=b'{"do": "tell"}', limits=Limits())
    failed = bare_python.run(MODULE, stdin=b'{"do": "end", "with": 11}', limits=Limits())
    ready.close()
    slow = bare_python.run(MODULE, stdin=b'{"do": "tell"}', limits=Limits())

    assert json.loads(quick.stdout)["parent"] == template
    assert failed.failure == "it was ended by SIGSEGV"
    assert slow.failure is None
    assert json.loads(slow.stdout)["parent"] != template
