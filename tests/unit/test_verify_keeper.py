import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from patchmill.verify.process.keeper import Keeper
from tests.support.processes import runs, started_by
from tests.support.stack import until

ROOT = Path(__file__).parents[2]
# Runs a checker that takes its time, in a folder for it, and tells of both.
WORKING = """\
from patchmill.verify.process.sandbox import Limits, run
from patchmill.verify.process.workspace import workspace
with workspace(10) as folder:
    (folder / "a.py").touch()
    print(folder, flush=True)
    run(["/bin/sh", "-c", "sleep 300 & wait"], stdin=b"", cwd=folder, limits=Limits(wall_s=300))
"""


class Working:
    """A process of its own that has begun to check something, and what it has started."""

    def __init__(self, place: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", WORKING],
            cwd=ROOT,
            env={"TMPDIR": str(place)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self._told = self._process.stdout
        self.folder = Path(self._told.readline().strip())
        begun = partial(started_by, self._process.pid, name="sleep")
        self.children: list[psutil.Process] = until(begun, "a checker at work")

    def kill(self) -> None:
        """End it as nothing can prepare for."""
        self._process.kill()
        self._process.wait()
        self._told.close()

    def keeper(self) -> psutil.Process:
        """The shell that looks after it."""
        return next(child for child in self.children if "held=" in " ".join(child.cmdline()))


@pytest.fixture
def working(tmp_path: Path) -> Iterator[Working]:
    process = Working(tmp_path)
    yield process
    process.kill()
    for child in process.children:
        if runs(child):
            child.kill()


def test_what_a_killed_process_has_started_is_ended_and_its_folders_are_removed(
    working: Working, tmp_path: Path
) -> None:
    assert len(working.children) >= 3  # the keeper, a shell that is the checker, and what that has started

    working.kill()

    until(lambda: not any(map(runs, working.children)), "the end of all")
    until(lambda: not any(tmp_path.iterdir()), "no folder left")


def test_a_folder_of_which_even_the_keeper_is_gone_is_removed_by_the_next_who_makes_one(
    working: Working, tmp_path: Path
) -> None:
    working.keeper().kill()
    working.kill()
    for child in working.children:
        if runs(child):
            child.kill()
    assert working.folder.is_dir()

    heir = Working(tmp_path)
    other = Working(tmp_path)  # which leaves alone what belongs to one that lives

    assert not working.folder.parent.exists()
    assert {heir.folder.parent, other.folder.parent} == set(tmp_path.iterdir())
    heir.kill()
    other.kill()
    until(lambda: not any(tmp_path.iterdir()), "no folder left")


def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen(["/bin/sleep", "300"], start_new_session=True)


def test_a_keeper_that_was_killed_is_replaced_and_knows_what_it_has_to_keep(tmp_path: Path) -> None:
    (folder := tmp_path / "it's a folder").mkdir()
    with sleeper() as held, sleeper() as dropped, sleeper() as later:
        keeper = Keeper()
        keeper.remove(folder)
        for process in (held, dropped):
            keeper.hold(process.pid)
        assert keeper._shell is not None
        keeper._shell.kill()
        keeper._shell.wait()

        keeper.drop(dropped.pid)
        keeper.hold(later.pid)
        keeper.close()

        assert (held.wait(10), later.wait(10)) == (-9, -9)
        assert dropped.poll() is None
        assert not folder.exists()
        dropped.kill()


def test_a_keeper_that_stands_still_ends_nothing_when_it_is_replaced(tmp_path: Path) -> None:
    with sleeper() as held:
        keeper = Keeper()
        keeper.remove(tmp_path)
        keeper.hold(held.pid)
        first = keeper._shell
        assert first is not None
        psutil.Process(first.pid).suspend()

        while keeper._shell is first:  # until it can be told no more
            keeper.drop(1)

        assert first.returncode is not None
        assert held.poll() is None
        assert tmp_path.is_dir()
        keeper.close()
        assert held.wait(10) == -9
