"""A suggestion as a diff to look at: lines with their numbers, colours, and nothing unseen."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from markupsafe import Markup
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Keyword, Name, Number, Operator, String, _TokenType, is_token_subtype
from pygments.util import ClassNotFound

from api.dashboard.visible import marked
from patchmill.edit.span import split_lines

CONTEXT = 3
MAX_COLOURED = 20_000  # characters of one side; more is shown without colours
MAX_COMPARED = 400  # lines of one side; more is shown as removed and added whole
MAX_SHOWN = 2_000  # lines of one diff

_CLASSES: Sequence[tuple[_TokenType, str]] = (
    (Comment, "c"),
    (Keyword, "k"),
    (String, "s"),
    (Number, "m"),
    (Name.Function, "f"),
    (Name.Class, "f"),
    (Name.Decorator, "d"),
    (Name.Builtin, "b"),
    (Operator.Word, "k"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffLine:
    """One line: `mark` is `+`, `-` or a space; numbers are 1-based, None on the side where it is not."""

    mark: str
    old: int | None
    new: int | None
    code: Markup
    no_line_end: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """The lines of a diff as far as they are shown, and how many more there are."""

    lines: Sequence[DiffLine]
    hidden: int


def diff(*, original: str, replacement: str, start_line: int, source: str | None, language: str) -> Diff:
    """Give the lines of a diff, with a few lines around it when the source is still there.

    `original` are the whole lines of the source from `start_line` on that `replacement` takes the place of.
    """
    before = split_lines(original)
    after = split_lines(replacement)
    around = [] if source is None else split_lines(source)
    first = max(0, start_line - 1 - CONTEXT)
    head = around[first : start_line - 1]
    end = start_line - 1 + len(before)
    tail = around[end : end + CONTEXT]
    old_texts, new_texts = [*head, *before, *tail], [*head, *after, *tail]
    old, new = _coloured(old_texts, language), _coloured(new_texts, language)
    lines = list(_compared(old_texts, new_texts, old, new, start_line - len(head)))
    return Diff(lines=lines[:MAX_SHOWN], hidden=max(0, len(lines) - MAX_SHOWN))


def _compared(
    old_texts: Sequence[str],
    new_texts: Sequence[str],
    old: Sequence[Markup],
    new: Sequence[Markup],
    number: int,
) -> Iterator[DiffLine]:
    """Give equal lines once, and before each change what it takes away."""
    for tag, low, high, start, stop in _changes(old_texts, new_texts):
        if tag == "equal":
            for offset in range(high - low):
                at = low + offset
                yield _line(" ", old_texts[at], old[at], number + at, number + start + offset)
            continue
        for at in range(low, high):
            yield _line("-", old_texts[at], old[at], number + at, None)
        for at in range(start, stop):
            yield _line("+", new_texts[at], new[at], None, number + at)


def _changes(old: Sequence[str], new: Sequence[str]) -> Sequence[tuple[str, int, int, int, int]]:
    if max(len(old), len(new)) > MAX_COMPARED:
        return [("replace", 0, len(old), 0, len(new))]
    return SequenceMatcher(None, old, new, autojunk=False).get_opcodes()


def _line(mark: str, text: str, code: Markup, old: int | None, new: int | None) -> DiffLine:
    return DiffLine(mark=mark, old=old, new=new, code=code, no_line_end=not text.endswith(("\n", "\r")))


def _coloured(lines: Sequence[str], language: str) -> list[Markup]:
    """Give each line as HTML, without its end; a carriage return stays visible."""
    text = "".join(lines)
    lexer = _lexer(language) if len(text) <= MAX_COLOURED else None
    tokens = [] if lexer is None else list(lexer.get_tokens(text))
    read = "".join(value for _, value in tokens)
    if read.removesuffix("\n") != text.removesuffix("\n"):  # as with carriage returns and byte order marks
        return [marked(line.removesuffix("\n")) for line in lines]
    coloured: list[Markup] = []
    current = Markup("")
    for kind, value in tokens:
        for number, part in enumerate(value.split("\n")):
            if number:
                coloured.append(current)
                current = Markup("")
            current += _token(kind, part)
    coloured.append(current)
    return coloured[: len(lines)]


def _token(kind: _TokenType, text: str) -> Markup:
    if not text:
        return Markup("")
    shown = marked(text)
    name = next((name for parent, name in _CLASSES if is_token_subtype(kind, parent)), None)
    return shown if name is None else Markup('<span class="{}">{}</span>').format(name, shown)


def _lexer(language: str) -> Lexer | None:
    try:
        return get_lexer_by_name(language, stripnl=False, ensurenl=True)
    except ClassNotFound:
        return None
