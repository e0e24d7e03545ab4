"""What a hint does when Python evaluates it: computed on stand-ins, nothing of the file is run.

`typing`, `collections.abc`, the builtins and some modules of the standard library are the real ones; a class
of the file, or one that it imports, is an empty class in its place. So what would raise when the file is
imported (`any | None`, `Optional[int, str]`, a subscript on a plain class) raises here.
"""

import ast
import builtins
import collections.abc
import importlib
import operator
import sys
import typing
from types import ModuleType
from typing import Any

from patchmill.verify.proof.hints import is_literal
from patchmill.verify.proof.known_types import CLASS_NAME, is_no_class, known_class, types_of
from patchmill.verify.proof.refusal import Broken, Rule
from patchmill.verify.proof.scopes import Binder, BinderKind, Bound, names_in
from patchmill.verify.proof.stand_ins import (
    AnyGeneric,
    Opaque,
    class_for,
    is_stand_in,
    plain_class,
)
from patchmill.verify.proof.standard_names import has, missing_in, plain_in
from patchmill.verify.proof.typing_names import (
    ABC,
    GENERIC_BUILTINS_SINCE,
    TYPING,
    UNIONS_SINCE,
    since,
)

# Modules of the standard library that are imported to look at their classes; none does anything on import.
_LOOKED_AT = frozenset(
    """
    abc argparse array ast asyncio collections concurrent configparser contextlib csv dataclasses datetime
    decimal email enum fractions functools hashlib html http importlib inspect io ipaddress itertools json
    logging multiprocessing numbers os pathlib queue random re selectors shelve socket sqlite3 ssl string
    struct subprocess tarfile tempfile threading time traceback types typing unittest urllib uuid weakref
    xml zipfile zoneinfo
    """.split()  # noqa: SIM905 - it reads better than fifty strings
)
_MAKES_CLASS = frozenset(
    {"NewType", "NamedTuple", "TypedDict", "namedtuple", "Enum", "IntEnum", "StrEnum", "Flag"}
)
_DEEPEST_ALIAS = 5
_CALLABLES = (typing.Callable, collections.abc.Callable)


