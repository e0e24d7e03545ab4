"""Clocks of processes that a test sets wrong, and lets jump."""

import struct
from pathlib import Path

_FOLDER = Path(__file__).parent / "wrong_clock"


class WrongClock:
    """The clock of processes started with its `settings`: ahead of the right time, or behind."""

    def __init__(self, file: Path, *, ahead_s: float) -> None:
        self._file = file
        self.jump(ahead_s)

    @property
    def settings(self) -> dict[str, str]:
        """What a process is started with."""
        return {"PYTHONPATH": str(_FOLDER), "CLOCK_FILE": str(self._file)}

    def jump(self, ahead_s: float) -> None:
        """Set it anew, at once for all its processes."""
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(struct.pack("d", ahead_s))
