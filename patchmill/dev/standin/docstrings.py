"""Docstrings inferred from names and parameters: short, simple, and nothing that the names do not say."""

import ast
import re
from pathlib import PurePosixPath

from patchmill.dev.standin.python_source import Function, PythonSource
from patchmill.dev.standin.source_text import TextEdit

_LONGEST = 88
_MOST_NAMES = 3
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
# fmt: off - one word a line would fill a screen
_VERBS = frozenset(
    {
        "add",
        "append",
        "apply",
        "ask",
        "build",
        "calculate",
        "call",
        "change",
        "check",
        "clean",
        "clear",
        "close",
        "collect",
        "compare",
        "compute",
        "convert",
        "copy",
        "count",
        "create",
        "decode",
        "delete",
        "describe",
        "download",
        "drop",
        "encode",
        "ensure",
        "extract",
        "fetch",
        "fill",
        "filter",
        "find",
        "flush",
        "format",
        "generate",
        "get",
        "give",
        "group",
        "handle",
        "init",
        "initialize",
        "insert",
        "install",
        "iterate",
        "join",
        "list",
        "load",
        "log",
        "look",
        "make",
        "match",
        "merge",
        "move",
        "normalize",
        "open",
        "parse",
        "prepare",
        "print",
        "process",
        "push",
        "put",
        "raise",
        "read",
        "receive",
        "refresh",
        "register",
        "reject",
        "remove",
        "rename",
        "render",
        "replace",
        "report",
        "reset",
        "resolve",
        "run",
        "save",
        "search",
        "select",
        "send",
        "set",
        "setup",
        "show",
        "skip",
        "sort",
        "split",
        "start",
        "stop",
        "store",
        "strip",
        "sum",
        "test",
        "transform",
        "translate",
        "update",
        "upload",
        "use",
        "validate",
        "verify",
        "visit",
        "wait",
        "walk",
        "warn",
        "wrap",
        "write",
    }
)
# fmt: on
_QUESTIONS = frozenset({"can", "has", "have", "is", "are", "should", "was"})


def insert_docstring(
    python: PythonSource, node: Function | ast.ClassDef, owner: ast.ClassDef | None
) -> TextEdit | None:
    """The edit that gives a definition its docstring; None if it has one or none can be told.

    A body on the line of its header has no place for one, and a name of single letters says nothing.
    """
    header = python.header(node)
    if not any(len(word) > 1 for word in _words(node.name)):
        return None
    if ast.get_docstring(node, clean=False) is not None or header is None:
        return None
    lines = python.source.lines
    if _first_line(node.body[0]) <= header.colon_line:
        return None
    text = lines[_first_line(node.body[0]) - 1]
    indent = text[: len(text) - len(text.lstrip())]
    room = _LONGEST - len(indent) - 6
    if isinstance(node, ast.ClassDef):
        sentence, gap = _class_sentence(node), "\n" if lines[header.colon_line].strip() else ""
    else:
        sentence, gap = _sentence(node, owner, room), ""
    return python.insert_line(header.colon_line + 1, f'{indent}"""{sentence}"""\n{gap}')


def insert_module_docstring(python: PythonSource, path: str) -> TextEdit | None:
    """The edit that gives the module its docstring, below leading comments; None if it has one."""
    tree = python.tree
    if not tree.body or ast.get_docstring(tree, clean=False) is not None:
        return None
    line = _first_line(tree.body[0])
    return python.insert_line(line, f'"""{_module_sentence(tree, path)}"""\n\n')


def is_public_module(path: str) -> bool:
    """Whether a module's name makes it public; `__init__` and `__main__` are."""
    name = PurePosixPath(path).stem
    return not name.startswith("_") or name.startswith("__")


def _first_line(node: ast.stmt) -> int:
    if isinstance(node, Function | ast.ClassDef) and node.decorator_list:
        return node.decorator_list[0].lineno
    return node.lineno


def _module_sentence(tree: ast.Module, path: str) -> str:
    where = PurePosixPath(path)
    stem = where.parent.name if where.stem == "__init__" and where.parent.name else where.stem
    title = " ".join(_words(stem)) or "module"
    names = [
        node.name
        for node in tree.body
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_")
    ]
    listed = f": {_listed(names)}" if 0 < len(names) <= _MOST_NAMES else ""
    return f"{_capital(title)}{listed}."


def _class_sentence(node: ast.ClassDef) -> str:
    words = _words(node.name)
    return f"{'An' if words[0][0].lower() in 'aeiou' else 'A'} {' '.join(words)}."


def _sentence(node: Function, owner: ast.ClassDef | None, room: int) -> str:
    words = _words(node.name)
    name = " ".join(words)
    given = _parameters(node, owner)
    returns = any(isinstance(inner, ast.Return) and inner.value is not None for inner in ast.walk(node))
    if any(isinstance(one, ast.Name) and one.id == "property" for one in node.decorator_list):
        return f"The {name}."
    if words[0] in _QUESTIONS and returns:
        return _fitting(f"Return whether it {name}", ", given ", given, room)
    if words[0] in _VERBS or not returns:
        return _fitting(_capital(name), ", given ", given, room)
    return _fitting(f"Return the {name}", " of " if len(given) == 1 else ", given ", given, room)


def _fitting(start: str, joint: str, given: list[str], room: int) -> str:
    long = f"{start}{joint}{_listed(given)}." if given else f"{start}."
    return long if len(long) <= room else f"{start}."


def _parameters(node: Function, owner: ast.ClassDef | None) -> list[str]:
    positional = [*node.args.posonlyargs, *node.args.args]
    is_static = any(isinstance(one, ast.Name) and one.id == "staticmethod" for one in node.decorator_list)
    if owner is not None and not is_static:
        positional = positional[1:]
    return [" ".join(_words(one.arg)) or one.arg for one in (*positional, *node.args.kwonlyargs)]


def _words(name: str) -> list[str]:
    """The words of a name; those in capitals stay so."""
    found = _WORDS.findall(name)
    return [word if len(word) > 1 and word.isupper() else word.lower() for word in found]


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