class Meaning:
    """Evaluates hints at one place of a file: `bound` is bound there, `dotted` are paths that it uses."""

    def __init__(self, bound: Bound, *, target: tuple[int, int], dotted: frozenset[str]) -> None:
        self._bound = bound
        self._target = target
        self._dotted = dotted
        self._depth = 0

    def of(self, hint: ast.expr) -> Any:  # noqa: PLR0911 - one for each form
        """Evaluate a hint that has the right form; raises Broken for what would, or might, raise."""
        match hint:
            case ast.Constant(value=value):
                return value
            case ast.UnaryOp(operand=ast.Constant(value=int() as value)):
                return -value
            case ast.Name(id=name):
                return self._name(name)
            case ast.Attribute():
                return self._attribute(hint)
            case ast.List(elts=parts):
                return [self.of(part) for part in parts]
            case ast.Tuple(elts=parts):
                return tuple(self.of(part) for part in parts)
            case ast.BinOp(left=left, right=right):
                return self._union(hint, self.of(left), self.of(right))
            case ast.Subscript():
                return self._subscript(hint)
            case _:
                raise Broken(Rule.HINT_NOT_PLAIN, f"a hint may not contain a {type(hint).__name__}")

    def module_of(self, name: str) -> str | None:
        """The dotted name of what a bound name was imported as, if it can only be that."""
        binders = self._bound.get(name) or ()
        if len(binders) != 1 or binders[0].kind is not BinderKind.IMPORT:
            return None
        return _imported(binders[0])

    def _name(self, name: str) -> Any:
        binders = self._bound.get(name)
        if binders is None:
            return Opaque if self._may_be_rebound(name) else self._builtin(name)
        if not binders or (name.startswith("__") and not name.endswith("__")):
            raise Broken(
                Rule.NAME_NOT_BOUND, f"{name} is not bound here for certain when this runs; quote it"
            )
        meanings = [self._binder(binder, name) for binder in binders]
        if all(meaning is meanings[0] for meaning in meanings):
            return meanings[0]
        return (
            plain_class()
            if all(isinstance(meaning, type) and meaning is not Opaque for meaning in meanings)
            else Opaque
        )

    def _may_be_rebound(self, name: str) -> bool:
        """Whether a star import of nobody knows what stands before this, and may bring a builtin's name."""
        stars = self._bound.get("*") or ()
        roots = {star.module.partition(".")[0] for star in stars}
        return hasattr(builtins, name) and not roots <= sys.stdlib_module_names

    def _builtin(self, name: str) -> Any:
        self._in_target("builtins", name)
        if not hasattr(builtins, name):
            if has(self._target, "builtins", name):
                return plain_class()
            words = f"{name} is not bound here when this runs; {_how_to_bind(name)}"
            raise Broken(Rule.NAME_NOT_BOUND, words)
        value = getattr(builtins, name)
        if not isinstance(value, type):
            raise Broken(Rule.HINT_FAILS, f"{name} is a builtin, but no type")
        return value

    def _in_target(self, module: str, name: str) -> None:
        """Raise Broken unless the library of the target has a name."""
        words = missing_in(self._target, module, name)
        if words is not None:
            raise Broken(Rule.TOO_NEW_FOR_TARGET, f"{words}, the target is {_dotted(self._target)}")

    def _binder(self, binder: Binder, name: str) -> Any:
        match binder:
            case Binder(kind=BinderKind.IMPORT):
                return self._import(binder)
            case Binder(kind=BinderKind.CLASS, node=ast.ClassDef() as node):
                return class_for(node, self._bound)
            case Binder(kind=BinderKind.FUNCTION):
                raise Broken(Rule.HINT_FAILS, f"{name} is a function, not a type")
            case Binder(kind=BinderKind.TYPE_PARAMETER):
                return typing.TypeVar(name)
            case Binder(kind=BinderKind.VALUE, node=ast.expr() as value):
                return self._value(value, name)
            case _:
                return Opaque

    def _value(self, value: ast.expr, name: str) -> Any:
        """What a name stands for that was assigned: a type variable, a made class, or an alias of a hint."""
        if isinstance(value, ast.Call):
            maker = value.func
            made = (
                maker.attr
                if isinstance(maker, ast.Attribute)
                else maker.id
                if isinstance(maker, ast.Name)
                else ""
            )
            if made in {"TypeVar", "ParamSpec"}:
                return getattr(typing, made)(name)
            return plain_class() if made in _MAKES_CLASS else Opaque
        if self._depth >= _DEEPEST_ALIAS or not isinstance(
            value, ast.Name | ast.Attribute | ast.Subscript | ast.BinOp
        ):
            return Opaque
        self._depth += 1
        try:
            return self.of(value)
        except Broken:
            return Opaque
        finally:
            self._depth -= 1

    def _import(self, binder: Binder) -> Any:
        known = _standard(binder.module)
        if known is not None and binder.name is None:
            return known
        if known is not None and binder.name is not None:
            found = getattr(known, binder.name, None)
            if found is None and binder.module in {TYPING, ABC} and since(binder.module, binder.name):
                return AnyGeneric
            return Opaque if found is None else found
        path = _imported(binder)
        if binder.name is not None and CLASS_NAME.fullmatch(binder.name) and not is_no_class(path):
            return known_class(path)
        return Opaque

    def _attribute(self, hint: ast.Attribute) -> Any:
        path = ast.unparse(hint)
        base = self.of(hint.value)
        if isinstance(base, ModuleType):
            if base.__name__ in {TYPING, ABC}:
                check_since(base.__name__, hint.attr, self._target)
            self._in_target(base.__name__, hint.attr)
            found = getattr(base, hint.attr, None)
            if found is None and has(self._target, base.__name__, hint.attr):
                return plain_class()
            if found is None or (isinstance(found, ModuleType) and path not in self._dotted):
                raise Broken(Rule.NAME_NOT_BOUND, f"{path} does not exist, or is not imported")
            return found
        if isinstance(base, typing.ParamSpec) and hint.attr in {"args", "kwargs"}:
            return getattr(base, hint.attr)
        root = path.partition(".")[0]
        if isinstance(hint.value, ast.Name):
            self._in_target(self.module_of(root) or "", hint.attr)
        if self.module_of(root) is None and not self._is_nested_class(hint):
            raise Broken(Rule.NAME_NOT_BOUND, f"{path} may not exist when this runs; quote it")
        if path not in self._dotted and not self._is_nested_class(hint):
            self._believed(root, hint)
        module = self.module_of(root)
        known = module is not None and path.count(".") == 1 and hint.attr in types_of(module)
        if not known and (not CLASS_NAME.fullmatch(hint.attr) or is_no_class(f"{module}.{hint.attr}")):
            return Opaque
        return known_class(f"{module}{path.removeprefix(root)}")

    def _believed(self, root: str, hint: ast.Attribute) -> None:
        """Raise Broken unless an imported module has, by what is known or by its name, such a type."""
        path = ast.unparse(hint)
        known = types_of(self.module_of(root) or "")
        if not (isinstance(hint.value, ast.Name) and hint.attr in known):
            raise Broken(Rule.NAME_NOT_BOUND, f"nothing in the file shows that {path} exists; quote it")

    def _is_nested_class(self, hint: ast.Attribute) -> bool:
        binders = self._bound.get(hint.value.id) if isinstance(hint.value, ast.Name) else None
        return bool(binders) and all(
            isinstance(binder.node, ast.ClassDef)
            and any(isinstance(part, ast.ClassDef) and part.name == hint.attr for part in binder.node.body)
            for binder in binders or ()
        )

    def _literal(self, inner: ast.expr) -> int:
        """Look at the members of enumerations that a literal names; its other values do nothing."""
        for part in inner.elts if isinstance(inner, ast.Tuple) else [inner]:
            if isinstance(part, ast.Attribute):
                self.of(part.value)
                if ast.unparse(part) not in self._dotted and not self._has_member(part):
                    words = f"nothing in the file shows that {ast.unparse(part)} exists; quote the hint"
                    raise Broken(Rule.NAME_NOT_BOUND, words)
        return 0

    def _has_member(self, path: ast.Attribute) -> bool:
        binders = (self._bound.get(path.value.id) or ()) if isinstance(path.value, ast.Name) else ()
        return bool(binders) and all(
            isinstance(binder.node, ast.ClassDef) and path.attr in names_in(binder.node.body)
            for binder in binders
        )

    def _union(self, hint: ast.BinOp, left: Any, right: Any) -> Any:
        if self._target < UNIONS_SINCE:
            raise Broken(
                Rule.TOO_NEW_FOR_TARGET, f"| needs Python 3.10, the target is {_dotted(self._target)}"
            )
        if Opaque in (left, right):
            words = f"whether {ast.unparse(hint)} works is not known; quote it"
            raise Broken(Rule.HINT_FAILS, words)
        try:
            return operator.or_(left, right)
        except TypeError as error:
            raise Broken(Rule.HINT_FAILS, f"{ast.unparse(hint)}: {error}") from None

    def _subscript(self, hint: ast.Subscript) -> Any:
        base = self.of(hint.value)
        if base is Opaque:
            words = f"whether {ast.unparse(hint.value)} can be subscripted is not known; quote it"
            raise Broken(Rule.HINT_FAILS, words)
        own = is_stand_in(base)
        from_typing = getattr(base, "__module__", "") == TYPING or own
        if not from_typing and self._target < GENERIC_BUILTINS_SINCE:
            words = f"{ast.unparse(hint.value)}[...] needs Python 3.9, the target is {_dotted(self._target)}"
            raise Broken(Rule.TOO_NEW_FOR_TARGET, words)
        plain = plain_in(self._target, base)
        if plain is not None:
            raise Broken(Rule.TOO_NEW_FOR_TARGET, f"{plain}, the target is {_dotted(self._target)}")
        inner = hint.slice
        if base in _CALLABLES and self._target < UNIONS_SINCE and not _lists_arguments(inner):
            words = f"{ast.unparse(hint)}: what it is called with has to stand in a list"
            raise Broken(Rule.HINT_FAILS, words)
        argument = self.of(inner) if not is_literal(hint) else self._literal(inner)
        arguments = argument if isinstance(argument, tuple) else (argument,)
        if from_typing and Opaque in arguments and self._target < (3, 11):
            raise Broken(Rule.HINT_FAILS, f"whether {ast.unparse(hint)} works is not known; quote it")
        if own and base is not AnyGeneric and not issubclass(base, typing.Generic):
            words = f"nothing in the file shows that {ast.unparse(hint.value)} takes a subscript; quote it"
            raise Broken(Rule.HINT_FAILS, words)
        try:
            return base[argument]
        except (TypeError, SyntaxError, AttributeError) as error:
            raise Broken(Rule.HINT_FAILS, f"{ast.unparse(hint)}: {error}") from None


