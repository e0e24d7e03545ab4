"""The layout of a file in every language: a prompt shows of it the finding, what encloses it, and imports."""

from dataclasses import replace

import pytest

from patchmill.call.excerpts import MARGIN_LINES, Extent, excerpts
from patchmill.edit.span import split_lines
from patchmill.job.record import Finding, KindName, Task
from patchmill.kinds.languages import LANGUAGES
from worker.stages import layout_of

# Of each language: an import if it has any, and a definition with TARGET in it.
PROGRAMS = {
    "python": ("import os\n", "class Thing(Base):\n    kind = 1\n\n    def act(self):\n        TARGET()\n"),
    "javascript": ("import fs from 'fs';\n", "class Thing {\n  act() {\n    TARGET();\n  }\n}\n"),
    "typescript": ("import fs from 'fs';\n", "class Thing {\n  act(): void {\n    TARGET();\n  }\n}\n"),
    "tsx": ("import React from 'react';\n", "function Thing() {\n  return <p>{TARGET()}</p>;\n}\n"),
    "go": ('package a\n\nimport "os"\n', "func act() {\n\tTARGET()\n}\n"),
    "rust": ("use std::fs;\n", "impl Thing {\n    fn act() {\n        TARGET();\n    }\n}\n"),
    "java": ("import java.util.List;\n", "class Thing {\n  void act() {\n    TARGET();\n  }\n}\n"),
    "c": ("#include <stdio.h>\n", "void act(void) {\n  TARGET();\n}\n"),
    "cpp": ("#include <vector>\n", "void act() {\n  TARGET();\n}\n"),
    "csharp": ("using System;\n", "class Thing {\n  void Act() {\n    TARGET();\n  }\n}\n"),
    "ruby": ("require 'set'\n", "class Thing\n  def act\n    TARGET()\n  end\nend\n"),
    "php": ("<?php\nuse A\\B;\n", "class Thing {\n  function act() {\n    TARGET();\n  }\n}\n"),
    "bash": ("source ./a.sh\n", "act() {\n  TARGET\n}\n"),
    "kotlin": ("import a.b\n", "class Thing {\n  fun act() {\n    TARGET()\n  }\n}\n"),
    "swift": ("import Foundation\n", "class Thing {\n  func act() {\n    TARGET()\n  }\n}\n"),
    "dockerfile": ("", "RUN TARGET\n"),
    "json": ("", '{\n  "a": {\n    "b": "TARGET"\n  }\n}\n'),
    "yaml": ("", "a:\n  b:\n    - TARGET\n"),
    "toml": ("", '[a]\nb = "TARGET"\n'),
    "css": ("", ".a {\n  color: TARGET;\n}\n"),
    "html": ("", "<div>\n  <p>TARGET</p>\n</div>\n"),
}
# What stands between import and definition in a long file, a line each, by language.
FILLER = {
    "python": "filler = 1\n",
    "javascript": "filler();\n",
    "typescript": "filler();\n",
    "tsx": "filler();\n",
    "go": "var filler = 1\n",
    "rust": "const FILLER: i32 = 1;\n",
    "java": "// filler\n",
    "c": "int filler;\n",
    "cpp": "int filler;\n",
    "csharp": "// filler\n",
    "ruby": "filler\n",
    "php": "filler();\n",
    "bash": "filler\n",
    "kotlin": "val filler = 1\n",
    "swift": "let filler = 1\n",
    "dockerfile": "RUN filler\n",
    "yaml": "filler: 1\n",
    "toml": "# filler\n",
    "css": ".filler { color: red; }\n",
    "html": "<p>filler</p>\n",
}
WITHOUT_GRAMMAR = {"dockerfile"}  # what is around a finding is told by indentation
# Their imports are no statements of the grammar, so that they are not told apart.
WITHOUT_IMPORTS = {"dockerfile", "c", "cpp", "bash", "json", "yaml", "toml", "css", "html"}


def task(language: str) -> Task:
    imports, program = PROGRAMS[language]
    source = imports + FILLER.get(language, "\n") * 60 + program + FILLER.get(language, "\n") * 60
    line = source[: source.index("TARGET")].count("\n") + 1
    found = Finding(
        index=0, tool="t", rule="r", message="m", severity="warning", start_line=line, end_line=line
    )
    return Task(kind=KindName.FIX, path="a", language=language, source=source, findings=(found,))


def test_every_language_is_here() -> None:
    assert set(PROGRAMS) == set(LANGUAGES)


@pytest.mark.parametrize("language", PROGRAMS)
def test_a_finding_is_held_by_its_definition_and_the_imports_are_found(language: str) -> None:
    asked = task(language)
    layout = layout_of(asked)
    assert (layout is None) == (language in WITHOUT_GRAMMAR)
    lines = split_lines(asked.source)
    pieces = excerpts(lines, asked, Extent.EXCERPTS, layout)
    shown = [line for first, last in pieces for line in lines[first - 1 : last]]
    imports, program = PROGRAMS[language]

    # Of what encloses a method or an entry the header is shown, and not how it ends.
    assert {line for line in split_lines(program) if line.strip() not in {"}", "end", "</div>"}} <= set(shown)
    assert sum("filler" in line.lower() for line in shown) <= 2 * MARGIN_LINES
    if language not in WITHOUT_IMPORTS:
        assert split_lines(imports)[-1] in shown


def test_a_method_is_shown_below_the_header_of_its_class() -> None:
    asked = task("python")
    layout = layout_of(asked)
    assert layout is not None
    (holder,) = layout.holders
    lines = asked.source.splitlines()

    assert lines[holder.block[0] - 1] == "    def act(self):"
    assert lines[holder.headers[0][0] - 1] == "class Thing(Base):"


def test_what_cannot_be_read_has_no_layout() -> None:
    assert layout_of(replace(task("python"), source="def (\n" * 100)) is None
    assert layout_of(replace(task("python"), language="cobol")) is None
