"""Ways to spoil a right answer: each a function from the right lines to wrong ones, by a seeded draw."""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from patchmill.dev.standin.known_answers import Known
from patchmill.dev.standin.source_text import Change, changes

_NEAR = 8  # lines around what the right answer changes, where most of the harm is done
_OPERATORS = (
    ("==", "!="), ("!=", "=="), ("<=", "<"), (">=", ">"), (" < ", " <= "), (" > ", " >= "),
    (" + ", " - "), (" - ", " + "), (" * ", " + "), (" and ", " or "), (" or ", " and "),
    (" is not ", " is "), (" not ", " "), ("True", "False"), ("False", "True"), ("None", "0"),
    (" in ", " not in "), ("&&", "||"), ("||", "&&"), ("0", "1"), ("1", "2"),
)  # fmt: skip
_LITERAL = re.compile(r"(?<![\w.])\d[\w.]*|\"[^\"\\]{2,}\"|'[^'\\]{2,}'")
_ARGUMENTS = re.compile(r"(?<=[(,\[])\s*([^(),\[\]{}=:]+),\s*([^(),\[\]{}=:]+)(?=[,)\]])")
_NEGATION = re.compile(r"\bnot (?!in\b)|!(?!=)")
_TRUTH = re.compile(r"\b(?:if|elif|while|return|and|or)\s+\(?|&&\s*|\|\|\s*")
_BRACKETS = "()[]{}"
_UNSEEN = "\u200b\u200d\u2060\u202e\u2066\u00ad\u00a0\u3164\ufeff\x07"
_ALIKE = {
    "a": "\u0430",
    "e": "\u0435",
    "o": "\u043e",
    "p": "\u0440",
    "c": "\u0441",
    "x": "\u0445",
    "i": "\u0456",
}
_SILENCES = {
    "python": (
        "  # noqa",
        "  # noqa: {rule}",
        "  # type: ignore",
        "  # ruff: noqa",
        "  # pylint: disable=all",
    ),
    "": (
        " // eslint-disable-line",
        " // oxlint-disable-line",
        " // @ts-ignore",
        " // biome-ignore lint: fine",
    ),
}
_ADDED = {
    "python": ("import requests", "print('here')", "pass", "DEBUG = True", "assert True", "x = eval('1')"),
    "": ("debugger;", "console.log('here');", "var debug = true;", "require('left-pad');", "eval('1');"),
}
_WORD = re.compile(r"[A-Za-z_]\w{2,}")

