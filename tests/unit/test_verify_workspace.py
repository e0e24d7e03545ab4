import stat
import tempfile
from pathlib import Path

import pytest

from patchmill.verify.process import workspace as module
from patchmill.verify.process.workspace import workspace

LITTLE, MUCH = 10_000, 10_000_000


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of memory, on a machine where nobody names another one."""
    monkeypatch.setattr(tempfile, "tempdir", module._USUAL)  # what an environment without TMPDIR gives
    monkeypatch.setattr(module, "MEMORY", tmp_path)
    monkeypatch.setattr(module, "_ROOM_BYTES", 0)
    return tmp_path


def test_little_is_kept_in_memory_and_removed_with_all_that_is_in_it(memory: Path) -> None:
    with workspace(LITTLE) as folder:
        (folder / "0").mkdir()
        (folder / "0" / "a.py").touch()
        home = folder.parent

    assert home.parent == memory
    assert list(home.iterdir()) == []


def test_the_folders_of_a_process_are_in_one_that_is_nobody_elses(memory: Path) -> None:
    with workspace(LITTLE) as first, workspace(LITTLE) as second:
        assert first != second
        assert first.parent == second.parent
        assert stat.S_IMODE(first.parent.stat().st_mode) == 0o700

    assert list(memory.iterdir()) == [first.parent]


def test_a_folder_that_somebody_cleared_away_is_made_again(memory: Path) -> None:
    with workspace(LITTLE) as folder:
        home = folder.parent
    home.rmdir()

    with workspace(LITTLE) as folder:
        assert folder.is_dir()
        assert folder.parent.parent == memory


def test_much_goes_to_disk(memory: Path) -> None:
    with workspace(MUCH) as folder:
        assert memory not in folder.parents


def test_a_folder_that_somebody_names_is_taken(
    memory: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = tmp_path_factory.mktemp("named")
    monkeypatch.setattr(tempfile, "tempdir", str(named))

    with workspace(LITTLE) as folder:
        assert folder.parent.parent == named
    assert list(memory.iterdir()) == []


def test_a_folder_has_its_whole_path_since_checkers_are_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", ".")  # as TMPDIR=. has it

    with workspace(LITTLE) as folder:
        assert folder.is_absolute()
        assert folder.parent.parent == Path.cwd()


def test_where_memory_has_no_room_disk_is_taken(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROOM_BYTES", 2**80)

    with workspace(LITTLE) as folder:
        assert memory not in folder.parents


def test_where_there_is_no_such_memory_disk_is_taken(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MEMORY", memory / "missing")

    with workspace(LITTLE) as folder:
        assert folder.is_dir()
