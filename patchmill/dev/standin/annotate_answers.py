"""Types and docstrings for a file, wherever literals and names leave no doubt."""

import ast
from collections.abc import Collection, Iterator

from patchmill.dev.standin.docstrings import insert_docstring, insert_module_docstring, is_public_module
from patchmill.dev.standin.prompt import Task
from patchmill.dev.standin.python_source import Function, PythonSource, definitions, parse
from patchmill.dev.standin.source_text import SourceText, TextEdit
from patchmill.dev.standin.type_inference import bound_names, return_type, type_of_default

_DECORATORS = frozenset({"staticmethod", "classmethod", "property"})


def annotate(task: Task) -> SourceText | None:
    """The text with what could be added; None when that is nothing, or the source does not parse."""
    python = parse(task.source)
    if python is None:
        return None
    edits = [edit for edit in _edits(python, task) if _is_allowed(edit, python.source, task)]
    return python.source.apply(edits) if edits else None


def _edits(python: PythonSource, task: Task) -> Iterator[TextEdit]:
    bound = bound_names(python.tree)
    if "docstrings" in task.wishes and is_public_module(task.path):
        edit = insert_module_docstring(python, task.path)
        # The beginning of a file that is not shown could hold a docstring.
        if edit is not None and task.shown.issuperset(range(1, python.source.line_of(edit.start) + 1)):
            yield edit
    for node, owner in definitions(python.tree.body):
        if isinstance(node, Function) and not _is_plain(node):
            continue
        if "types" in task.wishes and isinstance(node, Function):
            yield from _type_edits(python, node, bound)
        if "docstrings" in task.wishes and _is_public(node, owner):
            edit = insert_docstring(python, node, owner)
            if edit is not None:
                yield edit


def _is_plain(node: Function) -> bool:
    """Whether no decorator can give the signature or the docstring a meaning of its own."""
    return all(isinstance(one, ast.Name) and one.id in _DECORATORS for one in node.decorator_list)


def _is_public(node: Function | ast.ClassDef, owner: ast.ClassDef | None) -> bool:
    return not node.name.startswith("_") and (owner is None or not owner.name.startswith("_"))


def _type_edits(python: PythonSource, node: Function, bound: Collection[str]) -> Iterator[TextEdit]:
    header = python.header(node)
    if header is None or node.body[0].lineno <= header.colon_line or python.has_type_comment(node):
        return
    for parameter, default in _defaults(node.args):
        found = type_of_default(default, bound)
        if found is None or parameter.annotation is not None:
            continue
        start, end = python.end(parameter), python.start(default)
        is_bare = python.source.text[start:end].strip() == "="
        yield TextEdit(start, end if is_bare else start, f": {found} = " if is_bare else f": {found}")
    if node.returns is None and header.closed_at is not None:
        returned = "None" if node.name == "__init__" else return_type(node, bound)
        if returned is not None:
            yield TextEdit(header.closed_at, header.closed_at, f" -> {returned}")


def _defaults(arguments: ast.arguments) -> Iterator[tuple[ast.arg, ast.expr]]:
    positional = [*arguments.posonlyargs, *arguments.args]
    yield from zip(positional[len(positional) - len(arguments.defaults) :], arguments.defaults, strict=True)
    for parameter, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if default is not None:
            yield parameter, default


def _is_allowed(edit: TextEdit, source: SourceText, task: Task) -> bool:
    lines = source.touched(edit)
    decide = any if source.is_between_lines(edit) else all
    return decide(task.may_change(line) for line in lines)
