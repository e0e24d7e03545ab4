"""Reports by the further checkers, through the whole service: right, wrong and silencing answers."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.requests import unique
from tests.support.stack import Stack, until

pytestmark = pytest.mark.timeout(240)

# The mark stands for a number that no other test has, so that nothing is served from earlier work.
SCRIPT = '#!/bin/bash\n# MARK\nfind_all() {\n  ls $1\n}\nfind_all "$@"\n'
DOCKERFILE = """\
FROM debian:12
# MARK
RUN apt-get update && \\
    apt-get install --no-install-recommends curl=1 && \\
    rm -rf /var/lib/apt/lists/*
"""
YAML = "---\n# MARK\nports: [80,443]\nhosts:\n  - a\n"
WORKFLOW = """\
# MARK
on: issues
permissions: {}
jobs:
  greet:
    name: Greet
    runs-on: ubuntu-latest
    steps:
      - name: Say it
        run: echo "${{ github.event.issue.title }}"
"""
SAFE_STEP = """\
        run: echo "$TITLE"
        env:
          TITLE: ${{ github.event.issue.title }}
"""
UNSAFE = '        run: echo "${{ github.event.issue.title }}"\n'
STYLE = "/* MARK */\na {\n  colr: red;\n}\n"
SETTINGS = '{\n  "mark": MARK,\n  "port": 80,\n  "port": 443\n}\n'


@dataclass(frozen=True, kw_only=True)
class Case:
    """A file in which a tool finds one thing, and three answers: one line for another."""

    path: str
    source: str
    old: str
    right: str
    wrong: str
    silencing: str
    silenced: str = "finding_gone"  # the check that fails beside the one of suppressions


CASES = {
    "shellcheck": Case(
        path="bin/find.sh",
        source=SCRIPT,
        old="  ls $1\n",
        right='  ls "$1"\n',
        wrong="  ls -l $1\n",
        silencing="  # shellcheck disable=SC2086\n  ls $1\n",
    ),
    "hadolint": Case(
        path="docker/Dockerfile",
        source=DOCKERFILE,
        old="    apt-get install --no-install-recommends curl=1 && \\\n",
        right="    apt-get install -y --no-install-recommends curl=1 && \\\n",
        wrong="    apt-get install --no-install-recommends curl=2 && \\\n",
        silencing="    # hadolint ignore=DL3014\n    apt-get install --no-install-recommends curl=1 && \\\n",
    ),
    "yamllint": Case(
        path="deploy/app.yaml",
        source=YAML,
        old="ports: [80,443]\n",
        right="ports: [80, 443]\n",
        wrong="ports: [80,444]\n",
        silencing="ports: [80,443]  # yamllint disable-line rule:commas\n",
    ),
    "zizmor": Case(
        path=".github/workflows/greet.yml",
        source=WORKFLOW,
        old=UNSAFE,
        right=SAFE_STEP,
        wrong='        run: echo "hello ${{ github.event.issue.title }}"\n',
        silencing=UNSAFE.rstrip() + " # zizmor: ignore[template-injection]\n",
    ),
    "biome css": Case(
        path="web/app.css",
        source=STYLE,
        old="  colr: red;\n",
        right="  color: red;\n",
        wrong="  colour: red;\n",
        silencing="  /* biome-ignore lint/correctness/noUnknownProperty: x */\n  colr: red;\n",
    ),
    "biome json": Case(
        path="web/app.json",
        source=SETTINGS,
        old='  "port": 80,\n',
        right="",
        wrong='  "port": 81,\n',
        silencing='  // biome-ignore lint/suspicious/noDuplicateObjectKeys: x\n  "port": 80,\n',
        silenced="parses",  # JSON has no comments
    ),
}


