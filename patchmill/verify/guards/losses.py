"""What an edit takes away or changes though no finding asks for it.

The principle: outside of the statements that findings point at, an edit may add lines, and each line that
stood must still stand. It may only call by a new name what is renamed where a finding is, and have more
words in it if it names what the findings' lines name; and of a finding's statement something must be left,
unless its rule says that it is there for nothing. Lines are compared as words and signs, so that layout does
not count; a string counts as one, and a comment as what it says.
"""

import builtins
import keyword
import operator
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from itertools import pairwise
from typing import TypeVar

from patchmill.edit.span import Hunk, line_content, split_lines
from patchmill.verify.guards.ground import Ground, Point

_TOKEN = re.compile(
    r"""[fFtT][rR]?"(?:[^"\\]|\\.){0,300}"|[fFtT][rR]?'(?:[^'\\]|\\.){0,300}'"""
    r"""|"(?:[^"\\]|\\.){0,300}"|'(?:[^'\\]|\\.){0,300}'|`(?:[^`\\]|\\.){0,300}`|\w+|[^\w\s]"""
)
_WORD = re.compile(r"[^\W\d]\w*")
_FILLED = re.compile(r"[fFtT][rR]?[\"']|`")
_FILLING = re.compile(r"\{[^{}]{0,200}")
_COMMON = frozenset({
    *dir(builtins), *keyword.kwlist, *keyword.softkwlist,
    "async", "await", "break", "case", "catch", "const", "continue", "debugger", "default",
    "delete", "do", "else", "export", "extends", "finally", "for", "func", "fn", "function", "if",
    "in", "instanceof", "let", "mut", "new", "null", "nil", "of", "private", "public", "return",
    "static", "struct", "super", "switch", "this", "self", "throw", "true", "false", "try",
    "typeof", "undefined", "var", "void", "while", "yield", "eval", "Function",
})  # fmt: skip
_KEYWORDS = frozenset({*keyword.kwlist, "true", "false", "null", "nil", "undefined"})
_DEFINES = re.compile(r"\s*(?:async\s+)?(?:def|class|import|from|function|func|fn)\b")
_DEFINITION = re.compile(r"^[ \t]*(?:async[ \t]+)?(?:def|class)[ \t]+(\w+)", re.MULTILINE)
_TURNS = frozenset({"not", "!", "~"})
_MOST_LINES = 2_000
_MOST_PAIRS = 1_000_000
_MOST_CLAIMS = 50_000
_HALF = 0.5
_SHOWN = 60
_SHOWN_NAMES = 5

Tokens = tuple[str, ...]
_Part = TypeVar("_Part")


