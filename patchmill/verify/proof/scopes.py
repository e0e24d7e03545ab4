"""Which names are bound for certain when a hint is evaluated, and to what: a walk in execution order."""

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple, Protocol

from patchmill.verify.proof.additions import Function, Scope


class BinderKind(StrEnum):
    """What sort of statement bound a name."""

    IMPORT = "import"
    CLASS = "class"
    FUNCTION = "function"
    VALUE = "value"  # a plain assignment; `node` is the value
    TYPE_PARAMETER = "type_parameter"
    OTHER = "other"


class Binder(NamedTuple):
    """One statement that may have bound a name; for imports `module` and `name` say what was imported.

    `name` is None where the module itself is bound.
    """

    kind: BinderKind
    node: ast.AST
    module: str = ""
    name: str | None = None


Binders = tuple[Binder, ...]

# Contexts that let every error out.
_SUPPRESS_NOTHING = frozenset(
    {"catch_warnings", "closing", "nullcontext", "open", "patch", "redirect_stdout"}
)


class Bound:
    """The names that may be bound at one point, each with all that may have bound it.

    No binder at all means that the name may still be unbound. What a block binds lies over what was bound
    before it, so that a branch or a function body costs what it binds and no copy of all the rest.
    """

    def __init__(self, under: "Bound | None" = None, own: Mapping[str, Binders] | None = None) -> None:
        self._under = under
        self.own: dict[str, Binders] = dict(own or {})

    def get(self, name: str) -> Binders | None:
        """What may have bound a name; None if it is no name of the file's here, though perhaps a builtin."""
        layer: Bound | None = self
        while layer is not None:
            if name in layer.own:
                return layer.own[name]
            layer = layer._under  # noqa: SLF001 - another layer of the same thing
        return None

    def names(self) -> set[str]:
        """All names that may be bound here."""
        return set(self.own) | (self._under.names() if self._under is not None else set())

    def merge(self, *ways: "Bound | None") -> bool:
        """Take over what is bound whichever way was taken; None is a way that never ends. False if none does.

        A name that is bound on one way alone may be unbound.
        """
        ended = [way for way in ways if way is not None]
        for name in {name for way in ended for name in way.own}:
            binders = [way.get(name) for way in ended]
            whole = all(binders)
            self.own[name] = tuple(dict.fromkeys(b for some in binders for b in some or ())) if whole else ()
        return bool(ended)


class Visit(Protocol):
    """Called before each statement is executed, with what is bound then; for a function, for its hints."""

    def __call__(self, statement: ast.stmt, bound: Bound) -> None:
        """Look at what is bound; it changes when the walk goes on."""
        ...


class Scopes:
    """A walk over one tree in the order of execution, as far as that is certain.

    `visible` are all names bound anywhere; `*` among them stands for a star import.
    """

    def __init__(self, tree: ast.Module) -> None:
        self.visible: set[str] = set()
        self._tree = tree
        self._unsteady: set[str] = set()
        for node in ast.walk(tree):
            self.visible.update(_names_bound_by(node))
            if isinstance(node, ast.Global | ast.Nonlocal):
                self._unsteady.update(node.names)
            elif isinstance(node, ast.NamedExpr):
                self._unsteady.add(node.target.id)

    def walk(self, visit: Visit) -> None:
        """Visit every statement."""
        _Walk(visit, self._unsteady).module(self._tree.body)


