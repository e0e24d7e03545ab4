"""Folders for what a checker is to read: in memory if that is little, for a busy disk makes it wait.

Those of one process are in a folder of its own, which its keeper removes however the process ends. Where that
was killed as well, the next process that makes such a folder there does it: who lives has his own locked.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from patchmill.verify.process.keeper import KEEPER

MEMORY = Path("/dev/shm")  # noqa: S108 - the folder in it is nobody else's
# Who names another folder for such files means it.
_USUAL = "/tmp"  # noqa: S108 - compared, not written to
# Many may be there at a time: they must be small, and there must be room for more.
_MOST_CHARACTERS = 256 * 1024
_ROOM_BYTES = 32 * 1024**2
_OURS = "patchmill-checks-"

_homes: dict[Path, Path] = {}
_making = threading.Lock()


@contextmanager
def workspace(characters: int) -> Iterator[Path]:
    """Give an empty folder for texts of so many characters in all, and remove it with all that is in it."""
    # A whole path, since a checker has another working folder.
    place = (_memory(characters) or Path(tempfile.gettempdir())).absolute()
    with tempfile.TemporaryDirectory(dir=_home(place)) as name:
        yield Path(name)


def _memory(characters: int) -> Path | None:
    """Memory if it may be and can be used; None for wherever such files go otherwise."""
    if characters > _MOST_CHARACTERS or tempfile.gettempdir() != _USUAL:
        return None
    usable = os.access(MEMORY, os.W_OK | os.X_OK) and shutil.disk_usage(MEMORY).free > _ROOM_BYTES
    return MEMORY if usable else None


def _home(place: Path) -> Path:
    """The folder of this process in a place: made when it is wanted, and again where it was cleared away."""
    with _making:
        home = _homes.get(place)
        if home is None or not home.is_dir():
            _remove_left(place)
            home = _homes[place] = _made(place)
        return home


def _made(place: Path) -> Path:
    """Make a folder, and give it the name that others know it by once it is locked."""
    unlocked = Path(tempfile.mkdtemp(prefix=f".{_OURS}", dir=place))
    with contextlib.suppress(OSError):  # a file system without locks: there nobody can take it for left
        fcntl.flock(os.open(unlocked, os.O_RDONLY), fcntl.LOCK_EX)  # both as long as this process lives
    home = unlocked.with_name(unlocked.name[1:])
    unlocked.rename(home)
    KEEPER.remove(home)
    return home


def _remove_left(place: Path) -> None:
    """Remove folders of processes that are gone; what cannot be locked is in use, or nobody's business."""
    for left in place.glob(f"{_OURS}*"):
        with contextlib.suppress(OSError):
            opened = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(opened)
