"""The folder that embedded services keep their data in: one Patchmill at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from patchmill.dev.child import Pause
from patchmill.errors import ConfigurationError, Unavailable

PATIENCE_S = 45.0
POLL_S = 0.1


@contextmanager
def claimed(folder: Path, *, pause: Pause) -> Iterator[IO[str]]:
    """Make the folder if need be and lock it; gives the locked file, which a tether may keep locked.

    Raises:
        ConfigurationError: the folder cannot be made or written.
        Unavailable: another process works in it.
    """
    try:
        # Postgres, run as another user when this one is root, passes through.
        folder.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        lock = (folder / "lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"cannot use the folder {folder}: {error.strerror}; "
            "set PATCHMILL_DATA_DIR to one that you can write"
        ) from None
    with lock:
        left = PATIENCE_S
        while not _locked(lock):
            owner = _owner(lock)
            if left < 0 or (owner is not None and _lives(owner)):
                raise Unavailable(
                    f"another Patchmill (process {owner}) works in {folder}; "
                    "stop it, or set PATCHMILL_DATA_DIR to another folder"
                )
            # Its owner is gone; what it had started is about to be.
            pause(POLL_S)
            left -= POLL_S
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield lock


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _owner(lock: IO[str]) -> int | None:
    lock.seek(0)
    text = lock.read().strip()
    return int(text) if text.isdigit() else None


def _lives(pid: int) -> bool:
    with suppress(ProcessLookupError):
        try:
            os.kill(pid, 0)
        except PermissionError:
            return True
        return True
    return False
