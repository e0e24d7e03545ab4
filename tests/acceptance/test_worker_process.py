import os
import subprocess
import sys
from pathlib import Path

import pytest

from worker.__main__ import main

ROOT = Path(__file__).parents[2]
SERVICES = {
    "PATCHMILL_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    "PATCHMILL_REDIS_URL": "redis://127.0.0.1:1/0",
}


def test_a_worker_process_without_settings_ends_with_one_sentence() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "worker"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 2
    assert "PATCHMILL_DATABASE_URL and PATCHMILL_REDIS_URL must be set" in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"PATCHMILL_REDIS_URL": SERVICES["PATCHMILL_REDIS_URL"]}, "PATCHMILL_DATABASE_URL must be set"),
        (SERVICES, "PATCHMILL_GATEWAY_API_KEY (or BYTESPIKE_API_KEY) must be set"),
        (SERVICES | {"PATCHMILL_DATABASE_URL": "mysql://h/d", "BYTESPIKE_API_KEY": "k"}, "needs PostgreSQL"),
        (SERVICES | {"PATCHMILL_REDIS_URL": "redis://redis.example/0"}, "PATCHMILL_REDIS_TRUSTED_NETWORK"),
        (SERVICES | {"PATCHMILL_GATEWAY_CONCURRENCY": "none"}, "PATCHMILL_GATEWAY_CONCURRENCY"),
        (SERVICES | {"PATCHMILL_UNKNOWN_POLICY": "maybe"}, "PATCHMILL_UNKNOWN_POLICY"),
        (SERVICES | {"BYTESPIKE_API_KEY": "k", "PATCHMILL_GATEWAY_URL": "ftp://x"}, "http"),
    ],
)
def test_a_worker_that_cannot_work_exits_2_with_one_sentence_that_helps(
    settings: dict[str, str],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in [name for name in os.environ if name.startswith(("PATCHMILL_", "BYTESPIKE_"))]:
        monkeypatch.delenv(name)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    assert main() == 2

    said = capsys.readouterr().err
    assert sentence in said
    assert len(said.strip().splitlines()) == 1
