import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from api.main import main
from tests.support.stack import ROOT, until

DATABASE = "postgresql+psycopg://nobody@127.0.0.1:1/none"
REDIS = "redis://127.0.0.1:1"


def environment(folder: Path, **settings: str) -> dict[str, str]:
    named = {f"PATCHMILL_{name}": value for name, value in settings.items()}
    return {"PATH": os.environ["PATH"], "PATCHMILL_DATA_DIR": str(folder), **named}


def run(folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "api"],
        cwd=ROOT,
        env=environment(folder, **settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextlib.contextmanager
def serving(folder: Path, **settings: str) -> Iterator[tuple[subprocess.Popen[bytes], str, Path]]:
    log = folder / "api.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "api"],
            cwd=ROOT,
            env=environment(folder, PORT="0", **settings),
            stderr=output,
        )
    try:
        line = until(
            lambda: "listening" in log.read_text() and log.read_text().splitlines()[0], "a first line"
        )
        yield process, f"http://127.0.0.1:{json.loads(line)['port']}", log
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        pytest.param({}, "PATCHMILL_DATABASE_URL and PATCHMILL_REDIS_URL must be set", id="nothing set"),
        pytest.param({"DATABASE_URL": DATABASE}, "PATCHMILL_REDIS_URL must be set", id="no Redis"),
        pytest.param({"REDIS_URL": REDIS}, "PATCHMILL_DATABASE_URL must be set", id="no Postgres"),
        pytest.param(
            {"DATABASE_URL": "sqlite:///secret", "REDIS_URL": REDIS},
            "needs PostgreSQL",
            id="another database",
        ),
        pytest.param(
            {"DATABASE_URL": "not a secret url", "REDIS_URL": REDIS},
            "PATCHMILL_DATABASE_URL is not a URL",
            id="no URL",
        ),
        pytest.param(
            {"DATABASE_URL": DATABASE, "REDIS_URL": "redis://:secret@redis.example:6379"},
            "would be reached without TLS",
            id="an open Redis",
        ),
        pytest.param(
            {"DATABASE_URL": DATABASE, "REDIS_URL": REDIS, "PORT": "http"}, "PATCHMILL_PORT", id="no port"
        ),
        pytest.param(
            {"DATABASE_URL": DATABASE, "REDIS_URL": REDIS, "KEY_PEPPER_FILE": "/nowhere/pepper"},
            "PATCHMILL_KEY_PEPPER_FILE",
            id="no pepper",
        ),
    ],
)
def test_settings_that_cannot_work_are_answered_with_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    settings: dict[str, str],
    sentence: str,
) -> None:
    for name, value in environment(tmp_path, **settings).items():
        monkeypatch.setenv(name, value)

    assert main() == 2

    written = capsys.readouterr()
    assert written.out == ""
    assert sentence in written.err
    assert len(written.err.splitlines()) == 1
    assert "secret" not in written.err


def test_a_process_without_settings_ends_with_one_sentence(tmp_path: Path) -> None:
    ended = run(tmp_path)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(
        "patchmill api: PATCHMILL_DATABASE_URL and PATCHMILL_REDIS_URL must be set"
    )
    assert len(ended.stderr.splitlines()) == 1


def test_a_port_in_use_is_answered_with_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = environment(tmp_path, DATABASE_URL=DATABASE, REDIS_URL=REDIS, PORT=str(port))
        for name, value in settings.items():
            monkeypatch.setenv(name, value)

        assert main() == 3

    written = capsys.readouterr().err
    assert written.startswith(f"patchmill api: cannot listen on 127.0.0.1 port {port}: ")
    assert len(written.splitlines()) == 1


def test_a_served_request_is_logged_as_one_line_of_json(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    with serving(tmp_path, DATABASE_URL=database_url, REDIS_URL=redis_url) as (_, url, log):
        answer = httpx.get(f"{url}/readyz?unknown=1")
        until(lambda: len(log.read_text().splitlines()) >= 2, "a second line")

        line = json.loads(log.read_text().splitlines()[-1])

    assert answer.status_code == 422
    assert answer.headers["x-request-id"] == line["request_id"]
    assert (line["event"], line["level"], line["status"], line["path"]) == ("request", "info", 422, "/readyz")
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_the_process_in_order(
    database_url: str, redis_url: str, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    with serving(tmp_path, DATABASE_URL=database_url, REDIS_URL=redis_url) as (process, url, log):
        assert httpx.get(f"{url}/readyz").status_code == 200
        process.send_signal(number)

        assert process.wait(timeout=60) == code
        assert "Traceback" not in log.read_text()
