"""What an edit takes away or changes though no finding asks for it.

The principle: outside of the statements that findings point at, an edit may add lines, and each line that
stood must still stand, once. It may only call by a new name what is renamed where a finding is, and have more
words in it if these are new there, or choose another value for what the findings' lines name; it moves only
for rules about order and place. Of a finding's statement something must be left, unless its rule says that it
is there for nothing: then a definition goes as a whole or not at all. Lines are compared as words and signs,
so that layout does not count; a string counts as one, and a comment as what it says.
"""

import operator
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from functools import cache, cached_property
from typing import TypeVar

from patchmill.edit.span import Hunk, line_content, split_lines
from patchmill.verify.guards.asked import OF_NAMES
from patchmill.verify.guards.ground import Ground, Point
from patchmill.verify.guards.words import (
    COMMON,
    KEYWORDS,
    LITERAL,
    WORD,
    Tokens,
    bound_by,
    called_in,
    filled_alike,
    names_in,
    tokens_of,
)
from patchmill.verify.outline.read import Lines
from patchmill.verify.tool_fixes import edits_as_hunks

_DEFINES = re.compile(r"\s*(?:async\s+)?(?:def|class|import|from|function|func|fn)\b")
_DEFINITION = re.compile(r"^[ \t]*(?:async[ \t]+)?(?:def|class)[ \t]+(\w+)", re.MULTILINE)
_IMPORTS = frozenset({"import", "from", "require", "use", "using", "include"})
_TURNS = frozenset({"not", "!", "~"})
_CHOOSES = frozenset({"or", "if", "for", "as", "?", "|"})
_MOST_LINES = 2_000
_MOST_PAIRS = 1_000_000
_MOST_CLAIMS = 50_000
_HALF = 0.5
_SHOWN = 60
_SHOWN_NAMES = 5

_Part = TypeVar("_Part")


