"""Where an edit may add: in the definition that holds a finding, or elsewhere what the fix calls for.

That is the scope of an edit where the request names none. What it may take away is a matter of `losses`.
Elsewhere it may add an import, lines that it takes from another place, and what binds a name that is new to
the file, if what it writes at the findings uses that name or a finding says it.
"""

import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

from patchmill.edit.span import Hunk, split_lines
from patchmill.verify.guards.ground import Ground
from patchmill.verify.outline.read import Lines

# How a statement begins that is run for what it does.
_DOES = re.compile(
    r"(?:await\s+|void\s+|new\s+)?[\w$.]+\s*[(`]|(?:for|while|del|raise|throw|assert|return|exit|exec|defer|go)\b"
)
_IMPORT = re.compile(r"(?:from|import(?!\s*[\"'])|use|using|require|#\s*include|extern crate)\b")
# Names between the brackets of an import, and no statement of another kind.
_NAMES = re.compile(r"""[\w\s.*,:{}()"'`/@-]*+""")
_REMARKS = {True: ("#", "<!--"), False: ("//", "*", "/*", "<!--")}
_GOES_ON = re.compile(r"[)\]}>;,]|(?:else|elif|except|finally|catch|end|fi|done|esac)\b")
_WORD = re.compile(r"[\w$]+")
# A word before another one is a keyword or a type, and no name that is bound there.
_BOUND = re.compile(r"(?<![\w$])[\w$]++(?![ \t]++[\w$])")
# Strings and comments, by whether a hash begins a comment.
_PROSE = {
    True: re.compile(r"""\"[^"\n]*\"|'[^'\n]*'|#.*"""),
    False: re.compile(r"""\"[^"\n]*\"|'[^'\n]*'|//.*"""),
}
# Words of rules about names that are used and not there.
_UNDEFINED = frozenset({"undef", "undefined"})
_MOST_LINES = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Stray:
    """Where in the source an edit adds what belongs to no finding; `waits` if other edits may call for it."""

    line: int
    waits: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """Lines of the source, and what stands in their place; `last` is before `first` if that is only added."""

    first: int
    last: int
    old: Sequence[str]
    added: Sequence[str]

    @property
    def depth(self) -> int:
        """How far in what is added stands."""
        return min(map(_depth, filter(str.strip, self.added)), default=0)


def strays(hunks: Sequence[Hunk], ground: Ground, lines: Sequence[str]) -> list[Stray]:
    """Say where hunks add what belongs to no finding."""
    within = [(start, end) for start, end in ground.around if (start, end) in ground.functions]
    changes = [
        part for hunk in hunks for change in _changes(hunk, lines) for part in _parts(change, within, lines)
    ]
    added = [change for change in changes if any(line.strip() for line in change.added)]
    beside = [change for change in added if not _at_finding(change, ground, within, lines)]
    at_findings = [line for change in added if change not in beside for line in change.added]
    called = _called_for(beside, at_findings, ground, lines) if beside else frozenset()
    moved = frozenset(line.strip() for change in changes for line in change.old)
    found = [
        Stray(line=change.first, waits=not _acts(change, ground))
        for change in beside
        if _acts(change, ground) or _loose(change, ground, called, moved)
    ]
    return sorted(found, key=lambda stray: stray.line)


def _at_finding(change: _Change, ground: Ground, within: Sequence[Lines], lines: Sequence[str]) -> bool:
    """Whether lines come in where a finding is: in what holds it, or next to its own lines.

    What comes in before or after a function is in it if it is a decorator, or further in.
    """
    low, high = _below_blank_lines(change, lines)
    for start, end in within:
        if high < low and low == start:
            return _decorates(change, start, ground, lines)
        if high < low and low == end + 1:
            return change.depth > _depth(lines[start - 1])
    return any(start <= low and high <= end for start, end in ground.around) or _on(change, ground.own)


def _decorates(change: _Change, start: int, ground: Ground, lines: Sequence[str]) -> bool:
    """Whether lines before a function are decorators of it, or remarks, and a finding is about its header."""
    header = next(line for line in range(start, len(lines) + 1) if not _is_decorator(lines[line - 1]))
    return header in ground.own and all(map(_is_decorator, _told(change.added, ground)))


def _is_decorator(line: str) -> bool:
    return line.lstrip().startswith("@")


def _called_for(
    beside: Sequence[_Change], at_findings: Sequence[str], ground: Ground, lines: Sequence[str]
) -> frozenset[str]:
    """The names new to the file that findings ask for, or that are used at them, or by what is called for."""
    known = {word for line in lines for word in _WORD.findall(_PROSE[ground.hashes].sub("", line))}
    undefined = [point.asked for point in ground.points if not _UNDEFINED.isdisjoint(point.asked)]
    known = known.difference(*undefined)
    asked = {name for point in ground.points for name in point.asked}
    asked |= {*_WORD.findall("\n".join(at_findings))}
    fresh = {word for change in beside for line in change.added for word in _BOUND.findall(line)} - known
    called = {word for word in fresh if not asked.isdisjoint((word, word.lower()))}
    users: dict[str, list[list[str]]] = {}
    for change in beside:
        for one in _statements(change.added, ground):
            words = fresh.intersection(_WORD.findall(one))
            for word in words:
                users.setdefault(word, []).append([*words])
    waiting = [*called]
    while waiting:
        more = {word for words in users.pop(waiting.pop(), ()) for word in words} - called
        called |= more
        waiting += more
    return frozenset(called)


