"""Metaclasses of the file that collect what the body of a class binds, a docstring with it."""

import ast
from collections.abc import Iterator

from patchmill.verify.proof.additions import Function
from patchmill.verify.proof.names import Names

# At which place each of these takes the names of the class.
_NAMESPACE = {"__new__": 3, "__init__": 3, "__call__": 3}
_COUNT = frozenset({"dict", "filter", "frozenset", "len", "list", "map", "set", "sorted", "tuple"})
_LISTS = frozenset({"items", "keys", "values", "copy"})


def collector_of(node: ast.ClassDef, names: Names) -> str | None:
    """Say in words which metaclass of the file lists what is in a class, if one does."""
    for one in _with_bases(node, names):
        for keyword in one.keywords:
            for metaclass in _classes(keyword.value, one, names) if keyword.arg == "metaclass" else ():
                for part in metaclass.body:
                    if isinstance(part, Function) and _collects(part):
                        return f"{metaclass.name}.{part.name}"
    return None


def _with_bases(node: ast.ClassDef, names: Names) -> Iterator[ast.ClassDef]:
    seen = {node}
    waiting = [node]
    while waiting:
        one = waiting.pop()
        yield one
        for base in one.bases:
            above = [each for each in _classes(base, one, names) if each not in seen]
            seen.update(above)
            waiting += above


def _classes(expression: ast.expr, node: ast.ClassDef, names: Names) -> list[ast.ClassDef]:
    place = names.places[node].parent or names.module
    found = names.resolve(expression.id, place) if isinstance(expression, ast.Name) else None
    return names.given[found].classes if found is not None and found in names.given else []


def _collects(function: Function) -> bool:
    """Whether a method of a metaclass goes through the names that it is given."""
    if function.name == "__prepare__":
        return True
    place = _NAMESPACE.get(function.name)
    arguments = [*function.args.posonlyargs, *function.args.args]
    if place is None or place >= len(arguments):
        return False
    name = arguments[place].arg
    return any(_lists(node, name) for node in ast.walk(function))


def _lists(node: ast.AST, name: str) -> bool:
    match node:
        case ast.For(iter=ast.Name(id=found)) | ast.comprehension(iter=ast.Name(id=found)):
            return found == name
        case ast.Call(func=ast.Attribute(value=ast.Name(id=found), attr=attr)):
            return found == name and attr in _LISTS
        case ast.Call(func=ast.Name(id=called), args=arguments) if called in _COUNT:
            return any(isinstance(one, ast.Name) and one.id == name for one in arguments)
        case ast.Dict(keys=keys, values=values):
            pairs = zip(keys, values, strict=True)
            return any(key is None and isinstance(one, ast.Name) and one.id == name for key, one in pairs)
        case _:
            return False
