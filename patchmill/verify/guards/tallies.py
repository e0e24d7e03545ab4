"""What lines have more or less of after an edit, wherever in them it stands, though nothing asks for it.

Counted are numbers, lines, ways out of what runs, the arguments of calls, and the errors that are caught or
raised. Where the checker has a repair of its own and the edit is close to it, the repaired lines are those
that the new ones are compared with.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice, pairwise, takewhile

from patchmill.verify.guards.asked import (
    OF_ARGUMENTS,
    OF_ERRORS,
    OF_LEAVING,
    OF_LOOPS,
    OF_NUMBERS,
    OF_OPERATORS,
    OF_ORDER,
)
from patchmill.verify.guards.ground import Point
from patchmill.verify.guards.parts import Signs, telling, told
from patchmill.verify.guards.words import BUILTINS, COMMON, KEYWORDS, WORD, Sign

LEAVES = frozenset({"return", "raise", "throw", "break", "continue", "assert", "yield", "del", "exit"})
NEGATIONS = frozenset({"not", "!", "!=", "!==", "~"})
OPPOSITES = {"==": "!=", "<": ">=", ">": "<=", "and": "or", "===": "!==", "&&": "||"}
OPPOSITES |= {after: before for before, after in OPPOSITES.items()}
_COMPARES = frozenset({"<", ">", "<=", ">=", "==", "!=", "===", "!==", "is"})
_DEFINES = frozenset({"def", "class", "function", "fn", "func", "fun"})
_NO_CALLS = COMMON - BUILTINS - {"super"}
_OPENS, _CLOSES = frozenset("([{"), frozenset(")]}")
_QUOTES = frozenset("\"'`")
# Calls whose arguments are the errors that they catch.
_CATCHERS = frozenset({"suppress", "raises", "assertRaises", "assertRaisesRegex", "warns"})
# What a bare `except` catches.
_EVERYTHING = frozenset({"Exception", "BaseException"})


@dataclass(slots=True)
class Call:
    """A call of a name: its keywords, its other arguments, and whether it hands on a sequence of them."""

    name: str
    keywords: dict[str, Signs] = field(default_factory=dict)
    plain: list[Signs] = field(default_factory=list)
    starred: bool = False

    @property
    def order(self) -> list[Sign]:
        """What its arguments that are no keywords begin with."""
        return [argument[0] for argument in self.plain]


class Tallies:
    """What new lines have more or less of than others, for the points of findings that they are for."""

    def __init__(
        self,
        before: Sequence[Signs],
        after: Sequence[Signs],
        points: Sequence[Point],
        known: Collection[str],
    ) -> None:
        self._known = frozenset(known).union(sign.text for line in before for sign in line)
        self._before = before
        self._after = after
        self._points = points
        self._removal = any(point.removal for point in points)
        self._names = " ".join(point.name for point in points)
        self._said = frozenset().union(*(point.said for point in points))
        shown = frozenset().union(*(point.shown for point in points))
        self._asked = self._said | shown | {*self._names.replace("-", " ").split()}

    def found(self, *, close: bool) -> list[str]:
        """Say in words what is more or less; lines `close` to a repair may have its numbers and ways out."""
        words = [] if close else self._renumbered() or self._left() or self._gone()
        words = words or self._attributes(close=close)
        return words or self._repeated() or self._loops() or self._errors() or self._arguments()

    @cached_property
    def counts(self) -> tuple[Counter[str], Counter[str]]:
        """How often each sign stands there, before and after."""
        before, after = (
            Counter(sign.text for line in lines for sign in line if not sign.quoted)
            for lines in (self._before, self._after)
        )
        return before, after

    @property
    def raises(self) -> bool:
        """Whether an assertion becomes a `raise`, whose condition is the other way round."""
        before, after = self.counts
        return before["assert"] > after["assert"] and after["raise"] > before["raise"]

    @property
    def turns(self) -> int:
        """How many conditions may be turned around: for a way out before the rest, or another `else`."""
        before, after = self.counts
        if self.raises:
            return after["raise"] - before["raise"]
        if not any(point.whole for point in self._points):
            return 0
        guards = Counter(_guards(self._after)) - Counter(_guards(self._before))
        return guards.total() + abs(after["else"] - before["else"])

    def asserted(self) -> list[str]:
        """An assertion that becomes a `raise` under the condition that was asserted."""
        turning = NEGATIONS | OPPOSITES.keys() | {"else"}
        before, after = self.counts
        if not self.raises or any(before[sign] != after[sign] for sign in turning):
            return []
        return ["what was asserted is now the condition of the `raise`: turn it around"]

    def _renumbered(self) -> list[str]:
        """Numbers that are gone where others come in, such as that of a constant which gets a name."""
        if any(point.whole for point in self._points) or OF_NUMBERS.search(self._names):
            return []
        before, after = (
            Counter(sign.value for line in lines for sign in line if sign.is_number)
            for lines in (self._before, self._after)
        )
        gone, come = before - after, after - before
        if not gone or not come:
            return []
        return [f"`{next(iter(gone))}` becomes `{next(iter(come))}`, and no finding asks for that"]

    def _attributes(self, *, close: bool) -> list[str]:
        """Attributes by names that nobody knows: close to a repair any, else of what known calls give."""
        known = self._asked | self._known
        return [
            f"`{sign.text}` is more than what the finding asks for"
            for line in self._after
            for at, (dot, sign) in enumerate(pairwise(line))
            if dot == Sign(".") and sign.is_name and sign.text not in known
            if close or _called_before(line, at) in self._known
        ]

    def _loops(self) -> list[str]:
        """Loops that come in."""
        before, after = self.counts
        if after["while"] <= before["while"] or "while" in self._said or OF_LOOPS.search(self._names):
            return []
        return ["`while` comes in, and no finding asks for that"]

    def _gone(self) -> list[str]:
        """Numbers and comparisons that are gone, though no finding points at them or lets the whole go."""
        names, points = self._names, self._points
        if self._removal or any(point.whole for point in points) or OF_OPERATORS.search(names):
            return []
        before, after = self.counts
        numbers = {sign.text for line in self._before for sign in line if sign.is_number}
        compared = sum(before[sign] - after[sign] for sign in _COMPARES)
        lost = before - after - Counter({sign: before[sign] for point in points for sign in point.spanned})
        gone = [
            sign
            for sign in lost
            if (sign in numbers and not OF_NUMBERS.search(names)) or (sign in _COMPARES and compared > 0)
        ]
        return [f"`{gone[0]}` is gone, and no finding asks for that"] if gone else []

    def _left(self) -> list[str]:
        """Ways out of what runs that come in, though no rule speaks of them."""
        before, after = (Counter({leave: count[leave] for leave in LEAVES}) for count in self.counts)
        if after.total() <= before.total() or OF_LEAVING.search(self._names) or LEAVES & self._said:
            return []
        more = ", ".join(sorted(after - before))
        return [f"`{more}` comes in, and no finding asks for that"]

    def _repeated(self) -> list[str]:
        """Lines that come in twice, one right after the other."""
        before = Counter(pairwise(self._before))
        return [
            f"`{told(line)}` is there twice"
            for (line, after), count in Counter(pairwise(self._after)).items()
            if line == after and len(telling(line)) > 1 and count > before[line, after]
            if len(self._after) > len(self._before)
        ]

    def _errors(self) -> list[str]:
        """Errors that are caught or raised in place of others, though nothing asks for just these."""
        if OF_ERRORS.search(self._names):
            return []
        before, after = (Counter(_caught(lines)) for lines in (self._before, self._after))
        come, gone = after - before, before - after
        asked = _EVERYTHING if gone[""] else self._asked
        more = come.keys() - asked
        if more:
            return [f"`{', '.join(sorted(more))}` is caught, and no finding asks for that"]
        if gone and not come and not self._removal:
            less = ", ".join(sorted(gone)) or "any error"
            return [f"`{less}` is not caught any more, and no finding asks for that"]
        before, after = (Counter(_raised(lines)) for lines in (self._before, self._after))
        come, gone = after - before, before - after
        more = come.keys() - self._asked if gone else set()
        return [f"`{', '.join(sorted(more))}` is raised, and no finding asks for that"] if more else []

    def _arguments(self) -> list[str]:
        """Arguments more or less in calls that are there as often as before, and unknown ones in others."""
        before, after = (_by_name(calls_in(lines)) for lines in (self._before, self._after))
        known = self._asked | self._known
        strange = [
            f"`{name}` is called with `{word}`, and no finding asks for that"
            for name in after
            if name not in before and name not in _DEFINES
            for call in after[name]
            for word in call.keywords
            if word not in known
        ]
        return strange or [
            f"{words}, and no finding asks for that"
            for name in before
            if name in after and len(before[name]) == len(after[name])
            for words in self._handed(name, before[name], after[name])
        ]

    def _handed(self, name: str, before: Sequence[Call], after: Sequence[Call]) -> Iterator[str]:
        """What calls of one name are handed more, less or otherwise than before."""
        for one, other in zip(before, after, strict=True):
            yield from self._revalued(one, other)
        old, new = (Counter(word for call in calls for word in call.keywords) for calls in (before, after))
        plain = sum(len(call.plain) for call in after) - sum(len(call.plain) for call in before)
        asked = self._said if name in _DEFINES else self._asked
        more = [word for word in new - old if word not in asked]
        renamed = min((new - old).total(), (old - new).total()) if name in _DEFINES else 0
        if more and (new - old).total() - renamed > -plain:
            yield f"`{name}` is called with `{more[0]}`"
        less = [word for word in old - new if word not in self._said]
        if less and (old - new).total() - renamed > plain and not self._removal:
            yield f"`{name}` is called without `{less[0]}`"
        if OF_ARGUMENTS.search(self._names) or any(name in point.spanned for point in self._points):
            return
        if any(call.starred for call in (*before, *after)):
            return
        if plain > (old - new).total():
            yield f"`{name}` is called with an argument more"
        lost = Counter(each for call in before for each in call.plain)
        lost -= Counter(each for call in after for each in call.plain)
        missing = {sign for each in lost for sign in each if sign.text not in self._asked} & self._missing
        if (new - old).total() < -plain and missing and not self._removal:
            yield f"`{name}` is called without `{told(missing)}`"

    def _revalued(self, before: Call, after: Call) -> Iterator[str]:
        """Which keywords have another value, and whether arguments changed places."""
        for word, value in before.keywords.items():
            now = after.keywords.get(word, value)
            if value != now and _is_plain(value) and _is_plain(now) and word not in self._asked:
                yield f"`{word}` becomes `{told(now)}` in `{before.name}`"
        if _is_reordered(before.order, after.order) and not OF_ORDER.search(self._names):
            yield f"`{before.name}` is called with its arguments in another order"

    @cached_property
    def _missing(self) -> set[Sign]:
        """The signs that say something and are there less often than before."""
        before, after = (
            Counter(sign for line in lines for sign in line) for lines in (self._before, self._after)
        )
        return {sign for sign in before - after if sign.tells}


def calls_in(lines: Iterable[Signs]) -> Iterator[Call]:
    """Give the calls of names in lines, as far as brackets are closed there; definitions are all one."""
    waiting: list[tuple[Call, list[Sign]]] = []
    before, last = "", ""
    for sign in (sign for line in lines for sign in line):
        text = "" if sign.quoted else sign.text
        if text in _CLOSES and waiting:
            call, argument = waiting.pop()
            _take(call, argument)
            if call.name:
                yield call
        if text == "," and waiting:
            _take(*waiting[-1])
            waiting[-1][1].clear()
        for _, argument in waiting[:-1] if text == "," else waiting:
            argument.append(sign)
        if text in _OPENS:
            named = text == "(" and WORD.fullmatch(last) and last not in _NO_CALLS
            kind = before if before in _DEFINES else last
            waiting.append((Call(kind if named else ""), []))
        before, last = last, text


def _take(call: Call, argument: Sequence[Sign]) -> None:
    """Add an argument to its call; a comment is none."""
    if len(argument) > 1 and argument[0].is_name and argument[1] == Sign("="):
        call.keywords[argument[0].text] = tuple(argument[2:])
    elif any(not sign.quoted or sign.text in _QUOTES for sign in argument):
        call.starred |= argument[0].text in {"*", "**", "."}
        call.plain.append(tuple(argument))


def _guards(lines: Sequence[Signs]) -> Iterator[tuple[Signs, Signs]]:
    """Conditions with a way out right below them."""
    for header, line in pairwise(lines):
        if header and line and header[0].text in {"if", "elif"} and line[0].text in LEAVES:
            yield header, line


def _called_before(line: Signs, at: int) -> str:
    """The name of the call that ends right before a place in a line."""
    depth = 0
    for number in range(at - 1, 0, -1):
        depth += (line[number] == Sign(")")) - (line[number] == Sign("("))
        if depth == 0:
            return line[number - 1].text if line[number] == Sign("(") else ""
    return ""


def _is_reordered(before: Sequence[Sign], after: Sequence[Sign]) -> bool:
    common = [
        [sign for sign in some if sign in others] for some, others in ((before, after), (after, before))
    ]
    return common[0] != common[1] and len(set(common[0])) == len(common[0]) == len(common[1])


def _is_plain(value: Signs) -> bool:
    """Whether a value is written out, and no name."""
    signs = telling(value)
    return bool(signs) and all(sign.quoted or sign.is_number or sign.text in KEYWORDS for sign in signs)


def _by_name(calls: Iterable[Call]) -> dict[str, list[Call]]:
    found: dict[str, list[Call]] = {}
    for call in calls:
        found.setdefault(call.name, []).append(call)
    return found


def _caught(lines: Sequence[Signs]) -> Iterator[str]:
    """The errors that are caught, each time; an empty name stands for all of them."""
    signs = [sign for line in lines for sign in line if not sign.quoted]
    for at, sign in enumerate(signs):
        if sign.text == "except":
            header = takewhile(lambda sign: sign.text not in {":", "as"}, islice(signs, at + 1, None))
            yield from _classes(header) or [""]
    for call in calls_in(lines):
        if call.name in _CATCHERS:
            yield from _classes(sign for each in call.plain for sign in each)


def _raised(lines: Sequence[Signs]) -> Iterator[str]:
    """The classes of errors that are raised, each time; one that is defined there stands for its base."""
    signs = [sign for line in lines for sign in line if not sign.quoted]
    bases = {
        signs[at + 1].text: signs[at + 3].text
        for at, sign in enumerate(signs[:-3])
        if sign.text == "class" and signs[at + 2].text == "("
    }
    for at, sign in enumerate(signs):
        if sign.text == "raise":
            thrown = takewhile(lambda sign: sign.text not in {"(", "from"}, islice(signs, at + 1, at + 9))
            yield from (bases.get(name, name) for name in _classes(thrown)[:1])


def _classes(signs: Iterable[Sign]) -> list[str]:
    """The last parts of dotted names that begin with a capital."""
    return [sign.text for sign in signs if sign.is_name and sign.text[0].isupper()]
