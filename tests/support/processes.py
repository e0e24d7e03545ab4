"""Commands that start processes: a folder for them, and what still runs for a folder."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.command import arguments, environment
from tests.support.own_folder import quick_folder
from tests.support.stack import until


@pytest.fixture
def service_folder() -> Iterator[Path]:
    """Give an empty folder that Postgres can live in."""
    folder = quick_folder("patchmill-services-")
    yield folder
    for process in running_for(folder):
        process.kill()
    shutil.rmtree(folder, ignore_errors=True)


def running_for(folder: Path) -> list[psutil.Process]:
    """Give the living processes that name a folder in their arguments or settings, but not this one."""
    return [
        process
        for process in psutil.process_iter()
        if process.pid != os.getpid() and str(folder) in _told(process)
    ]


def started_by(pid: int, *, name: str) -> list[psutil.Process]:
    """Give what a process has started, once there is one of this name among it."""
    try:
        started: list[psutil.Process] = psutil.Process(pid).children(recursive=True)
        names = {process.name() for process in started}
    except psutil.NoSuchProcess:
        return []  # one has just ended
    return started if name in names else []


def runs(process: psutil.Process) -> bool:
    """Whether a process runs; one whose end nobody has noticed does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _told(process: psutil.Process) -> str:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return ""
        return " ".join([*process.cmdline(), process.environ().get("PATCHMILL_DATA_DIR", "")])
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return ""


class Started:
    """A `patchmill` command that goes on until it is stopped; what it says is kept in a file."""

    def __init__(self, folder: Path, *words: str, settings: dict[str, str] | None = None) -> None:
        self._file = folder / f"talk-{len(list(folder.glob('talk-*')))}"
        with self._file.open("wb") as output:
            self.process = subprocess.Popen(
                arguments(*words),
                env=environment({"PATCHMILL_DATA_DIR": str(folder), **(settings or {})}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def talk(self) -> str:
        """Give what it has said so far."""
        return self._file.read_text(encoding="utf-8")

    def wait_for(self, words: str) -> str:
        """Wait until it has said something; give all that it said."""
        until(lambda: words in self.talk() or self.process.poll() is not None, words)
        assert words in self.talk(), self.talk()
        return self.talk()

    def end(self, number: int) -> int:
        """Send a signal and give the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=120)
