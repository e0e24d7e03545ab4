"""What an edit says otherwise where bare words are values: in shell, Dockerfiles, YAML, JSON and CSS.

Of other languages a checker knows most words as names; here each may be a path, a package or a port. So in
a finding's own lines, too, no word may go unless the rule is about what is there for nothing, points at the
word or speaks of it. Where only the layout is asked for, all words stay as they are. Where the checker has a
repair of its own which brings nothing but signs, such as quotes, no word comes in.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from patchmill.edit.span import Hunk
from patchmill.verify.guards.ground import Ground, Point
from patchmill.verify.guards.words import signs_of
from patchmill.verify.tool_fixes import edits_as_hunks

LITERAL = frozenset({"bash", "dockerfile", "yaml", "json", "css", "toml", "html"})

# Rules about how a file is laid out. Two of them ask for other quotes or for line breaks within a value.
_LAYOUT = frozenset({
    "braces", "brackets", "colons", "commas", "comments", "comments-indentation", "document-end",
    "document-start", "empty-lines", "hyphens", "indentation", "line-length",
    "new-line-at-end-of-file", "quoted-strings", "trailing-spaces",
})  # fmt: skip
_REQUOTES = frozenset({"line-length", "quoted-strings"})
_JOINS = re.compile(r"group|consolidat|repeat")  # one may stand for several
_STATUS = re.compile(r"exit-status")  # a command may be asked itself, instead of the number that it ends with
_TESTS = re.compile(r"eq|ne|[gl][te]|\d+")
_MEASURE = re.compile(r"(\d+)[A-Za-z]+")
_IMAGE = re.compile(r"^[ \t]*FROM[ \t]+(?:--\S+[ \t]+)?([\w./-]+)", re.IGNORECASE | re.MULTILINE)
_TOKEN = re.compile(r"\w+|\|\||&&|>>|\S")
_WORD = re.compile(r"\w+|>>|[^\x00-\x7f]")
_OPERATORS = frozenset({"&&", "||"})
_TRUTHS = frozenset({"true", "false"})
_QUOTES = frozenset("\"'`")
_PATTERNS = frozenset("*~")
_BRACES = frozenset("{}")  # around a name they change nothing
_SHOWN = 5


def said_otherwise(
    lines: Sequence[str], hunks: Sequence[Hunk], ground: Ground, *, messages: Collection[str]
) -> list[str]:
    """Say which words go or come in without being asked for; `messages` are those of the findings."""
    points = [point for point in ground.points if _touches(point, hunks)]
    if not points or not all(point.reproduced for point in points):
        return []
    change = _Change.of(hunks, points)
    if change.names <= _LAYOUT:
        return change.laid_out_otherwise()
    return (
        change.lost()
        or change.doubled()
        or change.turned(messages)
        or change.exchanged()
        or change.beyond(_repaired(lines, points, hunks))
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """What hunks say, before and after; of the findings the names of their rules, and what they speak of."""

    before: str
    after: str
    points: Sequence[Point]
    names: frozenset[str]
    said: frozenset[str]
    gone: Counter[str]
    come: Counter[str]

    @classmethod
    def of(cls, hunks: Sequence[Hunk], points: Sequence[Point]) -> Self:
        before = "\n".join(hunk.original for hunk in hunks)
        after = "\n".join(hunk.replacement for hunk in hunks)
        old, new = Counter(_TOKEN.findall(before)), Counter(_TOKEN.findall(after))
        pointed = (point.pointed for point in points if len(point.pointed) == 1)
        return cls(
            before=before,
            after=after,
            points=points,
            names=frozenset(point.name for point in points),
            said=frozenset().union(*pointed, *(point.said | point.asked for point in points)),
            gone=old - new,
            come=new - old,
        )

    def laid_out_otherwise(self) -> list[str]:
        """Whether anything but the layout has changed."""
        kept = _QUOTES if not self.names & _REQUOTES else frozenset[str]()
        old, new = (
            [token for token in _TOKEN.findall(text) if _is_word(token) or token in kept]
            for text in (self.before, self.after)
        )
        return [] if old == new else ["the finding is about layout alone: leave every word, and in its order"]

    def lost(self) -> list[str]:
        """The words that are gone and that nothing speaks of."""
        if any(point.removal for point in self.points):
            return []
        joins = any(map(_JOINS.search, self.names))
        left = {*_TOKEN.findall(self.after)} if joins else frozenset[str]()
        status = any(map(_STATUS.search, self.names))
        lost = [
            word
            for word in self.gone
            if _is_word(word)
            and word not in left
            and not (status and _TESTS.fullmatch(word))
            and not self._may_go(word)
        ]
        return [f"`{_told(lost)}` is gone, and no finding asks for that"] if lost else []

    def _may_go(self, word: str) -> bool:
        """Whether the checker speaks of a word; the number of a measure such as `10pxx` stays in any case."""
        measure = _MEASURE.fullmatch(word)
        if measure is not None:
            return any(other.startswith(measure[1]) for other in self.come)
        return word in self.said or word.lower() in self.said

    def doubled(self) -> list[str]:
        """The words that come in where one of two entries was to go."""
        words = [word for word in self.come if _is_word(word)]
        doubles = any(point.doubles for point in self.points)
        return [f"`{_told(words)}` comes in where one of two was to go"] if doubles and words else []

    def turned(self, messages: Iterable[str]) -> list[str]:
        """The `&&` or `||` that comes in where the checker asks for the other one."""
        wanted = {token for message in messages for token in _TOKEN.findall(message)} & _OPERATORS
        other = sorted(_OPERATORS.intersection(self.come) - wanted) if wanted else []
        return [f"`{other[0]}` stands where the finding asks for `{min(wanted)}`"] if other else []

    def exchanged(self) -> list[str]:
        """Another image in the place of one, or patterns that lost their meaning to quotes."""
        old, new = _IMAGE.findall(self.before), _IMAGE.findall(self.after)
        if len(old) == len(new) and old != new:
            return [f"the image `{_told(new)}` stands in the place of `{_told(old)}`"]
        quoted = sorted(_quoted_patterns(self.after) - _quoted_patterns(self.before))
        if not quoted:
            return []
        return [f"`{_told(quoted)}` stands in quotes now and means itself: leave it outside of them"]

    def beyond(self, repaired: Counter[str] | None) -> list[str]:
        """What comes in beside the checker's own repair, of which `repaired` is what that brings."""
        if repaired is None:
            return []
        asked = set(filter(_is_word, repaired))
        if not asked:
            more = [token for token in self.come - repaired if token not in self.said | _BRACES]
            return [f"`{_told(more)}` is more than what the finding asks for"] if more else []
        brought = set(filter(_is_word, self.come))
        fits = brought <= asked if asked <= _TRUTHS else not brought.isdisjoint(asked | self.said)
        if fits or not brought:
            return []
        return [f"`{_told(sorted(brought))}` stands where the rule's own repair has `{_told(sorted(asked))}`"]


