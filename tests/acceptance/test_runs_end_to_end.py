import json
import subprocess
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruff import find_ruff_bin

from patchmill.cli.example_jobs import TO_ANNOTATE, TO_FIX, write_files
from tests.support.stack import Stack, until

pytestmark = pytest.mark.timeout(240)

SELECT = ["E", "F", "W", "B", "C4", "SIM", "UP"]
CHECKERS = {"ruff": {"target-version": "py311", "line-length": 110, "select": SELECT}}


@pytest.fixture(autouse=True)
def plain_stand_in(service: Stack) -> Iterator[None]:
    service.behave()
    yield
    service.release()
    service.behave()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Five files with real findings; a comment makes each of them new to the service."""
    folder = tmp_path / "checkout"
    write_files(folder)
    mark = f"# {uuid.uuid4()}\n"
    for path in (*TO_FIX, *TO_ANNOTATE):
        with (folder / path).open("a", encoding="utf-8", newline="") as file:
            file.write(mark)
    return folder


def lint(folder: Path, form: str) -> str:
    command = [find_ruff_bin(), "check", "--isolated", "--no-cache", "--target-version", "py311"]
    options = ["--line-length", "110", "--select", ",".join(SELECT), "--output-format", form]
    done = subprocess.run([*command, *options, "."], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode in {0, 1}, done.stderr
    return done.stdout


def found(folder: Path) -> Counter[tuple[str, str]]:
    """Count what ruff finds, by file and rule."""
    return Counter(
        (Path(one["filename"]).relative_to(folder).as_posix(), one["code"])
        for one in json.loads(lint(folder, "json"))
    )


def request(folder: Path, form: str, **more: Any) -> dict[str, Any]:
    output = {"ruff": "json"}.get(form, form)
    return {
        "kind": "fix",
        "reports": [{"format": form, "content": lint(folder, output)}],
        "files": [
            {"path": path, "content": (folder / path).read_bytes().decode()}
            for path in (*TO_FIX, *TO_ANNOTATE)
        ],
        "checkers": CHECKERS,
        **more,
    }


def submit(service: Stack, body: dict[str, Any]) -> str:
    with service.http() as http:
        answer = http.post("/v1/runs", json=body)
    assert answer.status_code == 202, answer.text
    identity: str = answer.json()["id"]
    return identity


def ended(service: Stack, run: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        with service.http() as http:
            document: dict[str, Any] = http.get(f"/v1/runs/{run}", params={"wait": "20"}).json()
        return document if document["finished_at"] else None

    document: dict[str, Any] = until(look, f"{run} ended", deadline_s=90)
    return document


def apply(patch: str, folder: Path) -> None:
    for arguments in (["--check"], []):
        subprocess.run(
            ["git", "apply", *arguments],  # noqa: S607 - git is a stated need
            cwd=folder,
            input=patch.encode(),
            check=True,
            env={"PATH": "/usr/bin:/bin", "GIT_CEILING_DIRECTORIES": str(folder.parent)},
        )


@pytest.mark.parametrize("form", ["sarif", "ruff", "rdjson"])
def test_a_report_goes_in_and_its_patch_makes_the_files_clean_of_what_it_claims(
    service: Stack, checkout: Path, form: str
) -> None:
    before = found(checkout)

    run = submit(service, request(checkout, form))
    document = ended(service, run)
    with service.http() as http:
        patch = http.get(f"/v1/runs/{run}/suggestions", params={"format": "patch"}).text
        offered = http.get(f"/v1/runs/{run}/suggestions").json()["data"]
        jobs = http.get("/v1/jobs", params={"run": run}).json()["data"]
    apply(patch, checkout)
    after = found(checkout)

    counts = document["findings"]
    assert (document["state"], document["outcome"]) == ("finished", "partial")
    assert document["jobs"]["succeeded"] == document["jobs"]["total"] == len(jobs) >= 4
    assert counts["total"] == before.total() == counts["verified"] + counts["unresolved"]
    assert counts["verified"] >= 25
    assert {one["path"] for one in offered} == {job["file"]["path"] for job in jobs if job["suggestions"]}
    verified = Counter(
        (job["file"]["path"], finding["rule"])
        for job in jobs
        for finding in job["findings"]
        if finding["status"] == "verified"
    )
    # A rule that a file's report does not name is not watched there, and may come with a mended line.
    assert Counter({place: number for place, number in after.items() if place in before}) == before - verified
    spent = sum(job["usage"]["input_tokens"] for job in jobs)
    assert document["usage"]["input_tokens"] == spent > 0
    assert document["usage"]["calls"] == sum(job["usage"]["calls"] for job in jobs)


def test_ruffs_own_report_lets_its_safe_fixes_mend_for_free(service: Stack, checkout: Path) -> None:
    run = submit(service, request(checkout, "ruff"))
    ended(service, run)

    with service.http() as http:
        offered = http.get(f"/v1/runs/{run}/suggestions").json()["data"]

    assert {(one["source"], one["safety"]) for one in offered} >= {("tool", "safe"), ("stand-in", "unsafe")}


def test_a_run_is_cancelled_while_its_jobs_are_at_the_gateway(service: Stack, checkout: Path) -> None:
    service.behave(faults=[{"fault": "hold", "times": 50}])
    run = submit(service, request(checkout, "sarif"))
    until(lambda: service.truth()["in_flight"] >= 1, "a call on the wire")

    with service.http() as http:
        asked = http.post(f"/v1/runs/{run}/cancel").json()
    service.behave()  # so that a call that is still on its way is not held
    service.release()
    document = ended(service, run)
    with service.http() as http:
        jobs = http.get("/v1/jobs", params={"run": run}).json()["data"]

    assert (asked["state"], asked["finished_at"]) == ("running", None)
    assert asked["jobs"]["running"] >= 1
    assert (document["state"], document["outcome"]) == ("cancelled", None)
    assert {job["state"] for job in jobs} == {"cancelled"}
    assert document["findings"]["unresolved"] == document["findings"]["total"]
