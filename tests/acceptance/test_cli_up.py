import json
import re
import shlex
import signal
import stat
from pathlib import Path

import httpx
import pytest

from patchmill.client.http import Client
from patchmill.dev.surroundings import free_port
from tests.support.command import run_process
from tests.support.processes import Started, running_for

READY = "Patchmill is ready at "
CURL = re.compile(r"^ *(curl .*)$", re.MULTILINE)


@pytest.mark.slow
def test_up_runs_everything_ends_a_job_verified_and_leaves_nothing_running(service_folder: Path) -> None:
    port = free_port()
    started = Started(service_folder, "up", "--port", str(port))
    talk = started.wait_for("Ctrl-C stops everything")
    key_file = service_folder / "local-key"

    assert f"{READY}http://127.0.0.1:{port} " in talk
    assert "NOT a language model" in talk
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    key = key_file.read_text().strip()
    assert key not in talk
    password_file = service_folder / "admin-password"
    assert stat.S_IMODE(password_file.stat().st_mode) == 0o600
    assert f"(user admin, password in {password_file})" in talk
    password = password_file.read_text().strip()
    assert password not in talk
    assert _signs_in(port, password)
    with Client(f"http://127.0.0.1:{port}", key) as client:
        job = client.wait(_submit_as_told(client, talk, f"http://127.0.0.1:{port}", key_file), timeout_s=40)
    assert (job["state"], job["outcome"]) == ("succeeded", "verified")

    assert (service_folder / "local-url").read_text() == f"http://127.0.0.1:{port}\n"
    found = run_process("status", job["id"], settings={"PATCHMILL_DATA_DIR": str(service_folder)})
    assert (found.code, "hello.py  verified" in found.data) == (0, True)
    _commands_of_a_host_find_it(service_folder)

    assert started.end(signal.SIGTERM) == 0
    assert running_for(service_folder) == []
    for name in ("local-url", "local-database", "local-stand-in"):
        assert not (service_folder / name).exists()

    again = Started(service_folder, "up", "--port", str(port), "--workers", "1")
    again.wait_for("Ctrl-C stops everything")
    assert key_file.read_text().strip() == key
    assert password_file.read_text().strip() == password
    with Client(f"http://127.0.0.1:{port}", key) as client:
        assert client.job(job["id"])["outcome"] == "verified"
    assert again.end(signal.SIGINT) == 130
    assert running_for(service_folder) == []


def _commands_of_a_host_find_it(folder: Path) -> None:
    settings = {"PATCHMILL_DATA_DIR": str(folder)}
    for name in ("local-database", "local-stand-in"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    assert "calls are paused" in run_process("pause", settings=settings).talk
    assert "calls go on" in run_process("resume", settings=settings).talk
    assert "local" in run_process("keys", "list", settings=settings).data
    assert "admin" in run_process("users", "list", settings=settings).data
    doctor = run_process("doctor", "--gateway", settings=settings).data
    assert "ok   postgres" in doctor
    assert "accepts the key" in doctor
    assert "is not kept" in doctor
    elsewhere = run_process("pause", settings=settings | {"PATCHMILL_SERVER_URL": "http://127.0.0.1:9"})
    assert (elsewhere.code, "http://127.0.0.1:9 does not answer" in elsewhere.talk) == (3, True)


def _signs_in(port: int, password: str) -> bool:
    url = f"http://127.0.0.1:{port}"
    answer = httpx.post(
        f"{url}/sign-in", data={"name": "admin", "password": password}, headers={"Origin": url}
    )
    return (answer.status_code, answer.headers["location"]) == (303, "/")


def _submit_as_told(client: Client, talk: str, url: str, key_file: Path) -> str:
    """Submit exactly what the printed command submits; give the job's id."""
    told = CURL.search(talk)
    assert told is not None
    words = shlex.split(told[1])
    assert f"Authorization: Bearer $(cat {key_file})" in words
    assert words[words.index("-sS") + 1] == f"{url}/v1/jobs"
    return str(client.submit(json.loads(words[words.index("-d") + 1]))["id"])


@pytest.mark.slow
@pytest.mark.fault
def test_a_process_that_dies_is_named_and_everything_is_stopped(service_folder: Path) -> None:
    started = Started(service_folder, "up", "--port", str(free_port()), "--workers", "1")
    started.wait_for("Ctrl-C stops everything")
    workers = [each for each in running_for(service_folder) if each.cmdline()[-2:] == ["-m", "worker"]]
    assert len(workers) == 1

    workers[0].kill()

    assert started.process.wait(timeout=60) == 3
    assert "patchmill: worker-1 was ended by SIGKILL" in started.talk().splitlines()[-1]
    assert running_for(service_folder) == []


@pytest.mark.slow
@pytest.mark.fault
def test_killing_up_itself_leaves_nothing_running(service_folder: Path) -> None:
    port = str(free_port())
    started = Started(service_folder, "up", "--port", port, "--workers", "1")
    started.wait_for("Ctrl-C stops everything")

    started.end(signal.SIGKILL)

    # The next one waits until what the first had started is gone.
    again = Started(service_folder, "up", "--port", port, "--workers", "1")
    again.wait_for("Ctrl-C stops everything")
    assert again.end(signal.SIGTERM) == 0
    assert running_for(service_folder) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    started = Started(
        tmp_path,
        "up",
        "--port",
        str(free_port()),
        settings={"PATCHMILL_DATA_DIR": str(tmp_path / "file" / "x")},
    )

    assert started.process.wait(timeout=60) == 2
    assert "PATCHMILL_DATA_DIR" in started.talk().splitlines()[-1]


def test_the_real_gateway_needs_a_key(tmp_path: Path) -> None:
    started = Started(tmp_path, "up", "--no-stand-in")

    assert started.process.wait(timeout=60) == 2
    assert "BYTESPIKE_API_KEY" in started.talk().splitlines()[-1]