Lines = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Draw:
    """What a mutation is made of: the case, its language, and where the chance comes from."""

    known: Known
    language: str
    chance: random.Random

    @property
    def changes(self) -> list[Change]:
        """What the right answer changes."""
        return changes(self.known.source, self.known.gold)

    def near(self, *, within: bool) -> list[int]:
        """Places in the right lines (from 0): those that are changed, or with `within` false those around."""
        changed = {at for one in self.changes for at in range(one.new_start, one.new_end)}
        if within and changed:
            return sorted(changed)
        around = {
            at
            for one in self.changes
            for at in range(max(0, one.new_start - _NEAR), min(len(self.known.gold), one.new_end + _NEAR))
        }
        return sorted(around - changed) or sorted(around)

    def toss(self) -> bool:
        """One of two ways."""
        return self.chance.random() < 1 / 2

    def words(self, table: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
        """The words of a table for the language."""
        return table.get(self.language, table[""])


def wrong_place(draw: Draw) -> Lines | None:
    """The right new lines at another place; their own place stays as it was."""
    change = draw.chance.choice(draw.changes)
    size = change.old_end - change.old_start
    places = [at for at in range(len(draw.known.source) - size + 1) if abs(at - change.old_start) > size]
    if not places:
        return None
    return _placed(draw, change, draw.chance.choice(places))


def off_by_one(draw: Draw) -> Lines | None:
    """The right new lines one line too high or too low."""
    change = draw.chance.choice(draw.changes)
    at = change.old_start + draw.chance.choice((-1, 1))
    size = change.old_end - change.old_start
    return _placed(draw, change, at) if 0 <= at <= len(draw.known.source) - size else None


def _placed(draw: Draw, change: Change, at: int) -> Lines:
    source, size = draw.known.source, change.old_end - change.old_start
    new = draw.known.gold[change.new_start : change.new_end]
    return (*source[:at], *new, *source[at + size :])


def dropped_line(draw: Draw) -> Lines | None:
    """The right answer without one line that it keeps or brings."""
    gold = draw.known.gold
    places = [at for at in draw.near(within=draw.toss()) if gold[at].strip()]
    if not places:
        return None
    at = draw.chance.choice(places)
    return (*gold[:at], *gold[at + 1 :])


def broken_bracket(draw: Draw) -> Lines | None:
    """The right answer with one bracket too few, or too many."""

    def spoil(line: str) -> str | None:
        places = [at for at, sign in enumerate(line) if sign in _BRACKETS]
        if not places:
            return None
        at = draw.chance.choice(places)
        return line[:at] + draw.chance.choice(("", line[at] * 2)) + line[at + 1 :]

    return _respelled(draw, spoil)


def changed_operator(draw: Draw) -> Lines | None:
    """The right answer with an operator or a plain value changed, in it or near it."""

    def spoil(line: str) -> str | None:
        fitting = [pair for pair in _OPERATORS if pair[0] in line]
        if not fitting:
            return None
        old, new = draw.chance.choice(fitting)
        places = [found.start() for found in re.finditer(re.escape(old), line)]
        at = draw.chance.choice(places)
        return line[:at] + new + line[at + len(old) :]

    return _respelled(draw, spoil)


def changed_literal(draw: Draw) -> Lines | None:
    """The right answer with one sign of a number or of a string changed, in it or near it."""

    def spoil(line: str) -> str | None:
        found = list(_LITERAL.finditer(line))
        if not found:
            return None
        literal = draw.chance.choice(found)
        places = [at for at in range(*literal.span()) if line[at].isalnum()]
        if not places:
            return None
        at = draw.chance.choice(places)
        other = str((int(line[at]) + 1) % 10) if line[at] in "0123456789" else "q" if line[at] != "q" else "z"
        return line[:at] + other + line[at + 1 :]

    return _respelled(draw, spoil)


def swapped_arguments(draw: Draw) -> Lines | None:
    """The right answer with two arguments or entries that have changed places, in it or near it."""

    def spoil(line: str) -> str | None:
        found = list(_ARGUMENTS.finditer(line))
        if not found:
            return None
        pair = draw.chance.choice(found)
        between = line[pair.end(1) : pair.start(2)]
        return line[: pair.start(1)] + str(pair[2]) + between + str(pair[1]) + line[pair.end(2) :]

    return _respelled(draw, spoil)


def turned_around(draw: Draw) -> Lines | None:
    """The right answer with a negation less or more, in it or near it."""

    def spoil(line: str) -> str | None:
        gone, come = list(_NEGATION.finditer(line)), list(_TRUTH.finditer(line))
        if gone and (draw.toss() or not come):
            first, last = draw.chance.choice(gone).span()
            return str(line[:first] + line[last:])
        if not come:
            return None
        at: int = draw.chance.choice(come).end()
        return line[:at] + ("not " if draw.language == "python" else "!") + line[at:]

    return _respelled(draw, spoil)


def other_name(draw: Draw) -> Lines | None:
    """The right answer with a name in the place of another one, in it or near it."""
    near = [*draw.near(within=True), *draw.near(within=False)]
    names = sorted({word for at in near for word in _WORD.findall(draw.known.gold[at])})

    def spoil(line: str) -> str | None:
        found = list(_WORD.finditer(line))
        if not found or not names:
            return None
        first, last = draw.chance.choice(found).span()
        return f"{line[:first]}{draw.chance.choice(names)}{line[last:]}"

    return _respelled(draw, spoil)


def silent_suppression(draw: Draw) -> Lines | None:
    """The source or the right answer with a comment that silences the checker."""
    rule = next(iter(sorted(draw.known.rules)), "F401")
    comment = draw.chance.choice(draw.words(_SILENCES)).format(rule=rule)
    lines = list(draw.chance.choice((draw.known.source, draw.known.gold)))
    places = [line - 1 for line in draw.known.lines] or [change.new_start for change in draw.changes]
    at = min(draw.chance.choice(places), len(lines) - 1)
    lines[at] += comment
    return tuple(lines)


def extra_edit(draw: Draw) -> Lines | None:
    """The right answer, and something besides that nobody asked for."""
    gold = list(draw.known.gold)
    at = draw.chance.randrange(len(gold))
    indent = gold[at][: len(gold[at]) - len(gold[at].lstrip())]
    match draw.chance.randrange(3):
        case 0:
            gold.insert(at, indent + draw.chance.choice(draw.words(_ADDED)))
        case 1:
            del gold[at]
        case _:
            words = _WORD.findall(gold[at])
            if not words:
                return None
            gold[at] = gold[at].replace(draw.chance.choice(words), "renamed", 1)
    return tuple(gold)


def invisible(draw: Draw) -> Lines | None:
    """The right answer with a character that cannot be seen, or that looks like another one."""

    def spoil(line: str) -> str | None:
        letters = [at for at, sign in enumerate(line) if sign in _ALIKE]
        if letters and draw.toss():
            at = draw.chance.choice(letters)
            return line[:at] + _ALIKE[line[at]] + line[at + 1 :]
        at = draw.chance.randint(0, len(line))
        return line[:at] + draw.chance.choice(_UNSEEN) + line[at:]

    return _respelled(draw, spoil)


def _respelled(draw: Draw, spoil: Callable[[str], str | None]) -> Lines | None:
    """The right answer with one line spelled otherwise, in what it changes or around it."""
    places = draw.near(within=draw.toss())
    draw.chance.shuffle(places)
    for at in places:
        spoilt = spoil(draw.known.gold[at])
        if spoilt is not None and spoilt != draw.known.gold[at]:
            return (*draw.known.gold[:at], spoilt, *draw.known.gold[at + 1 :])
    return None


OF_TEXT: dict[str, Callable[[Draw], Lines | None]] = {
    mutation.__name__: mutation
    for mutation in (
        wrong_place,
        off_by_one,
        dropped_line,
        broken_bracket,
        changed_operator,
        changed_literal,
        swapped_arguments,
        turned_around,
        other_name,
        silent_suppression,
        extra_edit,
        invisible,
    )
}
OF_ANSWER: Sequence[str] = ("wrong_file", "stale_text", "truncated")
KINDS: Sequence[str] = (*OF_TEXT, *OF_ANSWER)
