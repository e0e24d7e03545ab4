"""Ctrl-C and TERM: the first asks to stop at the next wait, the second to stop at once."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Self

from patchmill.cli.exits import Exit, Interrupted
from patchmill.cli.talk import say
from patchmill.errors import Unavailable

_CODES = {
    signal.SIGINT: Exit.INTERRUPTED,  # somebody broke it off
    signal.SIGTERM: Exit.DONE,  # the system ends a service in order
    signal.SIGHUP: Exit.DONE,
}


class Stop:
    """Whether the user wants to stop, noticed where the command waits, so that nothing is left half started.

    As a context manager it listens to the signals. `hurry` is set by the second one. `word` is what the
    first one is answered with. A terminal's Ctrl-C also reaches what is just being started, so what could not
    be had after it is no failure of its own: it raises Interrupted, too.
    """

    def __init__(self, word: str = "stopping; once more stops at once") -> None:
        self._word = word
        self.hurry = threading.Event()
        self._asked = threading.Event()
        self._code: int = Exit.INTERRUPTED
        self._before: dict[signal.Signals, object] = {}

    def pause(self, seconds: float) -> None:
        """Wait that long.

        Raises:
            Interrupted: the user asked to stop.
        """
        if self._asked.wait(seconds):
            raise Interrupted(self._code)

    def __enter__(self) -> Self:
        for number in _CODES:
            self._before[number] = signal.signal(number, self._notice)
        return self

    def __exit__(
        self, _type: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what `signal` gave, it takes
        if self._asked.is_set() and isinstance(error, Unavailable):
            raise Interrupted(self._code) from error

    def _notice(self, number: int, _frame: FrameType | None) -> None:
        if self._asked.is_set():
            self.hurry.set()
            return
        self._code = _CODES[signal.Signals(number)]
        self._asked.set()
        if self._word:
            say(self._word)
