"""Who answers in place of the rules: an oracle that knows the right answers, or a saboteur that spoils them.

Both know a case by the path and the lines that the prompt shows. The answers are blocks as the offline model
writes them; `spoil` says what becomes of the text once it is in the form that was asked for.
"""

import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

from patchmill.dev.standin.blocks import write_blocks
from patchmill.dev.standin.known_answers import Known, KnownAnswers
from patchmill.dev.standin.model import WHO, Turn, answer, task_of
from patchmill.dev.standin.mutations import KINDS, OF_TEXT, Draw
from patchmill.dev.standin.prompt import Task, read_task
from patchmill.dev.standin.source_text import SourceText, changes

_TRIES = 20
_CLOSE = 3  # lines between changes that are written as one edit
_HEADER = re.compile(r"^@@+ (?:replace|delete|after|before) \d.*$", re.MULTILINE)
_ANCHOR = re.compile(r"(\d+)([a-z]{2})")
_DECLINES = "NO CHANGE: "
_SEARCH, _DIVIDER = "<<<<<<< SEARCH", "======="
_WORD = re.compile(r"[A-Za-z_]\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """An answer in blocks, and what to do to it once it is written in the form that was asked for."""

    text: str
    spoil: Callable[[str], str] | None = None


class Player(Protocol):
    """Whoever answers a conversation."""

    def play(self, turns: Sequence[Turn]) -> Played:
        """Give the answer."""
        ...


class Rules:
    """The offline model's rules, as ever."""

    def play(self, turns: Sequence[Turn]) -> Played:
        """Answer by fixed rules."""
        return Played(text=answer(turns))


class Oracle:
    """Answers with the right answer of the case; declines what it does not know."""

    def __init__(self, answers: KnownAnswers) -> None:
        self._answers = answers

    def play(self, turns: Sequence[Turn]) -> Played:
        """Give the right answer."""
        met = _met(self._answers, turns)
        if met is None:
            return _unknown()
        known, task = met
        return Played(text=_written(task, known, known.gold, f"The right answer to {known.case}"))


class Saboteur:
    """Answers with the right answer spoilt in one of the ways of `mutations`, by seed, case and occasion.

    The n-th answer about a case is always the same; the kinds follow each other from case to case.
    """

    def __init__(self, answers: KnownAnswers, *, seed: int) -> None:
        self._answers = answers
        self._seed = seed
        self._seen: Counter[str] = Counter()
        self._first = {known.case: number for number, known in enumerate(answers.every)}

    def play(self, turns: Sequence[Turn]) -> Played:
        """Give a wrong answer."""
        met = _met(self._answers, turns)
        if met is None:
            return _unknown()
        known, task = met
        turn = self._seen[known.case]
        self._seen[known.case] += 1
        chance = random.Random(f"{self._seed}/{known.case}/{turn}")  # noqa: S311 - to be repeatable, not secret
        draw = Draw(known, task.language, chance)
        first = self._first[known.case] + self._seed + turn
        for number in range(len(KINDS)):
            kind = KINDS[(first + number) % len(KINDS)]
            played = self._spoilt(kind, draw, task)
            if played is not None:
                return played
        return _unknown()

    def _spoilt(self, kind: str, draw: Draw, task: Task) -> Played | None:
        title = f"Sabotage: {kind}"
        known = draw.known
        if kind in OF_TEXT:
            for _ in range(_TRIES):
                lines = OF_TEXT[kind](draw)
                if lines is not None and lines not in {known.source, known.gold}:
                    text = _written(task, known, lines, title)
                    return None if text.startswith(_DECLINES) else Played(text=text)
            return None
        text = _written(task, known, known.gold, title)
        if text.startswith(_DECLINES):
            return None
        if kind == "truncated":
            part = draw.chance.uniform(0.3, 0.97)
            return Played(text=text, spoil=lambda whole: whole[: int(len(whole) * part)])
        other = draw.chance.choice(self._answers.every) if kind == "wrong_file" else known
        return _misquoted(text, other, draw.chance)


def _met(answers: KnownAnswers, turns: Sequence[Turn]) -> tuple[Known, Task] | None:
    """The case that a conversation is about, and its task with all lines of the file."""
    task = task_of(turns)
    known = None if task is None else answers.find(task)
    if task is None or known is None:
        return None
    source = SourceText(known.source)
    whole = frozenset(range(1, len(source.lines) + 1))
    return known, replace(task, source=source, shown=whole, anchors=_anchors(task))


def _anchors(task: Task) -> Mapping[int, str] | None:
    """The anchors of all lines that were shown so far: a repair turn may bring the whole file."""
    if task.anchors is None:
        return None
    anchors = dict(task.anchors)
    for repair in task.repairs:
        shown = read_task(repair, anchored=True)
        anchors |= {} if shown is None or shown.anchors is None else shown.anchors
    return anchors


def _written(task: Task, known: Known, lines: Sequence[str], title: str) -> str:
    """An answer in blocks; what changes in the lines of one finding, or close to each other, is one block."""
    found = changes(known.source, lines)
    close = [
        range(max(1, one.old_start), other.old_end + 2)
        for one, other in pairwise(found)
        if other.old_start - one.old_end <= _CLOSE
    ]
    blocks = write_blocks(task, SourceText(lines), [*known.places, *close])
    if not blocks:
        return f"{_DECLINES}this is {WHO}; it has no way to write this answer down as edits."
    return "\n\n".join([title, f"This is {WHO}: it read the answer in a file of cases.", *blocks])


def _unknown() -> Played:
    return Played(text=f"{_DECLINES}this is {WHO}; it knows no case of this file.")


def _misquoted(text: str, other: Known, chance: random.Random) -> Played:
    """The answer with old text that the file does not have: as it once was, or as it is in another file."""
    lines = text.split("\n")
    inside = False
    quoted: list[int] = []
    for number, line in enumerate(lines):
        if line in {_SEARCH, _DIVIDER}:
            inside = line == _SEARCH
        elif inside and line.strip():
            quoted.append(number)
    if not quoted:  # the lines are named by anchors
        return Played(text=text, spoil=_mistagged)
    at = chance.choice(quoted)
    foreign = [line for line in other.source if line.strip()]
    words = _WORD.findall(lines[at])
    if chance.choice((True, False)) and words:
        lines[at] = lines[at].replace(chance.choice(words), "once_so_called", 1)
    else:
        lines[at] = chance.choice(foreign)
    return Played(text="\n".join(lines))


def _mistagged(whole: str) -> str:
    """The answer with anchors whose tags are not those of their lines."""
    return _HEADER.sub(lambda found: _ANCHOR.sub(_mistag, found[0]), whole)


def _mistag(found: re.Match[str]) -> str:
    return found[1] + "".join(chr((ord(letter) - ord("a") + 7) % 26 + ord("a")) for letter in found[2])
