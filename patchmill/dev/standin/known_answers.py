"""Cases with known answers, found again by what a prompt shows: the path and the lines of a file."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from patchmill.dev.standin.prompt import Task

_LINE_END = re.compile(r"\r\n|\n|\r")
_BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A file as it is and as it should become, as lines without their ends; and where its findings are."""

    case: str
    path: str
    source: tuple[str, ...]
    gold: tuple[str, ...]
    rules: frozenset[str]
    places: tuple[range, ...]

    @property
    def lines(self) -> tuple[int, ...]:
        """The lines at which the findings begin."""
        return tuple(place.start for place in self.places)

    def is_shown(self, task: Task) -> bool:
        """Whether a prompt can be about this case: it shows lines of this file, and no others."""
        lines = task.source.lines
        return len(lines) == len(self.source) and all(
            lines[number - 1] == self.source[number - 1] for number in task.shown
        )


class InvalidCases(ValueError):
    """A file of cases that cannot be read; the message says where."""


class KnownAnswers:
    """Cases by their paths."""

    def __init__(self, known: Iterable[Known]) -> None:
        self.every = tuple(known)
        self._by_path: dict[str, list[Known]] = {}
        for each in self.every:
            self._by_path.setdefault(each.path, []).append(each)

    @classmethod
    def read(cls, files: Sequence[Path]) -> Self:
        """Read files with one case a line; those without a right answer are left out.

        Raises:
            InvalidCases: a line is no case, or no case has a right answer.
        """
        known: list[Known] = []
        for path in files:
            try:
                text = path.read_text(encoding="utf-8")
            except UnicodeDecodeError as error:
                raise InvalidCases(f"{path}: is not UTF-8 ({error.reason} at byte {error.start})") from None
            for number, line in enumerate(text.split("\n"), start=1):
                try:
                    document = json.loads(line) if line.strip() else {}
                    if document.get("gold") is not None:
                        known.append(_known(document))
                except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                    raise InvalidCases(f"{path}:{number}: is no case: {error!r}") from None
        if not known:
            raise InvalidCases(
                f"{', '.join(map(str, files)) or 'no file'}: no case has a right answer (gold)"
            )
        return cls(known)

    def find(self, task: Task) -> Known | None:
        """The case that a task is about; of several about one text the one with its findings."""
        fitting = [known for known in self._by_path.get(task.path, ()) if known.is_shown(task)]
        asked = {finding.rule for finding in task.findings}, {finding.line for finding in task.findings}
        return max(
            fitting,
            key=lambda known: len(asked[0] & known.rules) + len(asked[1].intersection(known.lines)),
            default=None,
        )


def _known(document: dict[str, Any]) -> Known:
    findings = document.get("findings") or []
    return Known(
        case=str(document["id"]),
        path=str(document["path"]),
        source=_lines(str(document["source"])),
        gold=_lines(str(document["gold"])),
        rules=frozenset(str(finding["rule"]) for finding in findings),
        places=tuple(_place(finding) for finding in findings),
    )


def _place(finding: dict[str, Any]) -> range:
    start, end = int(finding["start_line"]), int(finding["end_line"])
    return range(start, max(start, end) + 1)


def _lines(text: str) -> tuple[str, ...]:
    """Lines as a prompt shows them: without ends, and without a byte order mark."""
    lines = _LINE_END.split(text.replace(_BYTE_ORDER_MARK, ""))
    return tuple(lines[:-1] if lines[-1] == "" else lines)