class _Walk:
    """`outer`, all through, is what functions inside see if that is not what the block sees: in a class."""

    def __init__(self, visit: Visit, unsteady: set[str]) -> None:
        self._visit = visit
        self._unsteady = unsteady
        # All that each scope around ever binds: a function may be called at any time.
        self._around: list[dict[str, Binders]] = []

    def module(self, body: list[ast.stmt]) -> None:
        """Walk the statements of a module."""
        self._around.append(self._all_binders(body))
        self.block(body, Bound(), None)

    def block(self, body: Iterable[ast.stmt], bound: Bound, outer: Bound | None) -> Bound | None:
        """Walk statements and bind what they bind; None if their end is never reached."""
        reached = True
        for statement in body:
            reached = self._statement(statement, bound, outer) and reached
        return bound if reached else None

    def _statement(  # noqa: PLR0911 - one for each kind of statement
        self, node: ast.stmt, bound: Bound, outer: Bound | None
    ) -> bool:
        """Walk one statement; False if what follows it is not reached."""
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self._function(node, bound, outer)
                return True
            case ast.ClassDef():
                self._visit(node, bound)
                inside = Bound(bound, _type_parameters(node))
                self.block(node.body, inside, outer if outer is not None else bound)
                self._bind(bound, [(node.name, Binder(BinderKind.CLASS, node))])
                return True
        self._visit(node, bound)
        match node:
            case ast.If():
                ways = [self.block(part, Bound(bound), outer) for part in (node.body, node.orelse)]
                return bound.merge(*ways)
            case ast.For() | ast.AsyncFor() | ast.While():
                return self._loop(node, bound, outer)
            case ast.With() | ast.AsyncWith():
                self._bind(bound, _bindings(node))
                if not _may_suppress(node):
                    return self.block(node.body, bound, outer) is not None
                torn = Bound(bound)
                self.block(node.body, torn, outer)
                return bound.merge(Bound(bound), torn)
            case ast.Match():
                return bound.merge(Bound(bound), *(self._case(case, bound, outer) for case in node.cases))
            case _ if isinstance(node, ast.Try | getattr(ast, "TryStar", ast.Try)):
                return self._try(node, bound, outer)
        self._bind(bound, _bindings(node))
        return not isinstance(node, ast.Return | ast.Raise | ast.Break | ast.Continue)

    def _function(self, node: Function, bound: Bound, outer: Bound | None) -> None:
        parameters = _type_parameters(node)
        self._visit(node, Bound(bound, parameters))
        arguments = node.args
        extra = [argument for argument in (arguments.vararg, arguments.kwarg) if argument is not None]
        inside = Bound(outer if outer is not None else bound, parameters)
        for binders in self._around:
            self._whenever(inside, binders)
        inside.own.update(dict.fromkeys(local_names(node), ()))
        for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *extra):
            inside.own[argument.arg] = (Binder(BinderKind.OTHER, argument),)
        self._around.append(self._all_binders(node.body))
        self.block(node.body, inside, None)
        self._around.pop()
        self._bind(bound, [(node.name, Binder(BinderKind.FUNCTION, node))])

    def _whenever(self, bound: Bound, binders: Mapping[str, Binders]) -> None:
        """Count with all that some names are ever given, since nobody knows when this is looked at."""
        for name, ever in binders.items():
            now = bound.get(name)
            if now and any(isinstance(binder.node, ast.Delete | ast.ExceptHandler) for binder in ever):
                bound.own[name] = ()
            elif now and not set(ever) <= set(now):
                bound.own[name] = tuple(dict.fromkeys((*now, *ever)))

    def _all_binders(self, body: Iterable[ast.AST]) -> dict[str, Binders]:
        """All that statements bind in their scope."""
        found: dict[str, Binders] = {}
        for statement in _statements(body):
            for name, binder in _bindings(statement):
                steady = name not in self._unsteady or isinstance(binder.node, ast.Delete)
                one = binder if steady else Binder(BinderKind.OTHER, binder.node)
                found[name] = (*found.get(name, ()), one)
        return found

    def _loop(self, node: ast.For | ast.AsyncFor | ast.While, bound: Bound, outer: Bound | None) -> bool:
        inside = Bound(bound)
        self._whenever(inside, self._all_binders(node.body))
        self._bind(inside, _bindings(node))
        self.block(node.body, inside, outer)
        # A break may leave the body at any point, with names bound to whatever they were just then.
        for name in names_in([node]):
            before = bound.get(name)
            bound.own[name] = (*before, Binder(BinderKind.OTHER, node)) if before else ()
        return bound.merge(Bound(bound), self.block(node.orelse, Bound(bound), outer))

    def _case(self, case: ast.match_case, bound: Bound, outer: Bound | None) -> Bound | None:
        inside = Bound(bound)
        self._bind(inside, _pattern(case.pattern))
        return self.block(case.body, inside, outer)

    def _try(self, node: ast.Try, bound: Bound, outer: Bound | None) -> bool:
        body = Bound(bound)
        whole = self.block(node.body, body, outer)
        # A handler may begin after any part of the body.
        torn = Bound(bound)
        torn.merge(Bound(bound), body)
        if whole is not None:
            whole = self.block(node.orelse, body, outer)
        ends = [whole]
        for handler in node.handlers:
            inside = Bound(torn)
            if handler.name:
                self._bind(inside, [(handler.name, Binder(BinderKind.OTHER, handler))])
            end = self.block(handler.body, inside, outer)
            if end is not None and handler.name:
                end.own[handler.name] = ()
            ends.append(None if end is None else _flat(end, torn))
        reached = bound.merge(*ends)
        return self.block(node.finalbody, bound, outer) is not None and reached

    def _bind(self, bound: Bound, bindings: Iterable[tuple[str, Binder]]) -> None:
        for name, binder in bindings:
            if isinstance(binder.node, ast.Delete):
                bound.own[name] = ()
            elif name == "*":
                self._starred(bound, binder)
            elif name in self._unsteady:
                bound.own[name] = (Binder(BinderKind.OTHER, binder.node),)
            else:
                bound.own[name] = (binder,)

    def _starred(self, bound: Bound, star: Binder) -> None:
        """What a star import brings nobody knows; of the standard library nothing that hints name."""
        bound.own["*"] = (*(bound.get("*") or ()), star)
        if star.module.partition(".")[0] in sys.stdlib_module_names:
            return
        for name in bound.names():
            before = bound.get(name)
            if before and name != "*":
                bound.own[name] = (*before, Binder(BinderKind.OTHER, star.node))


