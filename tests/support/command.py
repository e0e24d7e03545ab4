"""The command line as users run it, without this machine's settings: as a process, or quickly in this one."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from patchmill.cli.main import run

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 150
_FOREIGN = ("PATCHMILL_", "BYTESPIKE_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How a command ended, and what it printed."""

    code: int
    data: str
    talk: str


class Command(Protocol):
    """Runs `patchmill` with these words and settings."""

    def __call__(self, *words: str, settings: Mapping[str, str] = ...) -> Done:
        """Run it to its end."""
        ...


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Give this process's environment, with these settings and no other of Patchmill's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return {**kept, "PYTHONPATH": str(ROOT), **settings}


def arguments(*words: str) -> list[str]:
    """Give what starts the command as a process."""
    return [sys.executable, "-m", "patchmill.cli", *words]


def run_process(
    *words: str,
    settings: Mapping[str, str] | None = None,
    folder: Path | None = None,
    entering: str = "",
) -> Done:
    """Run the command as a process of its own, in a folder, with this text on its standard input."""
    done = subprocess.run(
        arguments(*words),
        env=environment(settings or {}),
        cwd=folder,
        input=entering,
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT_S,
        check=False,
    )
    return Done(code=done.returncode, data=done.stdout, talk=done.stderr)


@pytest.fixture
def patchmill(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Give what runs the command in this process: the same function, without starting another Python."""

    def command(*words: str, settings: Mapping[str, str] | None = None) -> Done:
        with monkeypatch.context() as patch:
            for name in [name for name in os.environ if name.startswith(_FOREIGN)]:
                patch.delenv(name)
            for name, value in (settings or {}).items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["patchmill", *words])
            capsys.readouterr()
            code = run()
        printed = capsys.readouterr()
        return Done(code=code, data=printed.out, talk=printed.err)

    return command
