"""What a value of a file may be, or hold: names and attributes of the file, as far as it can be followed."""

import ast
from collections.abc import Iterable, Iterator

from patchmill.verify.proof.additions import Function
from patchmill.verify.proof.assigned import constant
from patchmill.verify.proof.names import (
    ATTRIBUTES,
    EVERYTHING,
    FUNCTION,
    LOCAL,
    MODULE,
    MODULE_SCOPE,
    UNKNOWN,
    Names,
    Node,
    Place,
)

# Attributes that stand for, or lead to, what they belong to.
_SAME = frozenset(
    {
        "__call__",
        "__class__",
        "__code__",
        "__func__",
        "__init__",
        "__new__",
        "__self__",
        "__wrapped__",
        "fget",
        "fset",
    }
)
_APPLY = frozenset(
    """
    builtins.filter builtins.map functools.reduce itertools.accumulate itertools.dropwhile
    itertools.filterfalse itertools.starmap itertools.takewhile
    """.split()  # noqa: SIM905 - as above
)
_HOLD = frozenset(
    """
    builtins.classmethod builtins.dict builtins.enumerate builtins.filter builtins.frozenset builtins.iter
    builtins.list builtins.map builtins.max builtins.min builtins.next builtins.property builtins.reversed
    builtins.set builtins.sorted builtins.staticmethod builtins.tuple builtins.vars builtins.zip
    """.split()  # noqa: SIM905 - as above
)
_LOOK_INTO = frozenset({"copy", "get", "items", "pop", "values"})
_NAMESPACES = frozenset({"builtins.globals", "builtins.locals", "builtins.vars", "builtins.dir"})
_IMPORTS = frozenset({"importlib.import_module", "builtins.__import__"})
_DEEPEST = 30
_ALIASES = 4
_MOST_VALUES = 8

Callee = Function | ast.Lambda | ast.ClassDef


