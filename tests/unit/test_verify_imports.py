from collections.abc import Sequence

import pytest

from patchmill.edit.span import Hunk, split_lines
from patchmill.job.record import Finding, FindingStatus
from patchmill.verify.evidence import CheckName, Result
from patchmill.verify.run import Verdict, verify_fix

PYTHON = """\
import os
import yaml.nodes
from .models import A


def g(x):
    return x == None, os, yaml, A
"""
SCRIPT = """\
import a from "a";
import { b } from "./b";
import c from "@scope/c/d";
export function f() {
  debugger;
  return [a, b, c];
}
"""


def verify(source: str, replacement: str, place: Sequence[str], line: int, **more: str) -> Verdict:
    language, path, tool, rule = place
    found = Finding(
        index=0,
        tool=tool,
        rule=rule,
        message=more.get("message", ""),
        severity="",
        start_line=line,
        end_line=line,
    )
    original = split_lines(source)[line - 1]
    return verify_fix(
        source=source,
        path=path,
        language=language,
        findings=[found],
        proposals=[Hunk(start_line=line, end_line=line, original=original, replacement=replacement)],
        settings={},
        scope=None,
        context=[more["context"]] if "context" in more else (),
    )


def python(lines: str, source: str = PYTHON, **more: str) -> Verdict:
    fix = "    return x is None, os, yaml, A\n"
    return verify(source, f"{lines}{fix}", ("python", "src/shop/app.py", "ruff", "E711"), 7, **more)


def script(lines: str, **more: str) -> Verdict:
    return verify(SCRIPT, lines, ("javascript", "src/app.js", "oxlint", "no-debugger"), 5, **more)


def refused(verdict: Verdict) -> list[CheckName]:
    assert verdict.groups == ()
    return [check.check for check in verdict.refusals[0].checks if check.result is Result.FAILED]


@pytest.mark.parametrize(
    "line",
    [
        "import evilpkg",
        "import requests as r",
        "from evilpkg.sub import name",
        "import os, evilpkg",
        '__import__("evilpkg")',
        'importlib.import_module("evilpkg")',
        "importlib.import_module(x)",
        "load = __import__",
        "load = importlib.import_module",
        "list(map(importlib.import_module, x))",
        'getattr(importlib, "import_module")("evilpkg")',
        'vars(importlib)["import_module"]("evilpkg")',
        'from importlib import import_module as load; load("evilpkg")',
        'import pkgutil; pkgutil.resolve_name("evilpkg:get")',
        'importlib.util.find_spec("evilpkg").loader.load_module()',
        'import zipimport; zipimport.zipimporter("a.zip").load_module("evilpkg")',
        "import\tevilpkg",
        "from \\\n        evilpkg import name",
        "x = 1; import evilpkg",
    ],
)
def test_a_package_that_the_project_does_not_show_is_refused_and_named(line: str) -> None:
    source = PYTHON.replace("import os\n", "import importlib, os\n")

    verdict = python(f"    {line}\n", source)

    assert CheckName.NO_NEW_IMPORT in refused(verdict)
    assert "no_new_import: imports " in verdict.feedback


@pytest.mark.parametrize(
    "line",
    [
        "import contextlib",
        "from collections.abc import Sequence",
        "import tomllib",
        "import yaml.events as events",
        "from yaml import nodes",
        "from .other import B",
        "from . import other",
        "import shop.other",
        '__import__("os")',
        'importlib.util.find_spec("evilpkg")',
    ],
)
def test_what_the_file_has_the_language_brings_or_the_project_is_may_be_imported(line: str) -> None:
    use = line.rsplit(" ", 1)[-1].partition(".")[0] if "import " in line else "x"

    verdict = python(
        f"    {line}\n    x = x or {use}\n", PYTHON.replace("import os\n", "import importlib, os\n")
    )

    assert verdict.findings == {0: (FindingStatus.VERIFIED, None)}


def test_a_relative_import_needs_a_file_that_has_one_or_another_file_that_was_submitted() -> None:
    source = PYTHON.replace("from .models import A", "A = 1        ")
    line = "    from .nope import B\n    x = x or B\n"

    assert refused(python(line, source)) == [CheckName.NO_NEW_IMPORT]
    assert python(line, source, context="src/shop/nope.py").findings[0] == (FindingStatus.VERIFIED, None)


def test_a_finding_may_ask_for_a_package_by_its_name() -> None:
    line = "    import numpy\n    x = x or numpy\n"

    assert refused(python(line)) == [CheckName.NO_NEW_IMPORT]
    assert python(line, message="numpy is not imported").findings[0] == (FindingStatus.VERIFIED, None)


