"""The proof proper: without the additions, the edited file's tokens are the source's, comments included.

Blank lines and the breaking of lines inside brackets are left out of account, and with them the last comma
of a function's parameters and the brackets around imported names, which come and go as lines are broken. A
comment is compared with the number of tokens before it on its line, so that it still stands behind the same
content, and one of a script's metadata with its distance from the line that begins these.
"""

import ast
import functools
import io
import re
import tokenize
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence

from patchmill.verify.proof.additions import Addition, Kind
from patchmill.verify.proof.refusal import Refusal, Rule

_LAYOUT = frozenset({tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER, tokenize.ENCODING})
# Comments that mean something to a tool only where they stand: in the first lines, or above all code.
_FIRST_LINES = re.compile(r"#!|#.*?coding[:=]")
_ABOVE_CODE = re.compile(
    r"#.*?\b(?:type:\s*ignore|mypy:|pyright:|pylint:|flake8:|ruff:|isort:|fmt:|cython:|distutils:)"
)
_METADATA = re.compile(r"# /// [a-zA-Z0-9-]+")
_TYPE_COMMENT = re.compile(r"#\s*type:\s*(?!ignore\b)\S")

Key = tuple[object, ...]


class Tokens:
    """The tokens of a file that mean something. Raises `tokenize.TokenError` or `IndentationError`."""

    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        readline = io.StringIO(text).readline
        self.all = [token for token in tokenize.generate_tokens(readline) if token.type not in _LAYOUT]
        self._starts = [token.start for token in self.all]
        self.typed_lines = frozenset(
            token.start[0]
            for token in self.all
            if token.type == tokenize.COMMENT and _TYPE_COMMENT.match(token.string)
        )

    @functools.cached_property
    def spare(self) -> frozenset[int]:
        """The numbers of tokens that may be there or not."""
        return frozenset(_spare(self.all))

    @functools.cached_property
    def keys(self) -> list[tuple[Key, int]]:
        """What is compared of the whole file."""
        return keys(self, self.spare)

    def position(self, line: int, utf8_column: int) -> tuple[int, int]:
        """A place as the tree gives it, in bytes, as tokens give it, in code points."""
        text = self._lines[line - 1]
        if text.isascii():
            return line, utf8_column
        return line, len(text.encode()[:utf8_column].decode(errors="replace"))

    def index(self, line: int, utf8_column: int) -> int:
        """The number of the first token that starts at or after a place."""
        return bisect_left(self._starts, self.position(line, utf8_column))


def keys(tokens: Tokens, removed: Collection[int]) -> list[tuple[Key, int]]:
    """What is compared: for each token that is not removed its key, and its line for reports."""
    listed: list[tuple[Key, int]] = []
    on_line: dict[int, int] = {}
    code_seen = False
    metadata: int | None = None  # the line on which they begin
    for number, token in enumerate(tokens.all):
        code = token.type not in {tokenize.COMMENT, tokenize.NEWLINE}
        if number not in removed:
            line = token.start[0]
            if token.type == tokenize.COMMENT:
                fixed = line if line <= 2 and _FIRST_LINES.match(token.string) else 0  # noqa: PLR2004 - PEP 263
                above = not code_seen and _ABOVE_CODE.match(token.string) is not None
                if metadata is None and _METADATA.fullmatch(token.string):
                    metadata = line
                within = -1 if metadata is None else line - metadata
                if within > 0 and token.string == "# ///":
                    metadata = None
                place = (on_line.get(line, 0), fixed, above, within)
                listed.append(((token.type, token.string, *place), line))
            elif token.type == tokenize.NEWLINE:
                listed.append(((token.type,), line))
            else:
                listed.append(((token.type, token.string), line))
                on_line[token.end[0]] = on_line.get(token.end[0], 0) + 1
        code_seen = code_seen or code
    return listed


def _spare(tokens: Sequence[tokenize.TokenInfo]) -> Iterator[int]:
    """The last comma of each function's parameters, and what is around the names of each `from` import."""
    for number, token in enumerate(tokens):
        before = tokens[number - 1].string if number else ""
        if token.string == "(" and before == "import":
            closing = _closing(tokens, number)
            yield from (number, closing)
            yield from (at for at in [closing - 1] if tokens[at].string == ",")
        elif token.string == "def" and token.type == tokenize.NAME:
            opening = number + 2
            if opening < len(tokens) and tokens[opening].string == "[":
                opening = _closing(tokens, opening) + 1
            closing = _closing(tokens, opening)
            last = next((at for at in range(closing - 1, opening, -1) if not _is_comment(tokens[at])), 0)
            yield from (at for at in [last] if tokens[at].string == ",")


def _is_comment(token: tokenize.TokenInfo) -> bool:
    return token.type == tokenize.COMMENT


