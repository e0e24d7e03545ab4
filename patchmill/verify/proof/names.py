"""What each name of a file may stand for, wherever it is used, and from which package its values come.

This is no walk in the order of execution, as in `scopes`: whatever a name is given anywhere counts.
"""

import ast
from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

from patchmill.verify.proof.additions import Function
from patchmill.verify.proof.assigned import targets
from patchmill.verify.proof.scopes import local_names, names_in
from patchmill.verify.proof.standard_names import BUILTINS

# Origins that are no path of an import.
UNKNOWN = "?"
VALUE = "value"  # a number, a string, or a collection made here
FUNCTION = "function"  # a function of the file
LOCAL = "local"  # a class of the file, or what is made of one

Origins = frozenset[str]
WORDS = frozenset({UNKNOWN, VALUE, FUNCTION, LOCAL})
_NOT_KNOWN: Origins = frozenset({UNKNOWN})
_DEEPEST = 10
# What leads further than this, in one value or in all of a file, has an origin that is not known.
_MOST_STEPS = 2_000
_MOST_PARTS = 16
_MOST_IN_ALL = 400_000
_PASSES_ON = frozenset({"functools.partial", "functools.partialmethod"})
_IMPORTS = frozenset({"importlib.import_module", "builtins.__import__"})
_DISPATCH = frozenset({"functools.singledispatch", "functools.singledispatchmethod"})


class Node(NamedTuple):
    """A name in one scope, by the scope's number; or an attribute of anything, in the scope ATTRIBUTES."""

    scope: int
    name: str

    @property
    def result(self) -> "Node":
        """What it gives when it is called."""
        return Node(self.scope, self.name + "()")


MODULE_SCOPE = 0
ATTRIBUTES = -1
EVERYTHING = Node(-2, "*")  # what is looked up by a name that nobody knows
MODULE = Node(-2, "module")


@dataclass(slots=True)
class Place:
    """One scope: what it binds, what it stands in, and for a class or a method which class that is."""

    number: int
    bound: set[str]
    parent: "Place | None" = None
    node: ast.AST | None = None
    owner: ast.ClassDef | None = None

    @property
    def is_class(self) -> bool:
        """Whether it is the body of a class."""
        return isinstance(self.node, ast.ClassDef)


@dataclass(slots=True)
class Given:
    """All that one name is ever given."""

    values: list[tuple[ast.expr, Place]] = field(default_factory=list)
    imports: set[str] = field(default_factory=set)
    functions: list[Function] = field(default_factory=list)
    classes: list[ast.ClassDef] = field(default_factory=list)
    unknown: bool = False