class Values:
    """Looks at expressions; `parts` tells for some nodes of what things they may be any part.

    Those among `spaces` may be what these have in their own namespaces, in `__dict__`, alone.
    """

    def __init__(self, names: Names) -> None:
        self._names = names
        self.parts: dict[Node, set[Node]] = {}
        self.spaces: set[Node] = set()
        self._known_parts: dict[frozenset[Node], Node] = {}

    def refs(self, expression: ast.expr, place: Place, depth: int = 0) -> set[Node]:  # noqa: PLR0911, C901 - one for each form
        """What a value may be, or hold."""
        if depth > _DEEPEST:
            return {EVERYTHING}
        match expression:
            case ast.Name(id=name):
                node = self._names.resolve(name, place)
                return {node} if node is not None else set()
            case ast.Attribute(value=value, attr=attr):
                within = self.refs(value, place, depth + 1) if attr in _SAME else set()
                if attr == "__class__":
                    return self._classes(within)
                if attr == "__dict__":
                    return {self.space(self.refs(value, place, depth + 1))}
                return {Node(ATTRIBUTES, attr)} | within
            case ast.Call():
                return self._result(expression, place, depth + 1)
            case ast.Subscript(value=value, slice=key):
                word = constant(key)
                if word is not None and self._is_namespace(value, place):
                    return {Node(MODULE_SCOPE, word)}
                if "sys.modules" in self._names.origins(value, place):
                    return {EVERYTHING, MODULE}
                return self.refs(value, place, depth + 1)
            case ast.Lambda(body=ast.Name() | ast.Attribute() as body):
                return self.refs(body, self._names.places[expression], depth + 1)
            case ast.Lambda() | ast.JoinedStr() | ast.Compare():
                return set()
            case _:
                inner = [child for child in ast.iter_child_nodes(expression) if isinstance(child, ast.expr)]
                inner += [part.iter for part in getattr(expression, "generators", [])]
                return set().union(*(self.refs(child, place, depth + 1) for child in inner))

    def _is_namespace(self, expression: ast.expr, place: Place) -> bool:
        called = isinstance(expression, ast.Call) and not expression.args
        return called and bool(self._names.origins(expression.func, place) & _NAMESPACES)  # type: ignore[attr-defined]  # a call

    def part(self, whole: set[Node]) -> Node:
        """A node for any part of some things."""
        if whole & {EVERYTHING, MODULE}:
            return EVERYTHING
        node = self._known_parts.setdefault(frozenset(whole), Node(-2, f"part {len(self.parts)}"))
        self.parts[node] = whole
        return node

    def space(self, whole: set[Node]) -> Node:
        """A node for any part of the own namespaces of some things."""
        node = self.part(whole)
        if node == EVERYTHING:
            return node
        own = Node(-2, f"space of {node.name}")
        self.parts[own] = whole
        self.spaces.add(own)
        return own

    def _classes(self, nodes: Iterable[Node]) -> set[Node]:
        """The classes of things: for `self`, whose class it is."""
        found = set()
        for node in nodes:
            owner = self._names.firsts.get(node)
            of = node if owner is None else Node(node.scope, f"type of {node.name}")
            if owner is not None:
                self._names.firsts[of] = owner
            found.add(of)
        return found

    def _result(  # noqa: C901 - one case for each callee
        self, call: ast.Call, place: Place, depth: int
    ) -> set[Node]:
        """What a call may give: what it was given, unless it is known better."""
        found: set[Node] = set()
        given: set[Node] | None = None
        for origin in self._names.origins(call.func, place):
            if origin == "builtins.getattr" and len(call.args) > 1:
                name = constant(call.args[1])
                whole = self.refs(call.args[0], place, depth)
                found.add(Node(ATTRIBUTES, name) if name is not None else self.part(whole))
            elif origin in _IMPORTS and any(
                isinstance(one, ast.Name) and one.id == "__name__" for one in call.args
            ):
                found |= {EVERYTHING, MODULE}
            elif origin == "operator.attrgetter()" and isinstance(call.func, ast.Call):
                names = [constant(value) for value in call.func.args]
                found |= {EVERYTHING if name is None else Node(ATTRIBUTES, name) for name in names}
            elif origin == "builtins.vars" and call.args:
                found.add(self.space(self.refs(call.args[0], place, depth)))
            elif origin == "builtins.type":
                found |= self._classes(self.given(call, place, depth))
            elif origin in _NAMESPACES and not call.args:
                found.add(EVERYTHING)
            elif origin in {FUNCTION, LOCAL}:
                found |= self._made(call.func, place)
            elif origin == UNKNOWN and isinstance(call.func, ast.Attribute) and call.func.attr in _LOOK_INTO:
                found |= self.receiver(call.func, place, depth)
            elif origin != UNKNOWN:
                given = self.held(call, origin, place, depth) if given is None else given
                found |= given | self.receiver(call.func, place, depth)
        return found

    def held(self, call: ast.Call, origin: str, place: Place, depth: int) -> set[Node]:
        """What the result of a call may hold of its arguments: not functions that are only applied."""
        values = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg != "key")]
        if origin in _APPLY:
            del values[:1]
        if origin.startswith("builtins.") and origin not in _HOLD:
            return set()
        return set().union(*(self.refs(value, place, depth) for value in values))

    def _made(self, function: ast.expr, place: Place) -> set[Node]:
        """What a function of the file returns, or an instance of one of its classes."""
        match function:
            case ast.Name(id=name):
                node = self._names.resolve(name, place)
            case ast.Attribute(attr=attr):
                node = Node(ATTRIBUTES, attr)
            case _:
                node = None
        return {node.result} if node is not None else set()

    def given(self, call: ast.Call, place: Place, depth: int = 0) -> set[Node]:
        """What the arguments of a call may be."""
        values = [*call.args, *(keyword.value for keyword in call.keywords)]
        return set().union(*(self.refs(value, place, depth) for value in values))

    def receiver(self, function: ast.expr, place: Place, depth: int = 0) -> set[Node]:
        """What a method is called of; a module keeps nothing."""
        if not isinstance(function, ast.Attribute):
            return set()
        found = self.refs(function.value, place, depth)
        return {
            node for node in found if node not in self._names.given or not self._names.given[node].imports
        }

    def called(self, function: ast.expr, place: Place, depth: int = 0) -> Iterator[Callee]:
        """The functions and classes of the file that may be called here."""
        if isinstance(function, ast.Lambda):
            yield function
            return
        for node in self.refs(function, place):
            own = self._names.given.get(node)
            owner = self._names.firsts.get(node)
            if owner is not None:
                yield owner
            if own is None:
                continue
            yield from own.functions
            yield from own.classes
            for value, where in own.values[:_MOST_VALUES] if depth < _ALIASES else ():
                yield from self.called(value, where, depth + 1)
