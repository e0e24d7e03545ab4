"""Python source with its syntax tree, and where the headers of functions and classes end."""

import ast
import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from patchmill.dev.standin.source_text import SourceText, TextEdit

Function = ast.FunctionDef | ast.AsyncFunctionDef
_CLOSERS = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A `def` or `class` header: where its first bracket closes (None without one), and its colon's line."""

    closed_at: int | None
    colon_line: int


class PythonSource:
    """Source that this Python parses; SyntaxError or ValueError if it does not."""

    def __init__(self, source: SourceText) -> None:
        self.source = source
        self.tree = ast.parse(source.text)
        try:
            self._tokens = list(tokenize.generate_tokens(io.StringIO(source.text).readline))
        except tokenize.TokenError as error:
            raise ValueError(str(error)) from error
        self._positions = {token.start: index for index, token in enumerate(self._tokens)}

    def start(self, node: ast.expr | ast.stmt | ast.arg) -> int:
        """Where a node begins in the text."""
        return self.source.offset_of_bytes(node.lineno, node.col_offset)

    def end(self, node: ast.expr | ast.stmt | ast.arg) -> int:
        """Where a node that has been parsed ends in the text."""
        return self.source.offset_of_bytes(node.end_lineno or node.lineno, node.end_col_offset or 0)

    def header(self, node: Function | ast.ClassDef) -> Header | None:
        """The header of a function or class."""
        line = self.source.lines[node.lineno - 1]
        column = len(line.encode()[: node.col_offset].decode())
        closed_at: int | None = None
        depth = 0
        for token in self._tokens[self._positions[node.lineno, column] :]:
            if token.type != tokenize.OP:
                continue
            depth += _CLOSERS.get(token.string, 0)
            if token.string == ")" and depth == 0 and closed_at is None:
                closed_at = self.source.offset(*token.end)
            if token.string == ":" and depth == 0:
                return Header(closed_at=closed_at, colon_line=token.start[0])
        return None

    def has_type_comment(self, node: ast.stmt) -> bool:
        """Whether any line of a node carries a `# type:` comment."""
        lines = self.source.lines[node.lineno - 1 : node.end_lineno]
        return any("# type:" in line for line in lines)

    def insert_line(self, before_line: int, text: str) -> TextEdit:
        """An edit that puts whole lines in front of a line."""
        at = self.source.offset(before_line, 0)
        return TextEdit(at, at, text)


@lru_cache(maxsize=4)
def parse(source: SourceText) -> PythonSource | None:
    """The source parsed, or None when this Python cannot; the findings of one file share the result."""
    try:
        return PythonSource(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def definitions(
    body: list[ast.stmt], owner: ast.ClassDef | None = None
) -> Iterator[tuple[Function | ast.ClassDef, ast.ClassDef | None]]:
    """Functions and classes of a module and, nested, of its classes, each with the class that it is in."""
    for node in body:
        if isinstance(node, Function):
            yield node, owner
        elif isinstance(node, ast.ClassDef):
            yield node, owner
            yield from definitions(node.body, node)
