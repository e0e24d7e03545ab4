"""How much work an estimate may be: what is asked may be large, and whoever asks pays nothing for it."""

from patchmill.call.fitting import Count
from patchmill.call.tokens import count_tokens
from patchmill.job.record import Task

COUNTED_BYTES = 256 * 1024  # beyond them tokens are told by the size
SEARCHED_LINES = 200_000  # looked at for the functions around findings: each may look at every line
BYTES_PER_TOKEN = 4  # of code it is 4.1
_LINE = 40  # characters


class Effort:
    """The work that is left to one estimate; the order in which it is asked for decides who gets it."""

    def __init__(
        self,
        count: Count = count_tokens,
        *,
        counted_bytes: int = COUNTED_BYTES,
        searched_lines: int = SEARCHED_LINES,
    ) -> None:
        self._count = count
        self._bytes_left = counted_bytes
        self._lines_left = searched_lines
        self._bytes = BYTES_PER_TOKEN
        self._tokens = 1

    def count(self, text: str) -> int:
        """Count the tokens of a text; once the bytes are spent, tell them by its size."""
        size = len(text.encode("utf-8", "replace"))
        if size > self._bytes_left:
            return -(-size * self._tokens // self._bytes)
        tokens = self._count(text)
        self._bytes_left -= size
        self._bytes += size
        self._tokens += tokens
        return tokens

    def may_search(self, task: Task) -> bool:
        """Say whether the best form of a task's prompt may be looked for, and count that as done."""
        own = _lines(task.source)
        others = sum(_lines(file.content) for file in task.context)
        lines = (1 + len(task.findings)) * own + (1 + len(task.context)) * (own + others)
        if lines > self._lines_left:
            return False
        self._lines_left -= lines
        return True


def _lines(text: str) -> int:
    """Give how many lines of usual length it takes to write a text."""
    return max(1 + text.count("\n") + text.count("\r"), len(text) // _LINE)