class Names:
    """The names of one tree; `all` are its nodes, each with the scope it stands in, parents first."""

    def __init__(self, tree: ast.Module) -> None:
        self.given: defaultdict[Node, Given] = defaultdict(Given)
        self.all: list[tuple[ast.AST, Place]] = []
        self.places: dict[ast.AST, Place] = {}
        self.nodes: dict[ast.AST, Node] = {}
        self.firsts: dict[Node, ast.ClassDef] = {}
        self.values: set[ast.AST] = set()  # functions that are met as what they give: properties
        self._known: dict[int, Origins] = {}
        self._steps = self._all_steps = 0
        self._shared = {
            name for node in ast.walk(tree) if isinstance(node, ast.Global) for name in node.names
        }
        self.module = Place(MODULE_SCOPE, names_in(tree.body) | self._shared, node=tree)
        self.places[tree] = self.module
        waiting: list[tuple[ast.AST, Place]] = [(tree, self.module)]
        while waiting:
            node, place = waiting.pop()
            self.all.append((node, place))
            inner = self._enter(node, place)
            body = node.body if isinstance(node, Function | ast.ClassDef | ast.Lambda) else []
            inside = {id(part) for part in (body if isinstance(body, list) else [body])}
            waiting += [
                (child, inner if id(child) in inside or isinstance(node, ast.Module) else place)
                for child in ast.iter_child_nodes(node)
            ]
        for node, place in self.all:
            self._bind(node, place)

    @property
    def imported(self) -> set[str]:
        """The dotted paths of all that the file imports."""
        return {path for given in self.given.values() for path in given.imports}

    @property
    def roots(self) -> set[str]:
        """The packages that the file imports; an empty name for its own."""
        return {path.partition(".")[0] for path in self.imported}

    def resolve(self, name: str, place: Place) -> Node | None:
        """The node that a name means at a place; None if only a builtin can be meant."""
        at: Place | None = place
        while at is not None:
            if name in at.bound and (at is place or not at.is_class):
                return Node(ATTRIBUTES, name) if at.is_class else Node(at.number, name)
            at = at.parent
        return None

    def class_of(self, expression: ast.expr, place: Place) -> ast.ClassDef | None:
        """The class whose method calls this its own, as in `self`."""
        if not isinstance(expression, ast.Name):
            return None
        node = self.resolve(expression.id, place)
        return self.firsts.get(node) if node is not None else None

    def origins(self, expression: ast.expr, place: Place, depth: int = 0) -> Origins:
        """Where a value may come from: paths of imports, `()` after what is called, or a word above."""
        known = self._known.get(id(expression))
        if known is not None:
            return known
        self._steps = self._steps + 1 if depth else 0
        self._all_steps += 1
        if depth > _DEEPEST or self._steps > _MOST_STEPS or self._all_steps > _MOST_IN_ALL:
            return _NOT_KNOWN
        found = self._origins(expression, place, depth + 1)
        if depth == 0:
            self._known[id(expression)] = found
        return found

    def _origins(  # noqa: PLR0911, PLR0912, C901 - one for each form
        self, expression: ast.expr, place: Place, depth: int
    ) -> Origins:
        match expression:
            case ast.Name(id=name):
                node = self.resolve(name, place)
                if node is None:
                    return frozenset({f"builtins.{name}"}) if name in BUILTINS else _NOT_KNOWN
                return self._of_node(node, depth)
            case ast.Attribute(value=ast.Name(id=name), attr="register") if self._dispatching(name, place):
                return frozenset({f"{self._dispatching(name, place)}().register"})
            case ast.Attribute(value=value, attr=attr):
                return self._attribute(self.origins(value, place, depth), attr, place, depth)
            case ast.Call():
                return self._result(expression, place, depth)
            case ast.Subscript(value=value, slice=ast.Constant(value=str(module))) if (
                "sys.modules" in self.origins(value, place, depth)
            ):
                return frozenset({module})
            case ast.Subscript(value=value) | ast.Await(value=value) | ast.Starred(value=value):
                return self.origins(value, place, depth)
            case ast.NamedExpr(value=value):
                return self.origins(value, place, depth)
            case ast.BoolOp(values=values):
                return frozenset().union(*(self.origins(value, place, depth) for value in values))
            case ast.IfExp(body=body, orelse=orelse):
                return self.origins(body, place, depth) | self.origins(orelse, place, depth)
            case ast.Lambda():
                return frozenset({FUNCTION})
            case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Set(elts=parts) | ast.Dict(values=parts):
                named = [part for part in parts[:_MOST_PARTS] if isinstance(part, ast.Name | ast.Attribute)]
                return frozenset({VALUE}).union(*(self.origins(part, place, depth) for part in named))
            case _:
                return frozenset({VALUE})

    def _dispatching(self, name: str, place: Place) -> str | None:
        """The decorator by which a function of the file calls another by the class of its argument."""
        node = self.resolve(name, place)
        given = self.given[node].functions if node is not None and node in self.given else []
        decorators = [each for own in given for each in own.decorator_list]
        found = {origin for each in decorators for origin in self.origins(each, place, 1)}
        return next(iter(sorted(found & _DISPATCH)), None)

    def _of_node(self, node: Node, depth: int) -> Origins:
        given = self.given.get(node)
        if given is None or depth > _DEEPEST:
            return _NOT_KNOWN
        found = set(given.imports)
        if given.functions:
            found.add(FUNCTION)
        if given.classes or node in self.firsts:
            found.add(LOCAL)
        elif given.unknown:
            found.add(UNKNOWN)
        for value, place in given.values:
            if not (isinstance(value, ast.Constant) and value.value is None):
                found |= self.origins(value, place, depth)
        return frozenset(found or {VALUE if given.values else UNKNOWN})

    def _attribute(self, bases: Origins, attr: str, place: Place, depth: int) -> Origins:
        found: set[str] = set()
        for base in bases:
            if base == LOCAL:
                found |= self._own_attribute(attr, place, depth)
            elif base == FUNCTION:
                found.add(UNKNOWN)
            else:
                # Of what a call gave, the call says enough.
                found.add(base if base in {UNKNOWN, VALUE} or base.endswith("()") else f"{base}.{attr}")
        return frozenset(found)

    def _own_attribute(self, attr: str, place: Place, depth: int) -> Origins:
        """An attribute of a class of the file, or what it has from its bases."""
        node = Node(ATTRIBUTES, attr)
        if node in self.given:
            return self._of_node(node, depth)
        owner = place.owner
        found: set[str] = set()
        for base in owner.bases if owner is not None else ():
            for origin in self.origins(base, place, depth):
                found.add(UNKNOWN if origin in WORDS else f"{origin}().{attr}")
        if not found and attr.startswith("__"):
            return frozenset({f"builtins.object.{attr}"})
        return frozenset(found or {UNKNOWN})

    def _result(  # noqa: C901 - one case for each callee
        self, call: ast.Call, place: Place, depth: int
    ) -> Origins:
        found: set[str] = set()
        for origin in self.origins(call.func, place, depth):
            match origin, call.args:
                case ("builtins.getattr", [value, ast.Constant(value=str(attr)), *_]):
                    found |= self._attribute(self.origins(value, place, depth), attr, place, depth)
                case ("builtins.getattr", [value, _, *_]):
                    found |= self._attribute(self.origins(value, place, depth), "*", place, depth)
                case (path, [ast.Constant(value=str(module)), *_]) if path in _IMPORTS:
                    found.add(module)
                case (path, _) if path in _IMPORTS:
                    found.add(UNKNOWN)
                case (path, [value, *_]) if path in _PASSES_ON:
                    found |= self.origins(value, place, depth)
                case ("builtins.type", [value]):
                    found |= self.origins(value, place, depth)
                case ("builtins.super", _) if place.owner is not None:
                    made = [self.origins(base, place, depth) for base in place.owner.bases]
                    found |= {one if one in WORDS else f"{one}()" for some in made for one in some}
                case ("function", _):
                    found |= self._of_node(self._called(call.func, place).result, depth)
                case (path, _):
                    found.add(path if path in WORDS or path.endswith("()") else f"{path}()")
        return frozenset(found)

    def _called(self, function: ast.expr, place: Place) -> Node:
        if isinstance(function, ast.Attribute):
            return Node(ATTRIBUTES, function.attr)
        node = self.resolve(function.id, place) if isinstance(function, ast.Name) else None
        return node if node is not None else EVERYTHING

    def _enter(self, node: ast.AST, place: Place) -> Place:
        """The scope that a node opens; its own otherwise."""
        if isinstance(node, ast.ClassDef):
            inner = Place(len(self.places), names_in(node.body), place, node, node)
        elif isinstance(node, Function):
            arguments = {part.arg for part in _arguments(node)}
            inner = Place(len(self.places), local_names(node) | arguments, place, node, place.owner)
        elif isinstance(node, ast.Lambda):
            inner = Place(len(self.places), {part.arg for part in _arguments(node)}, place, node, place.owner)
        else:
            return place
        self.places[node] = inner
        return inner

    def _bind(self, node: ast.AST, place: Place) -> None:  # noqa: C901 - one case for each statement
        match node:
            case ast.Import(names=names):
                for alias in names:
                    name = alias.asname or alias.name.partition(".")[0]
                    self._given(name, place).imports.add(alias.name if alias.asname else name)
            case ast.ImportFrom(module=module, names=names, level=level):
                start = "." * level + (module or "")
                for alias in names:
                    path = f"{start}.{alias.name}" if module else f"{start}{alias.name}"
                    self._given(alias.asname or alias.name, place).imports.add(path)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self._function(node, place)
            case ast.ClassDef(name=name):
                self._given(name, place).classes.append(node)
                self.nodes[node] = self.resolve(name, place) or EVERYTHING
                self.firsts[self.nodes[node].result] = node
            case ast.Lambda():
                for part in _arguments(node):
                    self.given[Node(self.places[node].number, part.arg)].unknown = True
            case ast.Return(value=ast.expr() as value) | ast.Yield(value=ast.expr() as value):
                if isinstance(place.node, Function):
                    self.given[self.nodes[place.node].result].values.append((value, place))
            case _:
                for target, given in targets(node):
                    self._assign(target, given, place)

    def _function(self, node: Function, place: Place) -> None:
        own = self.resolve(node.name, place) or EVERYTHING
        self.nodes[node] = own
        decorators = [ast.unparse(each).rpartition(".")[2] for each in node.decorator_list]
        # What a property gives is no function of the file.
        is_value = {"property", "cached_property", "setter", "getter", "deleter"} & set(decorators)
        given = self.given[own]
        if is_value:
            self.values.add(node)
            given.unknown = True
        else:
            given.functions.append(node)
        inside = self.places[node].number
        defaults = _defaults(node)
        for number, part in enumerate(_arguments(node)):
            parameter = self.given[Node(inside, part.arg)]
            default = defaults.get(part.arg)
            if (
                number == 0
                and place.is_class
                and "staticmethod" not in decorators
                and place.owner is not None
            ):
                self.firsts[Node(inside, part.arg)] = place.owner
            elif isinstance(part.annotation, ast.Name | ast.Attribute):
                parameter.values.append((ast.Call(func=part.annotation, args=[], keywords=[]), place))
            elif default is not None and part.arg.startswith("_"):
                # By custom nobody gives it anything else.
                parameter.values.append((default, place))
            else:
                parameter.unknown = True

    def _assign(self, target: ast.expr, value: ast.expr | None, place: Place) -> None:
        match target:
            case ast.Name(id=name):
                given = self._given(name, place)
            case ast.Attribute(attr=attr):
                given = self.given[Node(ATTRIBUTES, attr)]
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                for number, part in enumerate(parts):
                    same = isinstance(value, ast.Tuple) and len(value.elts) == len(parts)
                    self._assign(part, value.elts[number] if same else value, place)  # type: ignore[union-attr]  # seen
                return
            case ast.Starred(value=inner):
                self._assign(inner, value, place)
                return
            case _:
                return
        if value is None:
            given.unknown = True
        else:
            given.values.append((value, place))

    def _given(self, name: str, place: Place) -> Given:
        return self.given[self.resolve(name, place) or Node(MODULE_SCOPE, name)]


def _defaults(node: Function) -> dict[str, ast.expr]:
    given = node.args
    positional = [*given.posonlyargs, *given.args]
    pairs = [*zip(reversed(positional), reversed(given.defaults), strict=False)]
    pairs += [(part, value) for part, value in zip(given.kwonlyargs, given.kw_defaults, strict=True) if value]
    return {part.arg: value for part, value in pairs}


def _arguments(node: Function | ast.Lambda) -> list[ast.arg]:
    given = node.args
    extra = [part for part in (given.vararg, given.kwarg) if part is not None]
    return [*given.posonlyargs, *given.args, *given.kwonlyargs, *extra]