def check_since(module: str, name: str, target: tuple[int, int]) -> None:
    """Raise Broken unless the target's `typing` or `collections.abc` has a name."""
    version = since(module, name)
    if version is None:
        raise Broken(Rule.IMPORT_NOT_ALLOWED, f"{module} has no {name}")
    if version > target:
        words = f"{module}.{name} needs Python {_dotted(version)}, the target is {_dotted(target)}"
        raise Broken(Rule.TOO_NEW_FOR_TARGET, words)


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def _imported(binder: Binder) -> str:
    return binder.module if binder.name is None else f"{binder.module}.{binder.name}"


def _standard(module: str) -> ModuleType | None:
    module = TYPING if module == "typing_extensions" else module
    parts = module.split(".")
    # `asyncio.__main__`, say, would do something.
    if parts[0] not in _LOOKED_AT or any(part.startswith("_") for part in parts):
        return None
    try:
        return importlib.import_module(module)
    except ImportError:
        return None


def _how_to_bind(name: str) -> str:
    module = next((each for each in (TYPING, ABC) if since(each, name) is not None), None)
    if module is not None:
        return f"import it from {module}"
    return "quote it, and import it under `if TYPE_CHECKING:` where it is not in the file"


def _lists_arguments(arguments: ast.expr) -> bool:
    """Whether `Callable` gets a list, or `...`, as older Pythons want it."""
    if not isinstance(arguments, ast.Tuple) or not arguments.elts:
        return False
    first = arguments.elts[0]
    return isinstance(first, ast.List) or (isinstance(first, ast.Constant) and first.value is Ellipsis)
