"""Ends what this process has started, and removes its folders, when it is gone, however it went.

A shell does that, in a session of its own: it is told of them by its input, and that ends with this process.
The kernel could end children with their parent, but does not where they have another real user.
"""

import atexit
import contextlib
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from patchmill.verify.process.confinement import PATH

# What stops this process, which may have a while to finish, is not meant for the shell.
_KEEP = """\
trap '' HUP INT TERM
held=' '
while read -r word what; do
    case $word in
        folder) set -- "$@" "$what" ;;
        hold) held="$held$what " ;;
        drop) case $held in *" $what "*) held="${held%%" $what "*} ${held#*" $what "}" ;; esac ;;
    esac
done
for group in $held; do kill -s KILL -- "-$group"; done
rm -rf -- "$@" || { sleep 1 && rm -rf -- "$@"; }
"""
_PATIENCE_S = 5.0


class Keeper:
    """The shell of this process, started when there is something to keep, and again when it was killed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shell: subprocess.Popen[bytes] | None = None
        self._groups: set[int] = set()
        self._folders: list[Path] = []

    @contextlib.contextmanager
    def holding(self, group: int) -> Iterator[None]:
        """Have a group of processes ended with this one, for the time of a block."""
        self.hold(group)
        try:
            yield
        finally:
            self.drop(group)

    def hold(self, group: int) -> None:
        """Have a group of processes ended with this one."""
        with self._lock:
            self._groups.add(group)
            self._tell(b"hold %d" % group)

    def drop(self, group: int) -> None:
        """Leave a group alone; to be said before its number can be anybody else's."""
        with self._lock:
            self._groups.discard(group)
            self._tell(b"drop %d" % group)

    def remove(self, folder: Path) -> None:
        """Have a folder removed once this process has ended."""
        with self._lock:
            self._folders.append(folder)
            self._tell(_of(folder))

    def close(self) -> None:
        """End and remove everything now."""
        with self._lock:
            self._groups.clear()
            self._folders.clear()
            if self._shell is not None:
                self._leave(self._shell)

    def _tell(self, line: bytes) -> None:
        """Say it to the shell; one that does not listen is replaced, and the next one is told everything."""
        if self._shell is not None:
            if _said(self._shell, line):
                return
            self._shell.kill()
            self._leave(self._shell)
        with contextlib.suppress(OSError):  # this machine can start no process now
            self._shell = _started()
            _said(self._shell, *map(_of, self._folders), *(b"hold %d" % group for group in self._groups))

    def _leave(self, shell: subprocess.Popen[bytes]) -> None:
        self._shell = None
        _input_of(shell).close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            shell.wait(timeout=_PATIENCE_S)


def _started() -> subprocess.Popen[bytes]:
    shell = subprocess.Popen(
        ["/bin/sh", "-c", _KEEP, "sh"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={"PATH": PATH},
        bufsize=0,
        start_new_session=True,
    )
    os.set_blocking(_input_of(shell).fileno(), False)
    return shell


def _said(shell: subprocess.Popen[bytes], *lines: bytes) -> bool:
    text = b"".join(b"%b\n" % line for line in lines)
    try:
        return os.write(_input_of(shell).fileno(), text) == len(text)
    except OSError:
        return False


def _input_of(shell: subprocess.Popen[bytes]) -> IO[bytes]:
    assert shell.stdin is not None  # noqa: S101 - it is a pipe
    return shell.stdin


def _of(folder: Path) -> bytes:
    return b"folder %b" % os.fsencode(folder)


KEEPER = Keeper()
atexit.register(KEEPER.close)
