"""Rewrites for a few rules that ruff reports but does not fix."""

import ast
from collections.abc import Callable, Iterator

from patchmill.dev.standin.docstrings import insert_docstring
from patchmill.dev.standin.python_source import PythonSource, definitions, parse
from patchmill.dev.standin.source_text import SourceText, TextEdit
from patchmill.dev.standin.type_inference import bound_names

_CAUSE = "error"


def rewrite(rule: str, source: SourceText, line: int) -> tuple[TextEdit, ...]:
    """The edits that mend a finding of this rule on this line; empty when there are none."""
    writer = _WRITERS.get(rule)
    python = parse(source) if writer is not None else None
    return () if writer is None or python is None else tuple(writer(python, line))


def _name_the_cause(python: PythonSource, line: int) -> Iterator[TextEdit]:
    """B904: `raise … from error`, naming the caught exception where it has no name yet."""
    for handler in _handlers(python.tree):
        for node in _raises(handler.body):
            if node.lineno != line or node.exc is None or node.cause is not None:
                continue
            cause = handler.name
            if cause is None and handler.type is not None and _CAUSE not in bound_names(python.tree):
                cause = _CAUSE
                at = _after_parentheses(python, handler.type)
                yield TextEdit(at, at, f" as {_CAUSE}")
            end = python.end(node)
            yield TextEdit(end, end, f" from {cause}")


def _raises(body: list[ast.stmt]) -> Iterator[ast.Raise]:
    """The `raise` statements of a handler, without those of functions and handlers inside it."""
    for node in body:
        if isinstance(node, ast.Raise):
            yield node
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for field in ("body", "orelse", "finalbody"):
                yield from _raises(getattr(node, field, []))


def _after_parentheses(python: PythonSource, node: ast.expr) -> int:
    """The end of an expression, past the brackets that `ast` leaves out."""
    end = python.end(node)
    colon = python.source.text.find(":", end)
    between = python.source.text[end:colon]
    return end + len(between.rstrip()) if set(between) <= set(") ") else end


def _catch_exception(python: PythonSource, line: int) -> Iterator[TextEdit]:
    """E722: `except Exception:` for a bare `except:`."""
    for handler in _handlers(python.tree):
        if handler.lineno == line and handler.type is None:
            at = python.source.offset_of_bytes(line, handler.col_offset) + len("except")
            yield TextEdit(at, at, " Exception")


def _document(python: PythonSource, line: int) -> Iterator[TextEdit]:
    """D101, D102, D103: a docstring inferred from the name."""
    for node, owner in definitions(python.tree.body):
        if node.lineno == line and (edit := insert_docstring(python, node, owner)) is not None:
            yield edit


def _handlers(tree: ast.Module) -> Iterator[ast.ExceptHandler]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler))


_WRITERS: dict[str, Callable[[PythonSource, int], Iterator[TextEdit]]] = {
    "B904": _name_the_cause,
    "E722": _catch_exception,
    "D101": _document,
    "D102": _document,
    "D103": _document,
}
