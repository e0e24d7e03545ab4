"""Where two texts differ, by lines and then by their signs."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TypeVar

from patchmill.verify.guards.words import Sign

_MOST_SIGNS = 20_000
_SHOWN = 60
_FEW = 600  # comparing exactly takes the third power of their number

Signs = tuple[Sign, ...]
_Each = TypeVar("_Each")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Signs that give way to others, by the text; `kept` of the old ones are those that must stay.

    `between` says that what comes in has signs on both sides that must stay; `line` is an index of
    the old lines.
    """

    old: Signs
    new: Signs
    kept: Signs
    between: bool
    line: int


def is_long(old: Sequence[Signs], new: Sequence[Signs]) -> bool:
    """Whether so much lies between what is equal at both ends that it cannot be compared by its signs."""
    head, tail = _ends(old, new)
    return sum(len(line) for lines in (old, new) for line in lines[head : len(lines) - tail]) > _MOST_SIGNS


def _ends(old: Sequence[_Each], new: Sequence[_Each]) -> tuple[int, int]:
    """How many are equal at the beginning, and of the others at the end."""
    head, most = 0, min(len(old), len(new))
    while head < most and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < most - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    return head, tail


def differences(old: Sequence[_Each], new: Sequence[_Each]) -> Iterator[tuple[int, int, int, int]]:
    """Runs that differ; many are compared less exactly, so that those may be longer."""
    head, tail = _ends(old, new)
    before, after = old[head : len(old) - tail], new[head : len(new) - tail]
    rough = len(before) + len(after) > _FEW
    for tag, low, high, start, end in SequenceMatcher(None, before, after, autojunk=rough).get_opcodes():
        if tag != "equal":
            yield head + low, head + high, head + start, head + end


def differing(old: Sequence[Signs], new: Sequence[Signs]) -> Iterator[Part]:
    """Give the differences of two texts by their signs."""
    for low, high, start, end in _by_lines(old, new):
        yield from within(old[low:high], new[start:end], [[False] * len(line) for line in old[low:high]], low)


def _by_lines(old: Sequence[Signs], new: Sequence[Signs]) -> Iterator[tuple[int, int, int, int]]:
    """Runs of lines that differ; line by line where there are many, and as many as before."""
    for low, high, start, end in differences(old, new):
        if high - low == end - start and sum(map(len, (*old[low:high], *new[start:end]))) > _FEW:
            for step in range(high - low):
                yield low + step, low + step + 1, start + step, start + step + 1
        else:
            yield low, high, start, end


def within(
    old: Sequence[Signs],
    new: Sequence[Signs],
    brought: Sequence[Sequence[bool]],
    at: int,
    *,
    said: Collection[str] = (),
) -> Iterator[Part]:
    """The differences of some lines by their signs, from the line `at` on.

    Of the old ones those need not stay that are `brought`, unless they are `said` before the repair, too.
    """
    before = [(sign, number) for number, line in enumerate(old) for sign in line]
    free = [each for line in brought for each in line]
    signs, after = [sign for sign, _ in before], [sign for line in new for sign in line]
    for low, high, start, end in differences(signs, after):
        beside = [free[place] for place in (low - 1, high) if 0 <= place < len(free)]
        yield Part(
            old=tuple(signs[low:high]),
            new=tuple(after[start:end]),
            kept=tuple(
                sign
                for sign, is_free in zip(signs[low:high], free[low:high], strict=True)
                if not is_free or sign.text in said
            ),
            between=low == high and not any(beside),
            line=at + (before[min(low, len(before) - 1)][1] if before else 0),
        )


def brought(old: Sequence[Signs], new: Sequence[Signs]) -> list[list[bool]]:
    """Which signs of new lines are not those of the old ones, or stand where something went."""
    free = [[False] * len(line) for line in new]
    for low, high, start, end in differences(old, new):
        before = [sign for line in old[low:high] for sign in line]
        places = [(row, column) for row in range(start, end) for column in range(len(new[row]))]
        after = [new[row][column] for row, column in places]
        for _, _, begin, stop in differences(before, after):
            beside = [at for at in (begin - 1, begin) if 0 <= at < len(places) and not after[at].tells]
            for at in range(begin, stop) if begin < stop else beside:
                free[places[at][0]][places[at][1]] = True
    return free


def telling(signs: Iterable[Sign]) -> list[Sign]:
    """Signs without those that only hold others together."""
    return [sign for sign in signs if sign.tells]


def told(signs: Iterable[Sign]) -> str:
    """Signs in words, for a message."""
    return " ".join(sign.text for sign in telling(signs))[:_SHOWN]


def extent(old: Sequence[Signs], new: Sequence[Signs]) -> int:
    """Give how many signs two texts differ by."""
    return sum(max(len(part.old), len(part.new)) for part in differing(old, new))


def size(parts: Iterable[Part]) -> int:
    """Give how many signs differ that do more than hold others together."""
    return sum(max(len(telling(part.old)), len(telling(part.new))) for part in parts)
