import json
import os
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from patchmill.verify.process.confinement import confinement
from patchmill.verify.process.sandbox import Completed, Limits, run

PYTHON = [sys.executable, "-I", "-S", "-c"]


def python(code: str, folder: Path, *, stdin: bytes = b"", limits: Limits | None = None) -> Completed:
    return run([*PYTHON, code], stdin=stdin, cwd=folder, limits=limits or Limits())


def test_output_and_return_code_come_back(tmp_path: Path) -> None:
    completed = python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)", tmp_path)

    assert (completed.returncode, completed.stdout, completed.stderr) == (3, b"out\n", b"err\n")
    assert completed.failure == "it ended with code 3: err"


def test_input_larger_than_a_pipe_arrives_whole(tmp_path: Path) -> None:
    completed = python("import sys; print(len(sys.stdin.buffer.read()))", tmp_path, stdin=b"x" * 3_000_000)

    assert completed.failure is None
    assert completed.stdout == b"3000000\n"


def test_a_child_that_reads_no_input_is_no_error(tmp_path: Path) -> None:
    completed = python("pass", tmp_path, stdin=b"x" * 3_000_000)

    assert completed.failure is None


def test_the_environment_is_built_from_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATCHMILL_SECRET", "canary")

    completed = python("import json, os; print(json.dumps(dict(os.environ)))", tmp_path)

    environment = json.loads(completed.stdout)
    assert environment["HOME"] == str(tmp_path)
    assert set(environment) <= {"PATH", "LANG", "HOME", "PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE"}


def test_given_variables_are_added(tmp_path: Path) -> None:
    completed = run(
        [*PYTHON, "import os; print(os.environ['WANTED'])"],
        stdin=b"",
        cwd=tmp_path,
        limits=Limits(),
        environment={"WANTED": "yes"},
    )

    assert completed.stdout == b"yes\n"


def test_open_files_are_not_inherited(tmp_path: Path) -> None:
    held = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(held, True)  # noqa: FBT003 - its own signature

    completed = python(f"import os; os.fstat({held})", tmp_path)

    os.close(held)
    assert completed.returncode != 0


def test_a_child_that_takes_too_long_is_ended_with_all_it_started(tmp_path: Path) -> None:
    code = (
        "import os, time\n"
        "child = os.fork()\n"
        "print(child or os.getpid(), flush=True)\n"
        "while True: time.sleep(60)\n"
    )

    completed = python(code, tmp_path, limits=Limits(wall_s=1.0))

    assert completed.timed_out
    assert completed.failure == "it took too long"
    deadline = time.monotonic() + 10
    pids = {int(line) for line in completed.stdout.split()}
    while any(is_running(pid) for pid in pids):
        assert time.monotonic() < deadline


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere a child is reaped before its group can be ended"
)
def test_what_a_child_leaves_behind_is_ended_with_it(tmp_path: Path) -> None:
    code = (
        "import os, time\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    os.close(1), os.close(2)\n"
        "    time.sleep(60)\n"
        "print(child)\n"
    )

    completed = python(code, tmp_path)

    assert completed.failure is None
    deadline = time.monotonic() + 10
    while is_running(int(completed.stdout)):
        assert time.monotonic() < deadline


def test_a_child_that_closes_its_output_and_stays_is_ended(tmp_path: Path) -> None:
    code = "import os, time\nos.close(1)\nos.close(2)\ntime.sleep(60)"

    assert python(code, tmp_path, limits=Limits(wall_s=0.5)).timed_out


def test_too_much_output_ends_the_child(tmp_path: Path) -> None:
    limits = Limits(output_bytes=100_000)

    completed = python("while True: print('x' * 1000)", tmp_path, limits=limits)

    assert completed.overflow
    assert completed.failure == "it wrote too much"


def test_memory_is_limited(tmp_path: Path) -> None:
    completed = python("x = bytearray(1 << 30)", tmp_path, limits=Limits(memory_bytes=256 * 1024**2))

    assert b"MemoryError" in completed.stderr


