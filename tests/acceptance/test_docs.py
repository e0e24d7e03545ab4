import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import ROOT, environment
from tests.support.project import Project
from tests.support.stack import Stack

DOCS = ROOT / "docs"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TRY = "Try it without a server"
HOST = "Run the service"
MONEY = "Limit what is spent"
SECTIONS = (TRY, "Which server", "Mend files", "In CI", "Later", HOST, MONEY)
PAGE = "export function f() {\n  debugger;\n  return 1;\n}\n"
APP = "import os\n\n\ndef collect(item, into=[]):\n    into.append(item)\n    return into\n"


def blocks(page: str, language: str, heading: str | None = None) -> list[str]:
    """Give the blocks of a page in one language, or those of one of its sections."""
    text = (DOCS / page).read_text(encoding="utf-8")
    if heading is not None:
        text = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return [content for name, content in FENCE.findall(text) if name == language]


def run_section(
    folder: Path, heading: str, settings: Mapping[str, str], *, change: str = "true"
) -> subprocess.CompletedProcess[str]:
    """Run the commands of a section in a folder that was committed, and changed afterwards."""
    lines = [line for block in blocks("cli.md", "console", heading) for line in block.splitlines()]
    assert lines
    assert all(line.startswith("$ ") for line in lines)
    script = "\n".join(
        [
            "set -e",
            "git init --quiet . && git add . && git -c user.name=x -c user.email=x@example.org commit -qm x",
            change,
            *(line.removeprefix("$ ") for line in lines),
        ]
    )
    return subprocess.run(
        ["bash", "-c", script],  # noqa: S607 - the page is written for it
        cwd=folder,
        env={
            **environment(settings),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "RUFF_NO_CACHE": "true",
        },
        capture_output=True,
        encoding="utf-8",
        timeout=160,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("heading", SECTIONS)
def test_every_command_of_a_section_about_the_command_line_works_as_written(
    project: Project, service: Stack, tmp_path: Path, heading: str
) -> None:
    folder = tmp_path / "documented"
    folder.mkdir()
    (folder / "app.py").write_text(APP)
    if heading == TRY:
        (folder / "page.ts").write_text(PAGE)
    if heading == "Later":
        assert project.run("suggest", "--report", project.report()).code == 0

    settings = {**service.environment(), **project.settings} if heading in {HOST, MONEY} else project.settings

    done = run_section(folder, heading, settings, change="echo 'import json' >> app.py")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing to mend" not in done.stderr
    assert ("import os" in (folder / "app.py").read_text()) is (heading != "Mend files")


def test_the_pipes_work_in_a_project_without_findings(tmp_path: Path) -> None:
    folder = tmp_path / "clean"
    folder.mkdir()
    (folder / "app.py").write_text("print(1)\n")
    (folder / "page.ts").write_text("export const one = 1;\n")

    done = run_section(folder, TRY, {})

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr.count("nothing to mend") == len(blocks("cli.md", "console", TRY)[0].splitlines()) + 1
    assert not (tmp_path / "fixes.patch").read_bytes()


def test_the_first_page_shows_the_same_pipes() -> None:
    assert blocks("cli.md", "console", TRY)[0] in blocks("../README.md", "console")


def test_no_command_of_the_page_about_the_command_line_is_left_out() -> None:
    text = (DOCS / "cli.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## (.*)$", text, re.MULTILINE)

    in_sections = [block for heading in sections for block in blocks("cli.md", "console", heading)]
    assert in_sections == blocks("cli.md", "console")
    assert {heading for heading in sections if blocks("cli.md", "console", heading)} == set(SECTIONS)


def test_every_example_of_the_page_about_the_client_works_in_order(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in os.environ if name.startswith("PATCHMILL_")]:
        monkeypatch.delenv(name)
    for name, value in project.settings.items():
        monkeypatch.setenv(name, value)
    names: dict[str, Any] = {}
    for block in blocks("client.md", "python"):
        exec(compile(block, "docs/client.md", "exec"), names)  # noqa: S102 - our own page

    printed = capsys.readouterr().out
    assert "+def collect(item, into=None):" in printed
    assert "verified {'total': 1, 'verified': 1" in printed
    assert "run.state None" in printed
    assert "422 invalid_field ['/findings']" in printed


@pytest.mark.parametrize("page", ["cli.md", "client.md"])
def test_a_page_names_only_commands_that_exist(page: str) -> None:
    from patchmill.cli.main import COMMANDS  # noqa: PLC0415 - beside its only use

    text = (DOCS / page).read_text(encoding="utf-8")
    named = set(re.findall(r"patchmill ([a-z]+)\b(?![.\w])", text))

    assert named - {"speaks"} <= set(COMMANDS)
