import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVICES = {
    "PATCHMILL_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    "PATCHMILL_REDIS_URL": "redis://127.0.0.1:1/0",
}


def run_worker(**settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "worker"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({}, "PATCHMILL_DATABASE_URL and PATCHMILL_REDIS_URL must be set"),
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
    settings: dict[str, str], sentence: str
) -> None:
    ended = run_worker(**settings)

    assert ended.returncode == 2
    assert sentence in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