def _closing(tokens: Sequence[tokenize.TokenInfo], opening: int) -> int:
    """The number of the bracket that closes another."""
    depth = 0
    for number in range(opening, len(tokens)):
        if tokens[number].type == tokenize.OP and tokens[number].string in "([{":
            depth += 1
        elif tokens[number].type == tokenize.OP and tokens[number].string in ")]}":
            depth -= 1
            if depth == 0:
                return number
    return len(tokens) - 1


def difference(source: Tokens, edited: Tokens, added: Iterable[Addition]) -> Refusal | None:
    """The first place where the edited file is not the source, both without what was added or replaced."""
    removed: set[int] = set()
    added = list(added)
    new_nodes = {id(addition.node) for addition in added}
    for addition in added:
        span = _span(edited, addition, new_nodes)
        if _unfolds(source, addition) and edited.all[span.start - 1].type == tokenize.NEWLINE:
            span = range(span.start - 1, span.stop)
        comment = next((n for n in span if edited.all[n].type == tokenize.COMMENT), None)
        if comment is not None:
            line = edited.all[comment].start[0]
            return Refusal(Rule.COMMENT_CHANGED, line, "a comment comes with the addition")
        removed.update(span)
    removed |= edited.spare
    gone = _replaced(source, added)
    if isinstance(gone, Refusal):
        return gone
    whole, left = keys(source, gone | source.spare) if gone else source.keys, keys(edited, removed)
    for (old, _), (new, line) in zip(whole, left, strict=False):
        if old != new:
            return _changed(old, new, line)
    if len(whole) > len(left):
        return _changed(whole[len(left)][0], (), left[-1][1] if left else 1)
    if len(left) > len(whole):
        return _changed((), left[len(whole)][0], left[len(whole)][1])
    return None


def _replaced(source: Tokens, added: Iterable[Addition]) -> set[int] | Refusal:
    """The numbers of the source's tokens in whose place additions are."""
    gone: set[int] = set()
    for addition in added:
        if addition.was is not None:
            node, owner = addition.was
            span = _span(source, addition._replace(node=node, owner=owner), set())
            if any(source.all[number].type == tokenize.COMMENT for number in span):
                return Refusal(Rule.COMMENT_CHANGED, addition.line, "a comment within the old hint is gone")
            gone.update(span)
    return gone


def _unfolds(source: Tokens, addition: Addition) -> bool:
    """Whether a docstring moves a body off the line of its `def` or `class`, which so ends earlier."""
    if addition.kind is not Kind.DOCSTRING or not isinstance(addition.before, ast.stmt):
        return False
    first = source.index(addition.before.lineno, addition.before.col_offset)
    return first > 0 and source.all[first - 1].string == ":"


def _changed(old: Sequence[object], new: Sequence[object], line: int) -> Refusal:
    comment = [key[1] for key in (old, new) if key and key[0] == tokenize.COMMENT]
    if comment:
        return Refusal(
            Rule.COMMENT_CHANGED, line, f"the comment {comment[0]!s:.80} is changed, moved or gone"
        )
    was, now = (key[1] if len(key) > 1 else "a line end" for key in (old, new))
    return Refusal(Rule.TOKENS_CHANGED, line, f"{now!s:.80} stands where the source has {was!s:.80}")


def _span(tokens: Tokens, addition: Addition, new_nodes: set[int]) -> range:
    """The numbers of the tokens that an addition brought."""
    node, owner = addition.node, addition.owner
    assert node.end_lineno is not None and node.end_col_offset is not None  # noqa: S101, PT018 - parsed nodes
    first = tokens.index(node.lineno, node.col_offset)
    after = tokens.index(node.end_lineno, node.end_col_offset)
    if addition.kind is Kind.PARAMETER and isinstance(owner, ast.arg):
        return range(tokens.index(owner.lineno, owner.col_offset) + 1, after)
    if addition.kind is Kind.RETURN:
        return range(first - 1, after)
    if addition.kind is Kind.VARIABLE and isinstance(owner, ast.AnnAssign):
        target = owner.target
        assert target.end_lineno is not None and target.end_col_offset is not None  # noqa: S101, PT018 - as above
        return range(tokens.index(target.end_lineno, target.end_col_offset), after)
    if isinstance(node, ast.alias) and isinstance(owner, ast.ImportFrom):
        # With the comma before it; if no name of the source stands before it, with the one after it.
        leads = all(id(name) in new_nodes for name in owner.names[: owner.names.index(node)])
        return range(first, after + 1) if leads else range(first - 1, after)
    return range(first, _line_end(tokens, after))


def _line_end(tokens: Tokens, index: int) -> int:
    """The number after the NEWLINE that ends a statement; a comment before it belongs to the line."""
    while index < len(tokens.all) and tokens.all[index].type == tokenize.COMMENT:
        index += 1
    if index < len(tokens.all) and tokens.all[index].type == tokenize.NEWLINE:
        index += 1
    return index