def _acts(change: _Change, ground: Ground) -> bool:
    """Whether lines beside the findings are in another function, or are run for what they do."""
    inside = any(start < change.first <= end for start, end in ground.functions)
    known = ground.functions or ground.around
    return inside or bool(known and not all(map(_binds, _outermost(change.added, ground))))


def _loose(change: _Change, ground: Ground, called: frozenset[str], moved: frozenset[str]) -> bool:
    """Whether lines beside the findings are more than imports and what the fix calls for.

    Lines that stand for lines of the source are judged by `losses`.
    """
    if _between(change, ground.imports) and all(
        _NAMES.fullmatch(line.split("#" if ground.hashes else "//", maxsplit=1)[0]) for line in change.added
    ):
        return False
    # Remarks come with what they are about, and not by themselves.
    statements = _statements(change.added, ground) or [line.strip() for line in change.added if line.strip()]
    loose = [
        one
        for one in statements
        if not called.intersection(_WORD.findall(one))
        and not any(_IMPORT.match(line) for line in one.split("\n"))
        and not all(line in moved for line in one.split("\n"))
    ]
    return len(loose) > sum(bool(line.strip()) for line in change.old)


def _below_blank_lines(change: _Change, lines: Sequence[str]) -> Lines:
    """Where lines come in: if they are indented, they belong to what stands above blank lines."""
    first, last = change.first, change.last
    indented = any(_depth(line) for line in change.added[:1])
    while indented and first > 1 and last < first and not lines[first - 2].strip():
        first, last = first - 1, last - 1
    return first, last


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())


def _changes(hunk: Hunk, lines: Sequence[str]) -> Iterator[_Change]:
    old, new = split_lines(hunk.original), split_lines(hunk.replacement)
    if len(old) + len(new) > _MOST_LINES:
        yield _Change(first=hunk.start_line, last=hunk.end_line, old=old, added=new)
        return
    before, after = ([line.strip() for line in each] for each in (old, new))
    for tag, low, high, start, end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag != "equal":
            first, last = hunk.start_line + low, hunk.start_line + high - 1
            yield _slid(_Change(first=first, last=last, old=old[low:high], added=new[start:end]), lines)


def _slid(change: _Change, lines: Sequence[str]) -> _Change:
    """What is added, behind the closing bracket that it begins with if that one stood there before."""
    first, added = change.first, deque(change.added)
    while change.last < change.first <= first <= len(lines) and added:
        line = lines[first - 1]
        if added[0].strip() != line.strip() or not (_GOES_ON.match(line.strip()) or first > change.first):
            break
        added.popleft()
        added.append(line)
        first += 1
    return replace(change, first=first, last=change.last + first - change.first, added=tuple(added))


def _parts(change: _Change, within: Sequence[Lines], lines: Sequence[str]) -> Iterator[_Change]:
    """A change of the last lines of a function, and what it adds after that function."""
    start, end = next((one for one in within if one[1] == change.last), (0, 0))
    beyond = next(
        (
            number
            for number, line in enumerate(change.added)
            if number and line.strip() and _depth(line) <= _depth(lines[start - 1])
            and not _GOES_ON.match(line.strip()) and not _is_decorator(change.added[number - 1])
        ),
        None,
    ) if start and change.old else None  # fmt: skip
    if beyond is None:
        yield change
        return
    yield replace(change, added=change.added[:beyond])
    yield _Change(first=end + 1, last=end, old=(), added=change.added[beyond:])


def _on(change: _Change, lines: frozenset[int]) -> bool:
    """Whether a change is of some lines, or adds right next to one of them."""
    first, last = change.first, change.last
    return any(line in lines for line in range(min(first, last), max(first, last) + 1))


def _between(change: _Change, lines: frozenset[int]) -> bool:
    """Whether a change is of some lines alone, or adds between two of them."""
    first, last = change.first, change.last
    return all(line in lines for line in range(min(first, last), max(first, last) + 1))


def _told(lines: Sequence[str], ground: Ground) -> list[str]:
    """Some lines without blank ones and comments."""
    remarks = _REMARKS[ground.hashes]
    return [line for line in lines if line.strip() and not line.strip().startswith(remarks)]


def _outermost(lines: Sequence[str], ground: Ground) -> list[str]:
    """Of some lines those that are indented least, without blank ones and comments."""
    told = _told(lines, ground)
    depth = min(map(_depth, told), default=0)
    return [line.strip() for line in told if _depth(line) == depth]


def _statements(lines: Sequence[str], ground: Ground) -> list[str]:
    """The outermost statements in some lines, each with its decorators and all that it holds."""
    told = _told(lines, ground)
    depth = min(map(_depth, told), default=0)
    found: list[list[str]] = []
    for line in told:
        text = line.strip()
        goes_on = found and (_depth(line) > depth or _GOES_ON.match(text) or found[-1][-1].startswith("@"))
        if goes_on:
            found[-1].append(text)
        else:
            found.append([text])
    return ["\n".join(one) for one in found]


def _binds(line: str) -> bool:
    return _DOES.match(line) is None
