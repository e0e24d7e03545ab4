import json
import os
import shutil
import signal
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import ruff

from tests.support.command import Done, run_process
from tests.support.processes import Started, running_for

LIMIT_S = 60  # alone on a machine it is under 25; here other tests run beside it
CHECKS = ("applies: passed", "parses: passed", "finding_gone: passed (ruff ", "same_behaviour: passed")


@pytest.mark.slow
def test_the_demos_patches_apply_and_their_findings_are_gone(tmp_path: Path) -> None:
    kept = tmp_path / "kept"

    # Settings of this machine, even senseless ones, do not matter.
    done = run_process("demo", "--keep", str(kept), settings={"PATCHMILL_DATABASE_URL": "postgresql://no/x"})

    assert done.code == 0, done.talk
    jobs = json.loads((kept / "jobs.json").read_text(encoding="utf-8"))
    assert {job["job"]["state"] for job in jobs} == {"succeeded"}
    assert {job["request"]["kind"] for job in jobs} == {"fix", "annotate"}
    for job in jobs:
        patched = apply(kept, job["patch"], tmp_path / Path(job["patch"]).stem)
        assert_gone(kept, patched, job)
    assert_told(done, jobs)


def apply(kept: Path, patch: str, copy: Path) -> Path:
    """Apply a kept patch to a copy of the kept files; give the copy."""
    shutil.copytree(kept, copy)
    for words in (["git", "init", "--quiet"], ["git", "apply", "--check", patch], ["git", "apply", patch]):
        done = subprocess.run(words, cwd=copy, capture_output=True, encoding="utf-8", check=False)
        assert done.returncode == 0, done.stderr
    return copy


def assert_gone(kept: Path, patched: Path, job: dict[str, Any]) -> None:
    """By a run of ruff that has nothing to do with Patchmill, exactly the verified findings are gone."""
    path = job["request"]["file"]["path"]
    verified = Counter(each["rule"] for each in job["job"]["findings"] if each["status"] == "verified")
    rules = {each["rule"] for each in job["job"]["findings"]} | {"E9", "F"}
    before, after = ruff_counts(kept, path, rules), ruff_counts(patched, path, rules)

    assert before - after == verified
    assert after - before == Counter()


def ruff_counts(folder: Path, path: str, rules: set[str]) -> Counter[str]:
    """Count what a plain run of ruff reports for these rules."""
    options = ["--select", ",".join(sorted(rules)), "--target-version", "py311", "--line-length", "110"]
    done = subprocess.run(
        [
            ruff.find_ruff_bin(),
            "check",
            "--isolated",
            "--no-cache",
            "--output-format",
            "json",
            *options,
            path,
        ],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    return Counter(each["code"] for each in json.loads(done.stdout))


def assert_told(done: Done, jobs: list[dict[str, Any]]) -> None:
    """The demo says what it did: honestly, with diffs, evidence, tokens and cost, and without colour."""
    assert "NOT a language model" in done.talk
    assert "made by the stand-in" in done.data
    assert "made by the tool" in done.data
    assert all(check in done.data for check in CHECKS)
    assert all(f"+++ b/{job['request']['file']['path']}" in done.data for job in jobs)
    cost = sum(float(job["job"]["usage"]["cost_usd"]) for job in jobs)
    assert cost > 0
    summary = done.data.partition("\nSummary\n")[2]
    assert f"jobs         {len(jobs)}: " in summary
    assert "with the real models" in summary
    assert "\x1b" not in done.data + done.talk
    wall_s = float(summary.partition("time ")[2].split()[0])
    assert wall_s < LIMIT_S


@pytest.mark.slow
@pytest.mark.parametrize(
    ("after", "number", "code"),
    [("starting Postgres", signal.SIGINT, 130), ("ready after", signal.SIGTERM, 0)],
)
def test_a_demo_that_is_broken_off_leaves_nothing(
    service_folder: Path, after: str, number: signal.Signals, code: int
) -> None:
    started = Started(service_folder, "demo", settings={"TMPDIR": str(service_folder)})
    started.wait_for(after)

    os.killpg(started.process.pid, number)  # as a terminal does

    assert started.process.wait(timeout=60) == code
    assert [each.name for each in service_folder.iterdir()] == ["talk-0"]
    assert running_for(service_folder) == []


def test_a_folder_with_something_in_it_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")

    done = run_process("demo", "--keep", str(tmp_path))

    assert done.code == 2
    assert "name a new one" in done.talk.splitlines()[-1]
    assert [each.name for each in tmp_path.iterdir()] == ["mine"]