def _touches(point: Point, hunks: Sequence[Hunk]) -> bool:
    return any(line in point.own for hunk in hunks for line in range(hunk.start_line - 1, hunk.end_line + 2))


def _is_word(token: str) -> bool:
    """Whether a token says something by itself: a word, `>>`, or a sign beyond ASCII."""
    return _WORD.fullmatch(token) is not None


def _quoted_patterns(text: str) -> Counter[str]:
    signs = (sign for line in text.split("\n") for sign in signs_of(line, hashes=True))
    return Counter(sign.text for sign in signs if sign.quoted and sign.text in _PATTERNS)


def _repaired(lines: Sequence[str], points: Iterable[Point], hunks: Sequence[Hunk]) -> Counter[str] | None:
    """What the checker's own repairs bring into the lines that hunks touch; None if it has none there."""
    repairs = {
        repair
        for point in points
        if point.repair
        for repair in edits_as_hunks(lines, point.repair) or ()
        for hunk in hunks
        if repair.start_line <= hunk.end_line + 1 and hunk.start_line <= repair.end_line + 1
    }
    brought: Counter[str] = Counter()
    for repair in repairs:
        brought += Counter(_TOKEN.findall(repair.replacement)) - Counter(_TOKEN.findall(repair.original))
    return brought if repairs else None


def _told(words: Iterable[str]) -> str:
    return " ".join([*words][:_SHOWN])
