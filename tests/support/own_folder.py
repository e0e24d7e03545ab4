"""A folder of each test process for what it starts; the next one clears up after those that were killed."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

_PREFIX = "patchmill-test-"
_OWNER = "owner"
_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of this run's own is made in it
_PATIENCE_S = 10.0
_ROOM = 4 * 2**30  # bytes; what all test processes of a run take is a tenth of that


def quick_folder(prefix: str) -> Path:
    """Make a folder that Postgres can live in: in memory where there is room, as it writes a thousand files.

    As root the server runs as a user who must be let in.
    """
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=_quick_place()))
    folder.chmod(0o711)
    return folder


@contextmanager
def own_folder() -> Iterator[Path]:
    """Give a folder for as long as this process lives; whoever removes it does so at the end.

    A run that is broken off kills its test processes, and what they have started goes on. So each folder has
    an owner, who holds a lock until its death, and those whose owner has died are cleared away first.
    """
    _clear_away()
    folder = quick_folder(_PREFIX)
    draft = folder / f"{_OWNER}.new"
    with draft.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        draft.rename(folder / _OWNER)  # nobody sees it without its lock
        yield folder


def _quick_place() -> Path:
    roomy = _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM
    return _MEMORY if roomy else Path(tempfile.gettempdir())


def _clear_away() -> None:
    places = {_MEMORY, Path(tempfile.gettempdir())}
    for owner in [each for place in places for each in place.glob(f"{_PREFIX}*/{_OWNER}")]:
        try:
            with owner.open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _end(_living_in(owner.parent))
                shutil.rmtree(owner.parent, ignore_errors=True)
        except OSError:
            continue  # its owner lives, or another test process was quicker


def _end(processes: list[psutil.Process]) -> None:
    """Postgres, asked to stop, gives its shared memory back."""
    for process in processes:
        with suppress(psutil.Error):
            process.terminate()
    _, left = psutil.wait_procs(processes, timeout=_PATIENCE_S)
    for process in left:
        with suppress(psutil.Error):
            process.kill()


def _living_in(folder: Path) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if _lives_in(process, folder)]


def _lives_in(process: psutil.Process, folder: Path) -> bool:
    """Say whether a process is a service in a folder, or uses one: the name is in its settings then."""
    try:
        uses = any(
            folder.name in value for name, value in process.environ().items() if name.startswith("PATCHMILL_")
        )
        return uses or Path(process.cwd()).is_relative_to(folder)
    except psutil.Error:
        return False
