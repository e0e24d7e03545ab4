"""What child processes write, line by line, each with the name of its process."""

import json
from collections.abc import Callable

from patchmill.cli.talk import say

NAME_WIDTH = 9
_TROUBLE = frozenset({"warning", "error", "critical"})


class ChildLog:
    """Shows the lines of children: all of them, or only the log lines that tell of trouble."""

    def __init__(self, *, verbose: bool, show: Callable[[str], None] = say) -> None:
        self._verbose = verbose
        self._show = show

    def of(self, name: str) -> Callable[[str], None]:
        """Give what takes the lines of one child."""

        def take(line: str) -> None:
            if self._verbose or _level(line) in _TROUBLE:
                self._show(prefixed(name, line))

        return take


def prefixed(name: str, line: str) -> str:
    """Write a line with the name of its process before it."""
    return f"{name:<{NAME_WIDTH}}| {line}"


def _level(line: str) -> str:
    """The level of a log line; empty for a line that is none."""
    if not line.startswith("{"):
        return ""
    try:
        event = json.loads(line)
    except ValueError:
        return ""
    return str(event.get("level", "")) if isinstance(event, dict) else ""