def test_what_is_no_code_imports_nothing() -> None:
    assert (
        python('    # import evilpkg\n    x = x or "import evilpkg"\n').findings[0][0]
        is FindingStatus.VERIFIED
    )


def test_text_that_an_edit_makes_code_imports() -> None:
    source = 'NOTE = """\nimport evilpkg\n"""\n\n\n' + PYTHON.removeprefix("import os\n")
    edits = [
        Hunk(start_line=1, end_line=1, original='NOTE = """\n', replacement="import os\n"),
        Hunk(start_line=3, end_line=3, original='"""\n', replacement="evilpkg\n"),
    ]

    verdict = verify_fix(
        source=source,
        path="app.py",
        language="python",
        findings=[],
        proposals=edits,
        settings={},
        scope=None,
        instructed=True,
    )

    assert verdict.groups == ()
    checks = [check for refusal in verdict.refusals for check in refusal.checks]
    assert CheckName.NO_NEW_IMPORT in {one.check for one in checks if one.result is Result.FAILED}


@pytest.mark.parametrize(("instruction", "offered"), [("Fetch it with httpx.", True), ("Fetch it.", False)])
def test_what_an_instruction_names_may_be_imported(instruction: str, *, offered: bool) -> None:
    edit = Hunk(
        start_line=1, end_line=1, original="x = 1\n", replacement="import httpx\n\nx = httpx.get(1)\n"
    )

    verdict = verify_fix(
        source=edit.original,
        path="app.py",
        language="python",
        findings=[],
        proposals=[edit],
        settings={},
        scope=None,
        instruction=instruction,
        instructed=True,
    )

    assert bool(verdict.groups) is offered


@pytest.mark.parametrize(
    "line",
    [
        'require("evil-pkg");',
        'import("evil");',
        "import(a);",
        "require(`evil`);",
        'require("@scope/evil");',
        'import("../evil" + a)',
        'const load = require; load("evil");',
        'module.require("evil");',
        '(0, require)("evil");',
        'require.call(null, "evil");',
        'require["call"](null, "evil");',
        '["evil"].map(require);',
        'process.mainModule.require("evil");',
        'require("module").createRequire(__filename)("evil");',
    ],
)
def test_a_package_that_a_script_does_not_show_is_refused(line: str) -> None:
    assert CheckName.NO_NEW_IMPORT in refused(script(f"  {line}\n"))


@pytest.mark.parametrize(
    "line",
    [
        'console.log(typeof require, require.main === module, require.resolve("evil"));',
        'import("a/deep");',
        'import("node:fs");',
        'import("./other");',
        'import("@scope/c");',
    ],
)
def test_what_a_script_shows_or_node_brings_may_be_imported(line: str) -> None:
    assert script(f"  {line}\n").findings[0] == (FindingStatus.VERIFIED, None)


@pytest.mark.parametrize(
    ("language", "source", "line", "bad", "good"),
    [
        ("go", 'package main\n\nimport "fmt"\n', 3, 'import "evil.com/x"\n', 'import "net/http"\n'),
        ("rust", "use std::fs;\n", 1, "use evil::{a};\n", "use std::io;\n"),
        ("java", "import java.util.List;\n", 1, "import com.evil.X;\n", "import java.util.Map;\n"),
        ("ruby", 'require "json"\n', 1, 'require "evil"\n', 'require "time"\n'),
        ("csharp", "using System;\n", 1, "using Evil.X;\n", "using System.Text;\n"),
        ("kotlin", "import java.util.List\n", 1, "import com.evil.X\n", "import java.util.Map\n"),
        ("php", "<?php\nuse A\\B;\n", 2, "use Evil\\X;\n", "use A\\C;\n"),
        ("swift", "import Foundation\n", 1, "import Evil\n", "import Dispatch\n"),
    ],
)
def test_every_language_with_packages_is_read(
    language: str, source: str, line: int, bad: str, good: str
) -> None:
    place = (language, "a", "semgrep", "x")

    assert refused(verify(source, bad, place, line)) == [CheckName.NO_NEW_IMPORT]
    assert [group.status for group in verify(source, good, place, line).groups] == [FindingStatus.UNCHECKED]


def test_of_python_that_cannot_be_parsed_the_lines_are_compared() -> None:
    source = 'print "a"\nimport os\nx = 1\n'
    place = ("python", "a.py", "semgrep", "x")
    broken = "def g(:\n    return 1\n"

    worse = verify(broken, "import evilpkg\ndef g():\n", ("python", "a.py", "ruff", "invalid-syntax"), 1)

    assert CheckName.NO_NEW_IMPORT in refused(verify(source, "import evilpkg\n", place, 3))
    assert CheckName.NO_NEW_IMPORT in refused(worse)