class Losses:
    """The losses of some hunks of a source."""

    def __init__(self, lines: Sequence[str], hunks: Sequence[Hunk], edited: str, ground: Ground) -> None:
        self._lines = lines
        self._hunks = hunks
        self._edited = edited
        self._ground = ground
        self._names_at = cache(lambda line: self._names([tokens_of(lines[line - 1])]))  # many findings ask
        self._new = [[tokens_of(line) for line in split_lines(hunk.replacement)] for hunk in hunks]
        own = [tokens_of(lines[line - 1]) for line in ground.own if 0 < line <= len(lines)]
        self._own_names = frozenset(self._names(own))
        self._own_words = frozenset(self._names(own, without=KEYWORDS))
        self._changed, self._spare = self._compared()
        self._moves = any(point.moves for point in ground.points)
        self._gone = frozenset(
            line
            for point in ground.points
            if point.goes is not None and self._goes(point.goes)
            for line in range(point.goes[0], point.goes[1] + 1)
        )
        known = {*WORD.findall("".join(lines))}
        self._unknown = frozenset(self._names(_joined(self._new))) - known
        self._free = self._unclaimed()
        self._told = Counter(_joined({*self._names([line])} for line in self._spare))
        self._fresh = self._come_in()
        self._renamed = self._renames()

    def found(self) -> list[str]:
        """Say in words what is lost, for each line; nothing if no finding needs to answer for it."""
        words = [
            f"line {line} `{line_content(self._lines[line - 1]).strip()[:_SHOWN]}` is changed or gone, "
            "and no finding asks for that: leave it as it was"
            for line in self._lost(waiting=False)
        ]
        words = words or self._doubled() or self._undefined()
        words = words or [words for point in self._ground.points for words in self._emptied(point)]
        return words or self._used_for_show()

    def waits(self) -> bool:
        """Whether lines beside the findings' have nothing new but names that other hunks may bring."""
        return bool(self._lost(waiting=False)) and not self._lost(waiting=True)

    def renames_only(self, number: int) -> bool:
        """Whether a hunk does nothing but rename what is renamed where a finding is."""
        hunk = self._hunks[number]
        before = [
            self._renamed.get(token, token) for token in _flat(map(tokens_of, split_lines(hunk.original)))
        ]
        return before == _flat(self._new[number])

    def _compared(self) -> tuple[list[int], list[Tokens]]:
        """The lines beside the findings' own that do not stand as they did, and the new lines."""
        changed: list[int] = []
        spare: list[Tokens] = []
        for hunk, new in zip(self._hunks, self._new, strict=True):
            kept = [
                number
                for number in range(hunk.start_line, hunk.end_line + 1)
                if number not in self._ground.own
            ]
            matched, others = _matched([self._said(number) for number in kept], new)
            changed += [number for position, number in enumerate(kept) if position not in matched]
            spare += others
        return changed, spare if len(changed) * len(spare) <= _MOST_PAIRS else []

    def _goes(self, definition: Lines) -> bool:
        """Whether a definition goes as a whole: nothing new begins like it, and no line of it stays."""
        first, last = definition
        begins = [line for line in range(first, last + 1) if _DEFINES.match(self._lines[line - 1])]
        begin = self._said(begins[0] if begins else first)
        holding = [number for number, hunk in enumerate(self._hunks) if hunk.start_line <= last]
        for number in holding:
            hunk = self._hunks[number]
            if hunk.end_line >= first and _count(begin, self._new[number]) < _count(begin, self._old(hunk)):
                return True
        return False

    def _said(self, number: int) -> Tokens:
        return tokens_of(self._lines[number - 1])

    def _come_in(self) -> frozenset[str]:
        """The names that are new where the findings are: in no line that stands for one beside them."""
        rest = list(self._spare)
        for number in self._changed:
            line = self._said(number)
            other = next((other for other in rest if self._alike(line, other)), None)
            if other is not None:
                rest.remove(other)
        return self._unknown.intersection(self._names(rest))

    def _unclaimed(self) -> frozenset[Tokens]:
        """The new lines that do not stand for one of the findings': each takes what is most like it."""
        rest = list(self._spare)
        touched = [
            self._said(number)
            for hunk in self._hunks
            for number in range(hunk.start_line, hunk.end_line + 1)
            if number in self._ground.own
        ]
        if len(touched) * len(rest) > _MOST_CLAIMS:
            return frozenset()
        for line in touched:
            said = Counter(line)
            shares = [_share(said, other) for other in rest]
            if max(shares, default=0) > _HALF:
                del rest[shares.index(max(shares))]
        return frozenset(rest)

    def _alike(self, line: Tokens, other: Tokens) -> bool:
        """Whether two lines differ in nothing but what the one names as the findings' lines do."""
        return len(line) == len(other) and all(
            old == new or old in self._own_words for old, new in zip(line, other, strict=True)
        )

    def _renames(self) -> dict[str, str]:
        """Names of the findings' lines that are gone, each with a name that is new, in their order."""
        old = _joined(map(tokens_of, split_lines(hunk.original)) for hunk in self._hunks)
        before, after = (self._names(lines, without=KEYWORDS) for lines in (old, _joined(self._new)))
        gone = [name for name in dict.fromkeys(before) if name in self._own_words and name not in after]
        fresh = [name for name in dict.fromkeys(after) if name in self._fresh]
        return dict(zip(gone, fresh, strict=False)) if len(gone) == len(fresh) else {}

    def _lost(self, *, waiting: bool) -> list[int]:
        """The lines beside findings that are changed or gone; `waiting` takes any new name for theirs."""
        spare = list(self._spare)
        return [number for number in self._changed if not self._forgiven(number, spare, waiting=waiting)]

    def _forgiven(self, number: int, spare: list[Tokens], *, waiting: bool) -> bool:
        """Whether a line is not lost: it says nothing, moved, follows the finding, or imports for nothing."""
        line, is_import = self._said(number), number in self._ground.imports
        if line in {(), ("pass",)} or number in self._gone:
            return True
        moved = (other for other in spare if other == line and (self._moves or waiting))
        turned = (other for other in spare if self._turned(line, other, waiting=waiting))
        grown = (other for other in spare if self._grew(line, other, is_import=is_import, waiting=waiting))
        ended = (other for other in spare if _ends_otherwise(line, other))
        stands = next(moved, None) or next(turned, None) or next(grown, None) or next(ended, None)
        if stands is not None:
            spare.remove(stands)
            return True
        return is_import and self._needless(line, spare)

    def _turned(self, line: Tokens, other: Tokens, *, waiting: bool) -> bool:
        """Whether a line only calls by new names what the findings' lines name."""
        fresh = self._unknown if waiting else self._fresh

        def follows(old: str, new: str) -> bool:
            return old == new or (old in self._own_words and (new in fresh or self._replaces(old, new)))

        return (
            len(line) == len(other)
            and line != other
            and all(
                follows(old, new) or filled_alike(old, new, follows)
                for old, new in zip(line, other, strict=True)
            )
        )

    def _replaces(self, old: str, new: str) -> bool:
        """Whether a finding names what is used in place of what it is about, such as `list` for `List`."""
        return any({old, new} <= point.asked for point in self._ground.points)

    def _grew(self, line: Tokens, other: Tokens, *, is_import: bool, waiting: bool) -> bool:
        """Whether a line only has more words in it than before, all of them of the mending."""
        more = Counter(other) - Counter(line)
        if more.keys() & _TURNS or not any(map(WORD.fullmatch, more)) or not _within(line, other):
            return False
        if waiting or (is_import and "(" not in other):
            return True
        brought = set(self._names([tuple(more)]))
        fresh = {name for name in brought if name in self._unknown and self._told[name] > 1}
        if other not in self._free:
            return False
        if fresh and not brought - fresh - self._own_names:
            return True
        # What is known already comes as another value to take, not as an argument or a parameter more.
        chosen = bool(more.keys() & _CHOOSES) and not _DEFINES.match(" ".join(other))
        return chosen and not self._own_names.isdisjoint(self._names([other]))

    def _needless(self, line: Tokens, spare: Sequence[Tokens]) -> bool:
        """Whether what an import line lost was used before; if it still were, the checker would say so."""
        lost = [
            name
            for name in bound_by(line)
            if not any(name in other and not _IMPORTS.isdisjoint(other) for other in spare)
        ]
        return bool(lost) and all(self._used[name] > 1 for name in lost)

    @cached_property
    def _used(self) -> Counter[str]:
        return Counter(self._names(map(tokens_of, self._lines)))

    def _emptied(self, point: Point) -> list[str]:
        """Whether nothing, or of a whole definition too little, is left of what a finding's lines work on."""
        touched = [
            line
            for hunk in self._hunks
            for line in range(hunk.start_line, hunk.end_line + 1)
            if line in point.own
        ]
        if not touched:
            return []
        if all(
            line in self._ground.imports and self._needless(self._said(line), self._spare) for line in touched
        ):
            return []
        where = f"line {min(touched)}"
        before = set(self._names_of(touched)) - set(self._renamed)
        after = set(self._brought)
        if point.keeps_calls:
            calls = {name for line in touched for name in called_in(tokens_of(self._lines[line - 1]))}
            gone = ", ".join(sorted(calls & before - after))
            return [f"{where} called {gone}: keep the call and drop the name alone"] if gone else []
        if point.whole:
            inside = {line for line in point.own if not _DEFINES.match(self._lines[line - 1])}
            before = set(self._names_of(inside))
            after |= set(self._names_of(inside - {*touched}))
            few = len(before & after) * 2 < len(before)
            return [f"less than half is left of what is defined at {where}: keep what it does"] if few else []
        # What has three quotes is text of several lines, whose words are no names.
        texts = [line for line in _joined(self._new) if '""' in line]
        left = after or not before.difference(WORD.findall(" ".join(_flat(texts))))
        if left or point.removal or self._raises_again(touched) or self._repair_empties(point):
            return []
        gone = ", ".join(sorted(before)[:_SHOWN_NAMES])
        return [f"nothing is left of what {where} works on ({gone}): repair the statement, do not remove it"]

    def _repair_empties(self, point: Point) -> bool:
        """Whether the checker's own repair leaves no name either; how close to it an edit is, others say."""
        repairs = edits_as_hunks(self._lines, point.repair) or ()
        lines = [tokens_of(line) for repair in repairs for line in split_lines(repair.replacement)]
        return bool(repairs) and not self._names(lines)

    def _doubled(self) -> list[str]:
        """Lines that come in though the same stands right beside, and is not what a finding is about."""
        before, after = (
            Counter(_joined(lines)) for lines in ([self._old(hunk) for hunk in self._hunks], self._new)
        )
        beside = {
            number
            for hunk in self._hunks
            for number in range(max(1, hunk.start_line - 1), min(hunk.end_line + 1, len(self._lines)) + 1)
            if number not in self._ground.own and number not in self._ground.imports
        }
        return [
            f"line {number} `{line_content(self._lines[number - 1]).strip()[:_SHOWN]}` is there twice"
            for number in sorted(beside)
            if (line := self._said(number)) in self._free
            and after[line] > before[line]
            and (self._names([line]) or any(LITERAL.match(sign) and sign[1:-1] for sign in line))
        ]

    def _old(self, hunk: Hunk) -> list[Tokens]:
        return [tokens_of(line) for line in split_lines(hunk.original)]

    def _undefined(self) -> list[str]:
        """The functions and classes that are not defined any more, but for those that a finding is about."""
        old, new = (
            Counter(found[1] for hunk in self._hunks for found in _DEFINITION.finditer(text(hunk)))
            for text in (operator.attrgetter("original"), operator.attrgetter("replacement"))
        )
        points = self._ground.points
        named = frozenset().union(*(point.said for point in points))
        headers = {line for point in points if OF_NAMES.search(point.name) for line in point.marked}
        named |= {found[1] for line in headers if (found := _DEFINITION.match(self._lines[line - 1]))}
        return [
            f"{name} is not defined any more, and no finding asks for that: leave its definition"
            for name in sorted((old - new).keys() - named)
        ]

    def _raises_again(self, touched: Sequence[int]) -> bool:
        """Whether a `raise` of what was just caught gives way to a bare one, which raises the same."""
        raised = any(tokens_of(self._lines[line - 1])[:1] == ("raise",) for line in touched)
        return raised and any(line == ("raise",) for new in self._new for line in new)

    def _used_for_show(self) -> list[str]:
        """Whether an unused import is still there, and a statement was made up that uses it."""
        brought = set(self._brought)
        if any("__all__" in line for new in self._new for line in new):
            brought = set()
        made_up = {
            name
            for point in (self._ground.points if brought else ())
            for line in (point.own if point.unused_import else ())
            for name in brought.intersection(bound_by(tokens_of(self._lines[line - 1])))
            if f"\n{self._lines[line - 1]}" in f"\n{self._edited}"
        }
        return [f"{name} is used only to be used: remove the import instead" for name in sorted(made_up)]

    def _names(self, lines: Iterable[Tokens], *, without: frozenset[str] = COMMON) -> list[str]:
        return names_in(lines, hashes=self._ground.hashes, without=without)

    def _names_of(self, lines: Iterable[int]) -> list[str]:
        return _joined(map(self._names_at, lines))

    @cached_property
    def _brought(self) -> Counter[str]:
        """The names in the new lines, but for those of lines that stand beside the findings' own."""
        beside = (
            tokens_of(self._lines[line - 1])
            for hunk in self._hunks
            for line in range(hunk.start_line, hunk.end_line + 1)
            if line not in self._ground.own
        )
        return Counter(self._names(line for new in self._new for line in new)) - Counter(self._names(beside))