class Losses:
    """The losses of some hunks of a source."""

    def __init__(self, lines: Sequence[str], hunks: Sequence[Hunk], edited: str, ground: Ground) -> None:
        self._lines = lines
        self._hunks = hunks
        self._edited = edited
        self._ground = ground
        self._new = [[_tokens(line) for line in split_lines(hunk.replacement)] for hunk in hunks]
        own = [_tokens(lines[line - 1]) for line in ground.own if 0 < line <= len(lines)]
        self._own_names = frozenset(_names(own))
        self._own_words = frozenset(_names(own, without=_KEYWORDS))
        self._changed, self._spare = self._compared()
        known = {*_WORD.findall("".join(lines))}
        self._unknown = frozenset(_names(_joined(self._new))) - known
        self._free = self._unclaimed()
        self._told = Counter(_joined({*_names([line])} for line in self._spare))
        self._fresh = self._come_in()
        self._renamed = self._renames()

    def found(self) -> list[str]:
        """Say in words what is lost, for each line; nothing if no finding needs to answer for it."""
        words = [
            f"line {line} `{line_content(self._lines[line - 1]).strip()[:_SHOWN]}` is changed or gone, "
            "and no finding asks for that: leave it as it was"
            for line in self._lost(waiting=False)
        ]
        words = words or self._undefined()
        words = words or [words for point in self._ground.points for words in self._emptied(point)]
        return words or self._used_for_show()

    def waits(self) -> bool:
        """Whether lines beside the findings' have nothing new but names that other hunks may bring."""
        return bool(self._lost(waiting=False)) and not self._lost(waiting=True)

    def renames_only(self, number: int) -> bool:
        """Whether a hunk does nothing but rename what is renamed where a finding is."""
        hunk = self._hunks[number]
        before = [
            self._renamed.get(token, token) for token in _flat(map(_tokens, split_lines(hunk.original)))
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

    def _said(self, number: int) -> Tokens:
        return _tokens(self._lines[number - 1])

    def _come_in(self) -> frozenset[str]:
        """The names that are new where the findings are: in no line that stands for one beside them."""
        rest = list(self._spare)
        for number in self._changed:
            line = self._said(number)
            other = next((other for other in rest if self._alike(line, other)), None)
            if other is not None:
                rest.remove(other)
        return self._unknown.intersection(_names(rest))

    def _unclaimed(self) -> frozenset[Tokens]:
        """The new lines that do not stand for one of the findings': each takes what is most like it."""
        rest = [(line, Counter(line)) for line in self._spare]
        touched = [
            self._said(number)
            for hunk in self._hunks
            for number in range(hunk.start_line, hunk.end_line + 1)
            if number in self._ground.own
        ]
        if len(touched) * len(rest) > _MOST_CLAIMS:
            return frozenset()
        for line in touched:
            tokens = Counter(line)
            shares = [2 * (tokens & other).total() / (len(line) + other.total() or 1) for _, other in rest]
            if max(shares, default=0) > _HALF:
                del rest[shares.index(max(shares))]
        return frozenset(line for line, _ in rest)

    def _alike(self, line: Tokens, other: Tokens) -> bool:
        """Whether two lines differ in nothing but what the one names as the findings' lines do."""
        return len(line) == len(other) and all(
            old == new or old in self._own_words for old, new in zip(line, other, strict=True)
        )

    def _renames(self) -> dict[str, str]:
        """Names of the findings' lines that are gone, each with a name that is new, in their order."""
        old = _joined(map(_tokens, split_lines(hunk.original)) for hunk in self._hunks)
        before, after = (_names(lines, without=_KEYWORDS) for lines in (old, _joined(self._new)))
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
        if line in {(), ("pass",)}:
            return True
        stands = next((other for other in spare if other == line), None)
        if stands is None:
            turned = (other for other in spare if self._turned(line, other, waiting=waiting))
            grown = (
                other
                for other in spare
                if _grew(line, other) and (is_import or waiting or self._follows(other))
            )
            stands = next(turned, next(grown, None))
        if stands is not None:
            spare.remove(stands)
            return True
        return is_import and self._needless(line, spare)

    def _turned(self, line: Tokens, other: Tokens, *, waiting: bool) -> bool:
        """Whether a line only calls by new names what the findings' lines name."""
        return len(line) == len(other) and all(
            old == new or (old in self._own_words and new in (self._unknown if waiting else self._fresh))
            for old, new in zip(line, other, strict=True)
        )

    def _follows(self, line: Tokens) -> bool:
        """Whether a line names what the findings' lines name, or what another new line does."""
        return line in self._free and any(
            name in self._own_names or self._told[name] > 1 for name in _names([line])
        )

    def _needless(self, line: Tokens, spare: Sequence[Tokens]) -> bool:
        """Whether what an import line lost was used before; if it still were, the checker would say so."""
        used = Counter(_names(map(_tokens, self._lines)))
        lost = [name for name in _bound(line) if not any(name in other for other in spare)]
        return all(used[name] > 1 for name in lost)

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
        where = f"line {min(touched)}"
        before = set(self._names_of(touched)) - set(self._renamed)
        after = set(self._brought())
        if point.keeps_calls:
            calls = {name for line in touched for name in _called(_tokens(self._lines[line - 1]))}
            gone = ", ".join(sorted(calls & before - after))
            return [f"{where} called {gone}: keep the call and drop the name alone"] if gone else []
        if point.whole:
            inside = {line for line in point.own if not _DEFINES.match(self._lines[line - 1])}
            before = set(self._names_of(inside))
            after |= set(self._names_of(inside - {*touched}))
            few = len(before & after) * 2 < len(before)
            return [f"less than half is left of what is defined at {where}: keep what it does"] if few else []
        if point.removal or not before or after or self._raises_again(touched):
            return []
        gone = ", ".join(sorted(before)[:_SHOWN_NAMES])
        return [f"nothing is left of what {where} works on ({gone}): repair the statement, do not remove it"]

    def _undefined(self) -> list[str]:
        """The functions and classes that are not defined any more, but for those that a finding is about."""
        old, new = (
            Counter(found[1] for hunk in self._hunks for found in _DEFINITION.finditer(text(hunk)))
            for text in (operator.attrgetter("original"), operator.attrgetter("replacement"))
        )
        named = frozenset().union(*(point.said for point in self._ground.points))
        return [
            f"{name} is not defined any more, and no finding asks for that: leave its definition"
            for name in sorted((old - new).keys() - named)
        ]

    def _raises_again(self, touched: Sequence[int]) -> bool:
        """Whether a `raise` of what was just caught gives way to a bare one, which raises the same."""
        raised = any(_tokens(self._lines[line - 1])[:1] == ("raise",) for line in touched)
        return raised and any(line == ("raise",) for new in self._new for line in new)

    def _used_for_show(self) -> list[str]:
        """Whether an unused import is still there, and a statement was made up that uses it."""
        brought = set(self._brought())
        if any("__all__" in line for new in self._new for line in new):
            brought = set()
        made_up = {
            name
            for point in (self._ground.points if brought else ())
            for line in (point.own if point.unused_import else ())
            for name in brought.intersection(_bound(_tokens(self._lines[line - 1])))
            if f"\n{self._lines[line - 1]}" in f"\n{self._edited}"
        }
        return [f"{name} is used only to be used: remove the import instead" for name in sorted(made_up)]

    def _names_of(self, lines: Iterable[int]) -> list[str]:
        return _names(_tokens(self._lines[line - 1]) for line in lines)

    def _brought(self) -> Counter[str]:
        """The names in the new lines, but for those of lines that stand beside the findings' own."""
        beside = (
            _tokens(self._lines[line - 1])
            for hunk in self._hunks
            for line in range(hunk.start_line, hunk.end_line + 1)
            if line not in self._ground.own
        )
        return Counter(_names(line for new in self._new for line in new)) - Counter(_names(beside))


def _tokens(line: str) -> Tokens:
    return tuple(_TOKEN.findall(line))


def _flat(lines: Iterable[Tokens]) -> list[str]:
    return [token for line in lines for token in line]


def _joined(parts: Iterable[Iterable[_Part]]) -> list[_Part]:
    return [each for part in parts for each in part]


def _within(some: Sequence[str], more: Iterable[str]) -> bool:
    """Whether some tokens are among others in their order."""
    rest = iter(more)
    return all(token in rest for token in some)


def _grew(line: Tokens, other: Tokens) -> bool:
    """Whether a line only has more words in it than before, and none that turns around what it says."""
    more = (Counter(other) - Counter(line)).keys()
    return not more & _TURNS and any(map(_WORD.fullmatch, more)) and _within(line, other)


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


def _names(lines: Iterable[Tokens], *, without: frozenset[str] = _COMMON) -> list[str]:
    """Give the names in lines, without words of the language, comments and plain strings."""
    found: list[str] = []
    for line in lines:
        for sign, after in pairwise((*line, "")):
            if sign == "#" or (sign, after) == ("/", "/"):
                break
            if _FILLED.match(sign):
                found += [name for part in _FILLING.findall(sign) for name in _WORD.findall(part)]
            elif _WORD.fullmatch(sign):
                found.append(sign)
    return [name for name in found if name not in without]


def _bound(line: Tokens) -> list[str]:
    """The names that a line of an import binds."""
    begin = line.index("import") + 1 if "import" in line else 0
    bound: list[str] = []
    for position, token in enumerate(line[begin:], start=begin):
        before = line[position - 1] if position else ""
        if before in {".", "from"} or token in {"from", "as"} or not _WORD.fullmatch(token):
            continue
        if before == "as" and bound:
            bound.pop()
        bound.append(token)
    return bound


def _called(line: Tokens) -> set[str]:
    return {name for name, after in pairwise(line) if after == "(" and _WORD.fullmatch(name)}
