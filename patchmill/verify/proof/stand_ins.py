"""What stands for a class of the file while a hint is evaluated: as open to `|` and subscripts as it is."""

import ast
import re
import typing
from collections.abc import Iterator

from patchmill.verify.proof.scopes import Binder, BinderKind, Bound

_HARMLESS_DECORATORS = frozenset(
    {"dataclass", "final", "total_ordering", "runtime_checkable", "unique", "define"}
)
_HARMLESS_METACLASSES = frozenset({"ABCMeta", "EnumMeta", "EnumType"})
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_VARIABLES = frozenset({"TypeVar", "ParamSpec", "TypeVarTuple"})
# What type variables are called, by custom, in other files.
_VARIABLE = re.compile(r"_*(?:[A-Z]{1,2}|[A-Z]\w*T)(?:_co|_contra)?")
# Classes that take a subscript, and whose heirs do, whatever is in it.
_OPEN = frozenset(
    """
    Counter Dict FrozenSet List OrderedDict Set Tuple Type UserDict UserList defaultdict deque dict frozenset
    list set tuple type
    """.split()  # noqa: SIM905 - it reads better than a dozen strings
)
_DEEPEST = 8


class Opaque:
    """Something bound, of which nothing is known: it may be a hint, but no part of a union."""


class AnyGeneric:
    """Stands for a class that can be subscripted, by whatever."""

    def __class_getitem__(cls, _item: object) -> type:
        return cls


def plain_class() -> type:
    """Give a class that takes no subscript."""
    return type("StandIn", (), {})


def is_stand_in(value: object) -> bool:
    """Whether something was made here."""
    return getattr(value, "__module__", "") == __name__


def class_for(node: ast.ClassDef, bound: Bound) -> type:
    """Give the stand-in of a class; `bound` are the names where it is looked at."""
    family = [node, *_ancestors(node, bound)]
    if any(_acts(one) for one in family):
        return Opaque
    subscripted = [
        part
        for one in family
        for part in one.body
        if isinstance(part, _FUNCTIONS) and part.name == "__class_getitem__"
    ]
    if subscripted:
        return AnyGeneric if all(map(_only_returns, subscripted)) else Opaque
    return _generic(node, bound)


def _ancestors(node: ast.ClassDef, bound: Bound) -> Iterator[ast.ClassDef]:
    """The classes of the file that a class is derived from."""
    seen = {node}
    waiting = [node]
    while waiting and len(seen) < _DEEPEST:
        for base in waiting.pop().bases:
            for one in _classes(base, bound):
                if one not in seen:
                    seen.add(one)
                    waiting.append(one)
                    yield one


def _classes(base: ast.expr, bound: Bound) -> list[ast.ClassDef]:
    name = base.value if isinstance(base, ast.Subscript) else base
    binders = (bound.get(name.id) or ()) if isinstance(name, ast.Name) else ()
    return [binder.node for binder in binders if isinstance(binder.node, ast.ClassDef)]


def _acts(node: ast.ClassDef) -> bool:
    """Whether `|` or a subscript, or the class itself, may be somebody's own code."""
    called = [each.func if isinstance(each, ast.Call) else each for each in node.decorator_list]
    if any(_last(decorator) not in _HARMLESS_DECORATORS for decorator in called):
        return True
    made_by = [_last(keyword.value) for keyword in node.keywords if keyword.arg in {"metaclass", None}]
    return any(metaclass not in _HARMLESS_METACLASSES for metaclass in made_by)


def _generic(node: ast.ClassDef, bound: Bound) -> type:
    """A class that takes so many arguments in a subscript as this one."""
    own = getattr(node, "type_params", [])
    if own:
        return AnyGeneric if any(type(one).__name__ != "TypeVar" for one in own) else _taking(len(own))
    subscripts = [base for base in node.bases if isinstance(base, ast.Subscript)]
    for base in subscripts:
        if _last(base.value) in {"Generic", "Protocol"}:
            parts = _parts(base)
            exact = all(isinstance(part, ast.Name) and _kind(part.id, bound) == "TypeVar" for part in parts)
            return _taking(len(parts)) if exact else AnyGeneric
    kinds = {
        part.id: _kind(part.id, bound)
        for base in subscripts
        for part in ast.walk(base.slice)
        if isinstance(part, ast.Name)
    }
    variables = {name: kind for name, kind in kinds.items() if kind is not None}
    if variables:
        return _taking(len(variables)) if set(variables.values()) == {"TypeVar"} else AnyGeneric
    if any(_last(base.value) in _OPEN for base in subscripts):
        return AnyGeneric
    return plain_class()


def _kind(name: str, bound: Bound) -> str | None:
    """What sort of type variable a name is, if it is one."""
    found: str | None = None
    for binder in bound.get(name) or ():
        match binder:
            case Binder(kind=BinderKind.VALUE, node=ast.Call(func=maker)) if _last(maker) in _VARIABLES:
                found = _last(maker)
            case Binder(kind=BinderKind.IMPORT) if _VARIABLE.fullmatch(name):
                found = "TypeVar"
            case _:
                return None
    return found


def _taking(count: int) -> type:
    """A class with so many type parameters."""
    parameters = tuple(typing.TypeVar(f"T{number}") for number in range(count))
    made = type(
        "StandIn",
        (typing.Generic,),
        {"__orig_bases__": (typing.Generic[parameters],)},  # type: ignore[index]  # as many as there are
    )
    made.__module__ = __name__
    return made


def _parts(subscript: ast.Subscript) -> list[ast.expr]:
    inner = subscript.slice
    return inner.elts if isinstance(inner, ast.Tuple) else [inner]


def _only_returns(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether calling it does nothing but give a class, or a `GenericAlias`."""
    *before, last = function.body
    if any(not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant)) for part in before):
        return False
    match last:
        case ast.Return(value=ast.Name()):
            return True
        case ast.Return(value=ast.Call(func=called, args=arguments, keywords=[])):
            plain = all(isinstance(argument, ast.Name) for argument in arguments)
            return plain and _last(called) == "GenericAlias"
        case _:
            return False


def _last(expression: ast.expr) -> str:
    return ast.unparse(expression).rpartition(".")[2]