def _flat(lines: Iterable[Tokens]) -> list[str]:
    return [token for line in lines for token in line]


def _joined(parts: Iterable[Iterable[_Part]]) -> list[_Part]:
    return [each for part in parts for each in part]


def _within(some: Sequence[str], more: Iterable[str]) -> bool:
    """Whether some tokens are among others in their order."""
    rest = iter(more)
    return all(token in rest for token in some)


def _count(line: Tokens, others: Iterable[Tokens]) -> int:
    """How many of some lines are much like one."""
    return sum(_share(Counter(line), other) > _HALF for other in others)


def _share(line: Counter[str], other: Tokens) -> float:
    """How much of two lines is the same, from 0 to 1."""
    return 2 * (line & Counter(other)).total() / (line.total() + len(other) or 1)


def _ends_otherwise(line: Tokens, other: Tokens) -> bool:
    """Whether a declaration now ends, or goes on with the next line, and is the same otherwise."""
    return line[:-1] == other[:-1] and {*line[-1:], *other[-1:]} == {";", ","}


def _matched(kept: Sequence[Tokens], new: Sequence[Tokens]) -> tuple[set[int], list[Tokens]]:
    """Which old lines are among the new ones in their order, and the new lines that are none of them."""
    if len(kept) + len(new) > _MOST_LINES:
        left = Counter(new)
        matched = {position for position, line in enumerate(kept) if left[line] > 0}
        return matched, list((left - Counter(kept)).elements())
    blocks = SequenceMatcher(None, kept, new, autojunk=False).get_matching_blocks()
    matched = {block.a + step for block in blocks for step in range(block.size)}
    taken = {block.b + step for block in blocks for step in range(block.size)}
    return matched, [line for position, line in enumerate(new) if position not in taken]
