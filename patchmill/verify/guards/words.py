"""Lines as words and signs, so that layout does not count.

A string counts as one, and a comment as what it says.
"""

import builtins
import keyword
import math
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

Tokens = tuple[str, ...]

_TOKEN = re.compile(
    r"""[bBrRfFtTuU]{0,2}"(?:[^"\\]|\\.){0,300}"|[bBrRfFtTuU]{0,2}'(?:[^'\\]|\\.){0,300}'"""
    r"""|`(?:[^`\\]|\\.){0,300}`|\w+|[^\w\s]"""
)
LITERAL = re.compile(r"\d|[bBrRfFtTuU]{0,2}[\"']|`")
WORD = re.compile(r"[^\W\d]\w*")
_FILLED = re.compile(r"(?:[fFtT][rR]?|[rR][fFtT])[\"']|`")
_SIGN = re.compile(r"\w+|[^\w\s]")
_STRING = (
    r"""[bBrRfFtTuU]{0,2}"(?:[^"\\]|\\.){0,300}"|[bBrRfFtTuU]{0,2}'(?:[^'\\]|\\.){0,300}'"""
    r"""|`(?:[^`\\]|\\.){0,300}`"""
)
# Right behind what it is about, an exclamation mark turns nothing around: it says that there is a value.
_SURE = r"(?<=[\w)\]])!(?![\w(=!])"
_CODE = r"\d[\w.]*|\w+|===|!==|\?\?|==|!=|<=|>=|<<|>>|->|=>|:=|&&|\|\||\*\*|[-+*/%&|^@]=|\+\+|--"
_HASHED = re.compile(rf"(?P<said>{_STRING}|#.{{0,2000}})|{_CODE}|//|[^\w\s]")
_SLASHED = re.compile(rf"(?P<said>{_STRING}|//.{{0,2000}}|/\*.{{0,2000}})|(?P<sure>{_SURE})|{_CODE}|[^\w\s]")
_HOLDS = frozenset("()[]{},;:.\"'`\\@#$?") | {"=", "=>", "->", "!."}
_FILLING = re.compile(r"\{[^{}]{0,200}")
BUILTINS = frozenset(dir(builtins)) - frozenset(keyword.kwlist)
# Words of the languages, and what everyone can call by name.
COMMON = frozenset({
    *BUILTINS, *keyword.kwlist, *keyword.softkwlist,
    "async", "await", "break", "case", "catch", "const", "continue", "debugger", "default",
    "delete", "do", "else", "export", "extends", "finally", "for", "func", "fn", "function", "if",
    "in", "instanceof", "let", "mut", "new", "null", "nil", "of", "private", "public", "return",
    "static", "struct", "super", "switch", "this", "self", "throw", "true", "false", "try",
    "typeof", "undefined", "var", "void", "while", "yield", "eval", "Function",
})  # fmt: skip
# Words that never stand for anything else.
KEYWORDS = frozenset({*keyword.kwlist, "true", "false", "null", "nil", "undefined"})

# Operators by what they mean; those of one row may stand for each other.
_MEANINGS = (
    {"==", "===", "is"}, {":="}, {"!=", "!=="}, {"<"}, {"<="}, {">"}, {">="}, {"in"},
    {"and", "&&"}, {"or", "||", "??"}, {"+"}, {"-"}, {"*"}, {"/"}, {"//"}, {"%"}, {"**"}, {"&"}, {"|"}, {"^"},
    {"<<"}, {">>"}, {"+="}, {"-="}, {"*="}, {"/="}, {"break"}, {"continue"}, {"any", "some"},
    {"all", "every"}, {"min"}, {"max"}, {"True", "true"}, {"False", "false"}, {"None", "null", "undefined"},
)  # fmt: skip
MEANING = {sign: number for number, signs in enumerate(_MEANINGS) for sign in signs}


def tokens_of(line: str) -> Tokens:
    """Take a line apart."""
    return tuple(_TOKEN.findall(line))


def names_in(lines: Iterable[Tokens], *, hashes: bool, without: frozenset[str] = COMMON) -> list[str]:
    """Give the names in lines, without words of the language, comments and plain strings.

    `hashes` says that a hash begins a comment, and two slashes do not.
    """
    found: list[str] = []
    for line in lines:
        for sign, after in pairwise((*line, "")):
            if sign == "#" if hashes else (sign, after) == ("/", "/"):
                break
            if _FILLED.match(sign):
                found += [name for part in _FILLING.findall(sign) for name in WORD.findall(part)]
            elif WORD.fullmatch(sign):
                found.append(sign)
    return [name for name in found if name not in without]


def bound_by(line: Tokens) -> list[str]:
    """The names that a line of an import binds."""
    begin = line.index("import") + 1 if "import" in line else 0
    bound: list[str] = []
    for position, token in enumerate(line[begin:], start=begin):
        before = line[position - 1] if position else ""
        if before in {".", "from"} or token in {"from", "as"} or not WORD.fullmatch(token):
            continue
        if before == "as" and bound:
            bound.pop()
        bound.append(token)
    return bound


def called_in(line: Tokens) -> set[str]:
    """The names that a line calls."""
    return {name for name, after in pairwise(line) if after == "(" and WORD.fullmatch(name)}


def filled_alike(old: str, new: str, follows: Callable[[str, str], bool]) -> bool:
    """Whether two strings say the same but for names in their placeholders that follow each other."""
    if not _FILLED.match(old) or _FILLING.sub("{", old) != _FILLING.sub("{", new):
        return False
    before, after = (
        [sign for part in _FILLING.findall(text) for sign in _SIGN.findall(part)] for text in (old, new)
    )
    return len(before) == len(after) and all(map(follows, before, after))


class Sign(NamedTuple):
    """A word, a number or a sign of a line; `quoted` if it is part of a string or a comment."""

    text: str
    quoted: bool = False

    @property
    def tells(self) -> bool:
        """Whether it says something, rather than holding others together."""
        if self.quoted:
            return self.text[0].isalnum() or self.text[0] == "_" or not self.text.isascii()
        return self.text not in _HOLDS

    @property
    def is_number(self) -> bool:
        """Whether it begins with a digit."""
        return self.text[0].isdigit() and not self.quoted

    @property
    def is_name(self) -> bool:
        """Whether it can be a name."""
        return WORD.fullmatch(self.text) is not None and not self.quoted

    @property
    def value(self) -> object:
        """The value of a number, however it is written; the text of what is none here."""
        text = self.text.lower().replace("_", "")
        if text.isdigit() and text[0] == "0" and len(text) > 1:
            return text  # octal in some languages
        for reader in (lambda: int(text, 0), lambda: float(text)):
            try:
                value = reader()
            except (ValueError, OverflowError):
                continue
            return text if value in {math.inf, -math.inf} else (type(value), value)
        return text


def signs_of(line: str, *, hashes: bool) -> tuple[Sign, ...]:
    """Take a line apart, strings and comments included; `hashes` says that a hash begins a comment."""
    found: list[Sign] = []
    for match in (_HASHED if hashes else _SLASHED).finditer(line):
        text = match[0]
        if match.lastgroup is None:
            found.append(Sign(text))
        elif match.lastgroup == "sure":
            found.append(Sign("!."))
        else:
            found += [Sign(sign, quoted=True) for sign in _SIGN.findall(text)]
    return tuple(found)


def is_comment(line: Sequence[Sign]) -> bool:
    """Whether a line has nothing but a comment, or is empty."""
    return not line or (line[0].quoted and line[0].text in {"#", "/", "*"})
