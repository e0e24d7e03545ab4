"""Folders for what a checker is to read: in memory if that is little, for a busy disk makes it wait."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 - the folder in it is nobody else's
# Who names another folder for such files means it.
_USUAL = "/tmp"  # noqa: S108 - compared, not written to
# A worker that is killed leaves its folders behind: they must be small, and there must be room for many.
_MOST_CHARACTERS = 256 * 1024
_ROOM_BYTES = 32 * 1024**2


@contextmanager
def workspace(characters: int) -> Iterator[Path]:
    """Give an empty folder for texts of so many characters in all, and remove it with all that is in it."""
    with tempfile.TemporaryDirectory(prefix="patchmill-", dir=_place(characters)) as name:
        yield Path(name).absolute()  # a checker has another working folder


def _place(characters: int) -> Path | None:
    """Memory if it may be and can be used; None for wherever such files go otherwise."""
    if characters > _MOST_CHARACTERS or tempfile.gettempdir() != _USUAL:
        return None
    usable = os.access(MEMORY, os.W_OK | os.X_OK) and shutil.disk_usage(MEMORY).free > _ROOM_BYTES
    return MEMORY if usable else None