def test_processor_time_is_limited(tmp_path: Path) -> None:
    completed = python("while True: pass", tmp_path, limits=Limits(cpu_s=1, wall_s=120.0))

    assert completed.spent
    assert completed.failure == "it was ended by SIGXCPU"


@pytest.mark.parametrize(("characters", "cpu_s"), [(0, 5), (8_192 * 3, 8), (1 << 30, 30)])
def test_processor_time_is_given_by_what_there_is_to_read(characters: int, cpu_s: int) -> None:
    assert Limits(cpu_s=30, wall_s=30.0).for_text(characters) == Limits(cpu_s=cpu_s, wall_s=30.0)


def test_files_that_grow_too_large_are_refused(tmp_path: Path) -> None:
    code = "open('big', 'wb').write(b'x' * 3_000_000)"

    completed = python(code, tmp_path, limits=Limits(file_bytes=1024**2))

    assert completed.returncode != 0
    assert (tmp_path / "big").stat().st_size <= 1024**2


def test_the_number_of_open_files_is_limited(tmp_path: Path) -> None:
    completed = python("x = [open('/dev/null') for _ in range(100)]", tmp_path, limits=Limits(open_files=32))

    assert b"Too many open files" in completed.stderr


FORKING = """\
import os, time
started = 0
try:
    while started < 200:
        if not os.fork():
            os.close(1)
            os.close(2)
            time.sleep(60)
        started += 1
finally:
    print(started, flush=True)
"""


@pytest.mark.skipif(not confinement().processes, reason="this system cannot count a child's processes apart")
def test_the_number_of_processes_is_limited_and_those_of_others_do_not_count(tmp_path: Path) -> None:
    limits = Limits(processes=10, wall_s=30.0)

    with ThreadPoolExecutor(max_workers=2) as pool:
        both = list(pool.map(lambda _: python(FORKING, tmp_path, limits=limits), range(2)))

    assert [int(completed.stdout) for completed in both] == [9, 9]
    assert all(b"BlockingIOError" in completed.stderr for completed in both)


@pytest.mark.skipif(not confinement().processes, reason="this system cannot count a child's processes apart")
def test_threads_count_as_processes(tmp_path: Path) -> None:
    code = (
        "import threading\n"
        "stop = threading.Event()\n"
        "try:\n"
        "    for _ in range(200): threading.Thread(target=stop.wait).start()\n"
        "finally: stop.set()\n"
    )

    completed = python(code, tmp_path, limits=Limits(processes=10))

    assert b"can't start new thread" in completed.stderr


@pytest.mark.skipif(os.geteuid() != 0 or not confinement().processes, reason="for root alone")
def test_a_child_of_root_has_no_powers_over_the_machine(tmp_path: Path) -> None:
    completed = python("print(open('/proc/self/status').read())", tmp_path)

    (held,) = re.findall(r"^CapEff:\s*(\w+)$", completed.stdout.decode(), re.MULTILINE)
    dac_override = 1 << 1
    assert int(held, 16) & ~dac_override == 0


@pytest.mark.skipif(not confinement().network, reason="this system allows no network namespaces")
def test_the_network_cannot_be_reached(tmp_path: Path) -> None:
    code = "import socket; socket.create_connection(('127.0.0.1', 9), timeout=5)"

    completed = python(code, tmp_path)

    assert b"unreachable" in completed.stderr


def test_arguments_are_never_read_by_a_shell(tmp_path: Path) -> None:
    hostile = "$(touch gone); `touch gone` 'a\"b"

    completed = run(
        [*PYTHON, "import sys; print(sys.argv[1])", hostile], stdin=b"", cwd=tmp_path, limits=Limits()
    )

    assert completed.stdout.decode() == f"{hostile}\n"
    assert list(tmp_path.iterdir()) == []