def _said(folder: Path, tool: str, *arguments: str) -> str:
    program = shutil.which(tool, path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip(f"{tool} is not installed")
    done = subprocess.run(
        [program, *arguments], cwd=folder, capture_output=True, encoding="utf-8", check=False, timeout=60
    )
    assert done.stdout, done.stderr
    return done.stdout


def _rdjson(tool: str, found: list[dict[str, Any]]) -> tuple[str, str]:
    """What reviewdog makes of a tool's output."""
    diagnostics = [
        {
            "message": one["message"],
            "location": {
                "path": one["path"],
                "range": {"start": {"line": one["line"], "column": one["column"]}},
            },
            "code": {"value": one["rule"]},
        }
        for one in found
    ]
    return "rdjson", json.dumps({"source": {"name": tool}, "diagnostics": diagnostics})


def report(tool: str, folder: Path, path: str) -> tuple[str, str]:
    """The tool's own report, or what is usually made of it, as a format and its content."""
    if tool == "shellcheck":
        comments = json.loads(_said(folder, "shellcheck", "--format=json1", path))["comments"]
        found = [one | {"path": one["file"], "rule": f"SC{one['code']}"} for one in comments]
        return _rdjson("shellcheck", found)
    if tool == "hadolint":
        return "sarif", _said(folder, "hadolint", "--format", "sarif", path)
    if tool == "yamllint":
        lines = _said(folder, "yamllint", "-f", "parsable", path).splitlines()
        pattern = r"(?P<path>[^:]+):(?P<line>\d+):(?P<column>\d+): \[\w+\] (?P<message>.*) \((?P<rule>.*)\)"
        matches = [match.groupdict() for line in lines if (match := re.fullmatch(pattern, line))]
        numbers = [{**one, "line": int(one["line"]), "column": int(one["column"])} for one in matches]
        return _rdjson("yamllint", numbers)
    if tool == "zizmor":
        return "sarif", _said(folder, "zizmor", "--offline", "--format=sarif", "--no-exit-codes", path)
    return "rdjson", _said(folder, "biome", "lint", "--reporter=rdjson", path)


@pytest.fixture(autouse=True)
def plain_stand_in(service: Stack) -> Iterator[None]:
    service.behave()
    yield
    service.behave()


def answers(service: Stack, old: str, new: str) -> None:
    """Let the model propose this for each call to come."""
    content = f"A title\n\nWhy.\n\n```\n<<<<<<< SEARCH\n{old}=======\n{new}>>>>>>> REPLACE\n```\n"
    service.behave(script=[{"match": None, "content": content, "times": 20}])


def submitted(service: Stack, folder: Path, name: str) -> dict[str, Any]:
    """The one job that comes of a real report on the case's file, when it has ended."""
    case = CASES[name]
    text = case.source.replace("MARK", str(unique()))
    file = folder / case.path
    file.parent.mkdir(parents=True)
    file.write_text(text, encoding="utf-8")
    form, content = report(name.split(maxsplit=1)[0], folder, case.path)
    body = {
        "kind": "fix",
        "reports": [{"format": form, "content": content}],
        "files": [{"path": case.path, "content": text}],
        "options": {"tool_fixes": False},
    }
    with service.http() as http:
        submitted = http.post("/v1/runs", json=body)
        assert submitted.status_code == 202, submitted.text
        run = submitted.json()["id"]
        until(lambda: http.get(f"/v1/runs/{run}").json()["state"] == "finished", "the run to end")
        (job,) = http.get("/v1/jobs", params={"run": run}).json()["data"]
    return service.ended(job["id"])


each_case = pytest.mark.parametrize("name", CASES)


@each_case
def test_a_right_answer_to_a_real_report_is_verified_with_its_evidence(
    service: Stack, tmp_path: Path, name: str
) -> None:
    case = CASES[name]
    answers(service, case.old, case.right)

    ended = submitted(service, tmp_path, name)

    assert (ended["state"], ended["outcome"]) == ("succeeded", "verified")
    (suggestion,) = ended["suggestions"]
    results = {check["check"]: check for check in suggestion["evidence"]}
    tool = name.split(maxsplit=1)[0]
    assert {check["result"] for name, check in results.items() if name != "no_new_import"} == {"passed"}
    assert tool in results["reproduced"]["detail"].lower()
    assert results["nothing_new"]["detail"].startswith(f"{tool} reports nothing new")


@each_case
def test_an_answer_that_mends_nothing_is_refused(service: Stack, tmp_path: Path, name: str) -> None:
    case = CASES[name]
    answers(service, case.old, case.wrong)

    ended = submitted(service, tmp_path, name)

    assert (ended["state"], ended["error"]["code"], ended["suggestions"]) == ("failed", "unverified", [])
    # Some wrong answers exchange what no finding asks for, too.
    assert {one["reason"] for one in ended["findings"]} <= {"finding_gone", "in_scope"}


@each_case
def test_an_answer_that_silences_the_checker_is_refused(service: Stack, tmp_path: Path, name: str) -> None:
    case = CASES[name]
    answers(service, case.old, case.silencing)

    ended = submitted(service, tmp_path, name)

    assert (ended["state"], ended["suggestions"]) == ("failed", [])
    refused = " ".join(ended["error"]["details"]["refused"])
    assert "no_suppression" in refused
    assert case.silenced in refused
