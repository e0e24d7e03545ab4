"""Types that literals give away; whatever leaves a doubt has none."""

import ast
from collections.abc import Collection, Iterator

from patchmill.dev.standin.python_source import Function

_PLAIN = (bool, int, float, str, bytes)
_ALWAYS_BOOL = (ast.Is, ast.IsNot, ast.In, ast.NotIn)
_CALLS = {
    "all": "bool",
    "any": "bool",
    "bool": "bool",
    "callable": "bool",
    "hasattr": "bool",
    "isinstance": "bool",
    "issubclass": "bool",
    "len": "int",
    "repr": "str",
}
_STR_METHODS = frozenset({"capitalize", "format", "join", "lower", "replace", "strip", "title", "upper"})
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def bound_names(tree: ast.Module) -> frozenset[str]:
    """Every name that the file gives a meaning of its own anywhere, so that it may not be the builtin."""
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                names.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.arg(arg=name) | ast.alias(asname=str(name)):
                names.add(name)
            case ast.alias(name=name):
                # After `import *` any name may mean anything.
                names.update({*_CALLS, *(kind.__name__ for kind in _PLAIN)} if name == "*" else {name})
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                names.add(name)
            case ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                names.add(name)
            case _:
                pass
    return frozenset(names)


def type_of_default(node: ast.expr, bound: Collection[str]) -> str | None:
    """The type of a parameter whose default is a plain literal."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _of_constant(node.operand)
        found = inner if inner in {"int", "float"} else None
    else:
        found = _of_constant(node)
    return None if found in bound else found


def return_type(function: Function, bound: Collection[str]) -> str | None:
    """The return type, if every way out of the function gives away the same one; else None.

    `"None"` is the type of a function that returns nothing; generators and functions that only stand for
    others (`pass`, `...`, `raise`) have no type here.
    """
    own = list(_own_nodes(function))
    if any(isinstance(node, ast.Yield | ast.YieldFrom) for node in own) or _is_placeholder(function):
        return None
    values = [node.value for node in own if isinstance(node, ast.Return)]
    if all(value is None for value in values):
        return None if isinstance(function.body[-1], ast.Raise | ast.While) else "None"
    types = {_of_expression(value, bound) if value is not None else None for value in values}
    if len(types) != 1 or not _always_leaves(function.body):
        return None
    found = types.pop()
    return None if found in bound else found


def _own_nodes(function: Function) -> Iterator[ast.AST]:
    """Nodes of a function without those of functions and classes inside it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, _SCOPES):
            waiting.extend(ast.iter_child_nodes(node))


def _is_placeholder(function: Function) -> bool:
    def says_nothing(node: ast.stmt) -> bool:
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        return is_text or isinstance(node, ast.Pass | ast.Raise)

    return all(says_nothing(node) for node in function.body)


def _always_leaves(body: list[ast.stmt]) -> bool:
    """Whether the end of the body is never reached."""
    last = body[-1]
    if isinstance(last, ast.If):
        return bool(last.orelse) and _always_leaves(last.body) and _always_leaves(last.orelse)
    return isinstance(last, ast.Return | ast.Raise)


def _of_constant(node: ast.expr) -> str | None:
    if not isinstance(node, ast.Constant):
        return None
    return next((kind.__name__ for kind in _PLAIN if type(node.value) is kind), None)


def _of_expression(node: ast.expr, bound: Collection[str]) -> str | None:
    found: str | None = None
    match node:
        case ast.Constant():
            found = _of_constant(node)
        case ast.JoinedStr():
            found = "str"
        case ast.UnaryOp(op=ast.Not()):
            found = "bool"
        case ast.UnaryOp(op=ast.USub()):
            found = type_of_default(node, bound)
        case ast.BoolOp(values=values):
            found = "bool" if all(_of_expression(value, bound) == "bool" for value in values) else None
        case ast.Compare(ops=ops):
            # A chain of comparisons gives back one of its results, so each has to be a bool.
            found = "bool" if all(isinstance(op, _ALWAYS_BOOL) for op in ops) else None
        case ast.Call(func=ast.Name(id=name)) if name not in bound:
            found = _CALLS.get(name)
        case ast.Call(func=ast.Attribute(value=value, attr=name)) if name in _STR_METHODS:
            found = "str" if _of_expression(value, bound) == "str" else None
        case _:
            pass
    return found
