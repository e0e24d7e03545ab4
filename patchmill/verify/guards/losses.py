"""What an edit takes away or changes though no finding asks for it.

The principle: outside of the statements that findings point at, an edit may add, and may rename what it
renames there, but every word and sign that stood must still stand, in its order; and of such a statement
something must be left, unless its rule says that it is there for nothing. Lines are compared as words and
signs, so that layout does not count; a string counts as one, and a comment as what it says.
"""

import builtins
import keyword
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from itertools import pairwise
from operator import attrgetter

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
_DEFINES = re.compile(r"\s*(?:async\s+)?(?:def|class|import|from|function|func|fn)\b")
_DEFINITION = re.compile(r"^[ \t]*(?:async[ \t]+)?(?:def|class)[ \t]+(\w+)", re.MULTILINE)
_TURNS = frozenset({"not", "!", "~"})
_MOST_LINES = 2_000
_SHOWN = 60
_SHOWN_NAMES = 5

Tokens = tuple[str, ...]


class Losses:
    """The losses of some hunks of a source."""

    def __init__(self, lines: Sequence[str], hunks: Sequence[Hunk], edited: str, ground: Ground) -> None:
        self._lines = lines
        self._hunks = hunks
        self._edited = edited
        self._ground = ground
        self._new = [[_tokens(line) for line in split_lines(hunk.replacement)] for hunk in hunks]
        self._own_words = {word for line in ground.own for word in self._words_of(line)}
        self._fresh: frozenset[str] = frozenset()
        self._renamed = self._renames()

    def found(self) -> list[str]:
        """Say in words what is lost, for each line; nothing if no finding needs to answer for it."""
        lost = [
            line for hunk, new in zip(self._hunks, self._new, strict=True) for line in self._lost(hunk, new)
        ]
        words = [
            f"line {line} `{line_content(self._lines[line - 1]).strip()[:_SHOWN]}` is changed or gone, "
            "and no finding asks for that: leave it as it was"
            for line in lost
        ]
        words = words or self._undefined()
        words = words or [words for point in self._ground.points for words in self._emptied(point)]
        return words or self._used_for_show()

    def renames_only(self, number: int) -> bool:
        """Whether a hunk does nothing but rename what is renamed where a finding is."""
        hunk = self._hunks[number]
        before = [
            self._renamed.get(token, token) for token in _flat(map(_tokens, split_lines(hunk.original)))
        ]
        return before == _flat(self._new[number])

    def _renames(self) -> dict[str, str]:
        """Names of the findings' lines that are gone, each with a name that is new, in their order."""
        own = self._own_words
        before = _flat(_tokens(line) for hunk in self._hunks for line in split_lines(hunk.original))
        after = _flat(line for new in self._new for line in new)
        left = set(after)
        known = set(_WORD.findall("".join(self._lines)))
        gone = [word for word in dict.fromkeys(before) if word in own and word not in left]
        fresh = [word for word in dict.fromkeys(after) if _WORD.fullmatch(word) and word not in known]
        self._fresh = frozenset(fresh)
        return dict(zip(gone, fresh, strict=False)) if len(gone) == len(fresh) else {}

    def _words_of(self, line: int) -> set[str]:
        inside = 0 < line <= len(self._lines)
        return (
            {token for token in _tokens(self._lines[line - 1]) if _WORD.fullmatch(token)} if inside else set()
        )

    def _lost(self, hunk: Hunk, new: Sequence[Tokens]) -> list[int]:
        old = list(enumerate(map(_tokens, split_lines(hunk.original)), start=hunk.start_line))
        kept = [(number, self._named(line)) for number, line in old if number not in self._ground.own]
        more = Counter(_flat(new)) - Counter(_flat(line for _, line in old))
        if _within(_flat(line for _, line in kept), _flat(new)) and not more.keys() & _TURNS:
            return []
        matched, spare = _matched([line for _, line in kept], new)
        return [
            number
            for position, (number, line) in enumerate(kept)
            if position not in matched and not self._forgiven(number, line, spare)
        ]

    def _named(self, line: Tokens) -> Tokens:
        return tuple(self._renamed.get(token, token) for token in line)

    def _forgiven(self, number: int, line: Tokens, spare: list[Tokens]) -> bool:
        """Whether a line is not lost: it says nothing, grew, moved, or imports what nothing needs now."""
        if line == ("pass",) or not any(len(token) > 1 or token.isalnum() for token in line):
            return True
        grown = next((other for other in spare if _grew(line, other) or self._turned(line, other)), None)
        if grown is not None:
            spare.remove(grown)
            return True
        if any(line in new for new in self._new):
            return True
        text = self._lines[number - 1]
        if _DEFINES.match(text) and text in split_lines(self._edited):
            return True
        return number in self._ground.imports and self._needless(_tokens(text), spare)

    def _turned(self, line: Tokens, other: Tokens) -> bool:
        """Whether a line only calls by new names what the findings' lines name."""
        return len(line) == len(other) and all(
            old == new or (old in self._own_words and new in self._fresh)
            for old, new in zip(line, other, strict=True)
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
            for text in (attrgetter("original"), attrgetter("replacement"))
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


def _within(some: Sequence[str], more: Iterable[str]) -> bool:
    """Whether some tokens are among others in their order."""
    rest = iter(more)
    return all(token in rest for token in some)


def _grew(line: Tokens, other: Tokens) -> bool:
    """Whether a line only has more in it than before, and nothing that turns around what it says."""
    return _within(line, other) and not (Counter(other) - Counter(line)).keys() & _TURNS


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


def _names(lines: Iterable[Tokens]) -> list[str]:
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
    return [name for name in found if name not in _COMMON]


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