def _may_suppress(node: ast.With | ast.AsyncWith) -> bool:
    """Whether the block may be left before its end, and what follows reached all the same."""
    called = {item.context_expr.func for item in node.items if isinstance(item.context_expr, ast.Call)}
    names = {ast.unparse(function).rpartition(".")[2] for function in called}
    return len(called) < len(node.items) or not names <= _SUPPRESS_NOTHING


def _statements(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """The nodes of a scope, without those of the scopes in it."""
    waiting = list(body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, Scope | ast.Lambda):
            waiting.extend(ast.iter_child_nodes(node))


def _flat(upper: Bound, lower: Bound) -> Bound:
    """Two layers as one, for merging into what lies under both."""
    upper.own = {**lower.own, **upper.own}
    return upper


def _type_parameters(node: ast.AST) -> dict[str, Binders]:
    parameters = getattr(node, "type_params", [])
    return {each.name: (Binder(BinderKind.TYPE_PARAMETER, each),) for each in parameters}


def _bindings(  # noqa: PLR0911, PLR0912, C901 - as above
    node: ast.AST,
) -> list[tuple[str, Binder]]:
    """The names that a simple statement, or the head of a compound one, binds."""
    match node:
        case ast.Import(names=names):
            return [
                (
                    alias.asname or alias.name.partition(".")[0],
                    Binder(
                        BinderKind.IMPORT, alias, alias.name if alias.asname else alias.name.partition(".")[0]
                    ),
                )
                for alias in names
            ]
        case ast.ImportFrom(module=module, names=names, level=level):
            source = "." * level + (module or "")
            return [
                (alias.asname or alias.name, Binder(BinderKind.IMPORT, alias, source, alias.name))
                for alias in names
            ]
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            return [(name, Binder(BinderKind.VALUE, value))]
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            return [(name, Binder(BinderKind.VALUE, value))]
        case ast.AnnAssign(value=None):
            return []
        case ast.Assign(targets=targets) | ast.Delete(targets=targets):
            return [pair for target in targets for pair in _targets(target, node)]
        case ast.AugAssign(target=target) | ast.For(target=target) | ast.AsyncFor(target=target):
            return _targets(target, node)
        case ast.With(items=items) | ast.AsyncWith(items=items):
            return [pair for item in items for pair in _targets(item.optional_vars, node)]
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return [(name, Binder(BinderKind.FUNCTION, node))]
        case ast.ClassDef(name=name):
            return [(name, Binder(BinderKind.CLASS, node))]
        case ast.ExceptHandler(name=str(name)):
            return [(name, Binder(BinderKind.OTHER, node))]
        case ast.match_case(pattern=pattern):
            return _pattern(pattern)
        case _:
            return []


def _targets(target: ast.expr | None, node: ast.AST) -> list[tuple[str, Binder]]:
    match target:
        case ast.Name(id=name):
            return [(name, Binder(BinderKind.OTHER, node))]
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            return [pair for part in parts for pair in _targets(part, node)]
        case ast.Starred(value=value):
            return _targets(value, node)
        case _:
            return []


def _pattern(pattern: ast.pattern) -> list[tuple[str, Binder]]:
    return [
        (name, Binder(BinderKind.OTHER, node))
        for node in ast.walk(pattern)
        if isinstance(name := getattr(node, "name", None) or getattr(node, "rest", None), str)
    ]


def local_names(function: Function) -> set[str]:
    """The names that a function binds itself: not seen outside, and unbound until it binds them."""
    foreign = {
        name
        for node in ast.walk(function)
        if isinstance(node, ast.Global | ast.Nonlocal)
        for name in node.names
    }
    return names_in(function.body) - foreign


def names_in(body: Iterable[ast.AST]) -> set[str]:
    """The names that statements bind in their own scope, on whichever way."""
    return {name for node in _statements(body) for name in _names_bound_by(node)}


def _names_bound_by(node: ast.AST) -> list[str]:  # noqa: PLR0911 - as above
    """The names that one node, without its children, binds in its scope."""
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            return [name]
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            return [name]
        case ast.MatchMapping(rest=str(name)):
            return [name]
        case ast.Import() | ast.ImportFrom():
            return [name for name, _ in _bindings(node)]
        case ast.arg(arg=name):
            return [name]
        case _ if type(node).__name__ in {"TypeVar", "ParamSpec", "TypeVarTuple"}:
            return [str(getattr(node, "name", ""))]
        case _:
            return []
