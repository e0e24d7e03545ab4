"""A small project of a user, with problems in it, and the command run there against a running service."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import ruff

from tests.support.command import Command, Done
from tests.support.stack import Stack

FILES = {
    "src/app.py": (
        "import os\n\n\ndef add(item, items=[]):\n    items.append(item)\n    return items\n\n\n"
        "def same(value):\n    return value == None\n"
    ),
    "src/clean.py": '"""Nothing to mend here."""\n',
    "src/näme.py": "import sys\nimport json\n\nprint(json)\n",
}
SELECT = "F401,B006,E711"
FINDINGS = 4


class Project:
    """A folder with files in it, a git repository, and what a user does there."""

    def __init__(self, folder: Path, patchmill: Command, service: Stack) -> None:
        self.folder = folder
        self._patchmill = patchmill
        self.settings = {"PATCHMILL_SERVER_URL": service.api_url, "PATCHMILL_SERVER_KEY": service.key}
        for path, content in FILES.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(content, encoding="utf-8")
        self.git("init", "--quiet")

    def run(self, *words: str, settings: Mapping[str, str] | None = None) -> Done:
        """Run the command there, in this process."""
        return self._patchmill(*words, settings={**self.settings, **(settings or {})})

    def git(self, *words: str, entering: str = "") -> subprocess.CompletedProcess[str]:
        """Run git there."""
        return subprocess.run(
            ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *words],  # noqa: S607 - a stated need
            cwd=self.folder,
            input=entering,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )

    def lint(self, form: str = "sarif") -> str:
        """Run ruff as a user would, and give its report."""
        return subprocess.run(
            [
                ruff.find_ruff_bin(),
                "check",
                "--isolated",
                "--no-cache",
                "--select",
                SELECT,
                "--output-format",
                form,
                ".",
            ],
            cwd=self.folder,
            capture_output=True,
            encoding="utf-8",
            check=False,
        ).stdout

    def report(self, form: str = "sarif") -> str:
        """Write ruff's report to a file outside of the project, and give its name."""
        file = self.folder.parent / f"report.{form}"
        file.write_text(self.lint(form), encoding="utf-8")
        return str(file)

    def contents(self) -> dict[str, str]:
        """Give what each file holds."""
        return {path: (self.folder / path).read_bytes().decode("utf-8") for path in FILES}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patchmill: Command, service: Stack) -> Project:
    """Give a project; the test's current folder is its root."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return Project(folder, patchmill, service)
