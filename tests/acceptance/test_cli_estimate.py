import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import run_process
from tests.support.project import FILES, Project
from tests.support.stack import Stack


def jobs_of(service: Stack) -> list[Any]:
    with service.http() as http:
        found: list[Any] = http.get("/v1/jobs").json()["data"]
    return found


@pytest.mark.parametrize(
    "words",
    [
        ("fix", "src", "--select", "F401,B006,E711", "--dry-run"),
        ("fix", "src", "--instruction", "say it shorter", "--dry-run"),
        ("annotate", "src", "--dry-run"),
    ],
)
def test_a_dry_run_says_what_each_file_may_cost_and_submits_nothing(
    project: Project, service: Stack, words: tuple[str, ...]
) -> None:
    before = jobs_of(service)

    text = project.run(*words)
    document = json.loads(project.run(*words, "--json").data)

    assert text.code == 0, text.talk
    lines = text.data.splitlines()
    assert lines[0].split() == ["calls", "tokens", "in", "tokens", "out", "US", "dollars"]
    paths = [line.split()[0] for line in lines[1:]]
    assert paths == [*(file["path"] for file in document["files"]), "all"]
    assert set(paths) - {"all"} <= set(FILES)
    assert all(line.endswith("fits") for line in lines[1:])
    assert "expected is judged by" in text.talk
    assert document["calls"]["expected"] == sum(file["calls"]["expected"] for file in document["files"])
    assert jobs_of(service) == before
    assert project.contents() == FILES


@pytest.mark.parametrize("command", ["estimate", "suggest"])
def test_reports_are_estimated_as_they_would_be_suggested(project: Project, command: str) -> None:
    words = [
        "--report",
        project.report(),
        "--max-cost-usd",
        "0.02",
        *(["--dry-run"] if command == "suggest" else []),
    ]

    done = project.run(command, *words, "--json")

    assert done.code == 0, done.talk
    found = json.loads(done.data)
    assert (found["jobs"], found["findings"]) == (2, 4)
    assert found["cost_usd"]["worst"] == "0.02"


def test_what_does_not_fit_ends_with_the_code_of_budgets_and_says_why(project: Project) -> None:
    report = project.report("json")

    poor = project.run("estimate", "--report", report, "--max-cost-usd", "0.00001")

    assert poor.code == 4
    assert "does not fit max_cost_usd" in poor.data
    assert "max_cost_usd is less than one call may cost; jobs fail" in poor.talk


def test_findings_that_are_skipped_are_counted(project: Project) -> None:
    project.git("add", ".")
    project.git("commit", "--quiet", "--message", "x")

    done = project.run("estimate", "--report", project.report(), "--since", "HEAD", "--filter", "added")

    assert done.code == 0, done.talk
    assert done.data.splitlines()[-1].split()[:2] == ["all", "0"]
    assert "findings that are skipped: 4 outside_diff" in done.talk


def test_nothing_to_estimate_needs_no_server(project: Project) -> None:
    done = project.run(
        "fix", "src/clean.py", "--dry-run", "--json", settings={"PATCHMILL_SERVER_URL": "http://127.0.0.1:1"}
    )

    assert done.code == 0, done.talk
    found = json.loads(done.data)
    assert (found["files"], found["calls"], found["fits"]) == ([], {"expected": 0, "worst": 0}, True)


@pytest.mark.parametrize("words", [("--apply",), ("--diff",), ("--format", "patch")])
def test_a_dry_run_has_nothing_to_apply(project: Project, words: tuple[str, ...]) -> None:
    done = project.run("fix", "src", "--dry-run", *words)

    assert done.code == 2
    assert "--dry-run submits nothing" in done.talk


def test_what_the_server_refuses_is_said_in_words_of_the_command_line(project: Project) -> None:
    done = project.run("estimate", "--report", project.report(), "--max-cost-usd", "much")

    assert done.code == 2
    assert "--max-cost-usd" in done.talk


@pytest.mark.slow
def test_a_local_service_estimates_where_there_is_no_server(project: Project, service_folder: Path) -> None:
    done = run_process(
        "fix",
        "src",
        "--select",
        "B006",
        "--dry-run",
        "--local",
        settings={"TMPDIR": str(service_folder)},
        folder=project.folder,
    )

    assert done.code == 0, done.talk
    assert done.data.splitlines()[-1].startswith("src/app.py")
    assert done.data.splitlines()[-1].endswith("fits")
