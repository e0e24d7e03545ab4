"""What an edited file has that its source has not: both trees walked side by side; all else must be equal."""

import ast
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from patchmill.verify.proof.refusal import Refusal, Rule

Function = ast.FunctionDef | ast.AsyncFunctionDef
Scope = ast.Module | ast.ClassDef | Function


class Kind(StrEnum):
    """What sort of thing was added."""

    PARAMETER = "parameter"
    RETURN = "return"
    VARIABLE = "variable"  # a hint on an assignment that was there
    BARE = "bare"  # a new annotation without a value
    DOCSTRING = "docstring"
    IMPORT = "import"  # a new import statement
    ALIAS = "alias"  # one more name in an import that was there
    GUARD = "guard"  # a new `if TYPE_CHECKING:` block


HINTS = frozenset({Kind.PARAMETER, Kind.RETURN, Kind.VARIABLE, Kind.BARE})


class Addition(NamedTuple):
    """One added thing, in nodes of the edited tree.

    `node` is the hint, the alias or the new statement; `owner` what carries it: the parameter, the function,
    the annotated assignment, the import, or for a statement the node in whose body it stands. `scope` is the
    nearest module, class or function around the owner, and `before` the statement of the source that a new
    statement was put before.
    """

    kind: Kind
    node: ast.expr | ast.stmt | ast.alias
    owner: ast.AST
    scope: Scope
    before: ast.AST | None = None
    was: tuple[ast.expr, ast.AST] | None = (
        None  # the hint of the source in whose place it is, and its carrier
    )

    @property
    def line(self) -> int:
        """Its line in the edited file."""
        return self.node.lineno


class _Different(Exception):
    """Ends the walk at the first difference that is no addition."""

    def __init__(self, rule: Rule, node: ast.AST, detail: str) -> None:
        super().__init__(detail)
        self.refusal = Refusal(rule, getattr(node, "lineno", 1), detail)


def additions(
    source: ast.Module, edited: ast.Module, *, existing: bool = False
) -> tuple[list[Addition], Refusal | None]:
    """List what was added, with `existing` hints that were changed, too; or the first other difference."""
    walk = _Walk(existing=existing)
    try:
        walk.compare(source, edited, edited)
    except _Different as different:
        return walk.found, different.refusal
    return walk.found, None


def is_docstring(node: ast.AST) -> bool:
    """Whether a statement is a plain string, as a docstring is."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def is_guard(node: ast.AST) -> bool:
    """Whether a statement looks like `if TYPE_CHECKING:`, by name alone."""
    if not isinstance(node, ast.If):
        return False
    test = node.test
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING" and isinstance(test.value, ast.Name)
    )


class _Walk:
    def __init__(self, *, existing: bool) -> None:
        self.found: list[Addition] = []
        self._existing = existing

    def compare(self, old: ast.AST, new: ast.AST, scope: Scope) -> None:
        """Compare two nodes; the edited one may be annotated."""
        if isinstance(old, ast.Assign) and isinstance(new, ast.AnnAssign):
            self._annotated(old, new, scope)
            return
        if type(old) is not type(new):
            raise _Different(Rule.CODE_CHANGED, new, "the code here is not the source's")
        if isinstance(old, ast.AnnAssign) and isinstance(new, ast.AnnAssign):
            self._declared(old, new, scope)
            return
        if isinstance(new, Scope):
            scope = new
        for field in new._fields:
            was, now = getattr(old, field, None), getattr(new, field, None)
            if field in {"annotation", "returns"} and isinstance(new, ast.arg | Function):
                self._hint(was, now, old, new, scope)
            elif field in {"body", "orelse", "finalbody"} and isinstance(now, list):
                self._statements(was or [], now, new, scope)
            else:
                self._value(was, now, new, scope)

    def _value(self, was: object, now: object, owner: ast.AST, scope: Scope) -> None:
        if isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
            for one, other in zip(was, now, strict=True):
                self._value(one, other, owner, scope)
        elif isinstance(was, ast.AST) and isinstance(now, ast.AST):
            self.compare(was, now, scope)
        elif type(was) is not type(now) or repr(was) != repr(now):
            raise _Different(Rule.CODE_CHANGED, owner, "the code here is not the source's")

    def _hint(
        self, was: ast.expr | None, now: ast.expr | None, old: ast.AST, owner: ast.AST, scope: Scope
    ) -> None:
        if was is None and now is not None:
            kind = Kind.PARAMETER if isinstance(owner, ast.arg) else Kind.RETURN
            self.found.append(Addition(kind, now, owner, scope))
        elif was is not None and now is not None and self._existing and not _equal(was, now):
            kind = Kind.PARAMETER if isinstance(owner, ast.arg) else Kind.RETURN
            self.found.append(Addition(kind, now, owner, scope, was=(was, old)))
        elif was is not None and not _equal(was, now):
            raise _Different(Rule.EXISTING_HINT_CHANGED, owner, "a hint that was there is changed or gone")

    def _declared(self, old: ast.AnnAssign, new: ast.AnnAssign, scope: Scope) -> None:
        """`x: int = 1` that stayed, or became `x: float = 1`."""
        if (old.value is None) != (new.value is None) or old.simple != new.simple:
            raise _Different(Rule.CODE_CHANGED, new, "the code here is not the source's")
        self.compare(old.target, new.target, scope)
        if old.value is not None and new.value is not None:
            self.compare(old.value, new.value, scope)
        if _equal(old.annotation, new.annotation):
            return
        if not self._existing:
            raise _Different(Rule.EXISTING_HINT_CHANGED, new, "a hint that was there is changed")
        self.found.append(Addition(Kind.VARIABLE, new.annotation, new, scope, was=(old.annotation, old)))

    def _annotated(self, old: ast.Assign, new: ast.AnnAssign, scope: Scope) -> None:
        """`x = 1` that became `x: int = 1`."""
        plain = isinstance(new.target, ast.Attribute) or (isinstance(new.target, ast.Name) and new.simple)
        if len(old.targets) != 1 or new.value is None or not plain:
            raise _Different(Rule.CODE_CHANGED, new, "only an assignment to one name can take a hint")
        self.compare(old.targets[0], new.target, scope)
        self.compare(old.value, new.value, scope)
        self.found.append(Addition(Kind.VARIABLE, new.annotation, new, scope))

    def _statements(
        self, old: Sequence[ast.AST], new: Sequence[ast.AST], owner: ast.AST, scope: Scope
    ) -> None:
        """Compare two blocks; the edited one may have more imports, guards, docstrings, bare annotations."""
        position = 0
        had_docstring = isinstance(owner, Scope) and bool(old) and is_docstring(old[0])
        for number, statement in enumerate(new):
            before = old[position] if position < len(old) else None
            kind = _insertable(statement, owner, first=number == 0)
            if before is not None and (kind is None or _pairs(before, statement)):
                self._pair(before, statement, scope)
                position += 1
            elif kind is None:
                raise _Different(Rule.CODE_CHANGED, statement, "this statement is not in the source")
            elif had_docstring and position == 0:
                raise _Different(_misplaced(kind), statement, "the docstring has to stay first")
            else:
                assert isinstance(statement, ast.stmt)  # noqa: S101 - blocks hold statements
                self.found.append(Addition(kind, statement, owner, scope, before))
        if position < len(old):
            raise _Different(Rule.CODE_CHANGED, owner, "a statement of the source is missing in this block")

    def _pair(self, old: ast.AST, new: ast.AST, scope: Scope) -> None:
        if isinstance(old, ast.ImportFrom) and isinstance(new, ast.ImportFrom) and not _equal(old, new):
            self._extended(old, new, scope)
        elif is_docstring(old) and is_docstring(new) and not _equal(old, new):
            raise _Different(Rule.EXISTING_DOCSTRING_CHANGED, new, "a string that was there is changed")
        else:
            self.compare(old, new, scope)

    def _extended(self, old: ast.ImportFrom, new: ast.ImportFrom, scope: Scope) -> None:
        position = 0
        for alias in new.names:
            if position < len(old.names) and _equal(old.names[position], alias):
                position += 1
            else:
                self.found.append(Addition(Kind.ALIAS, alias, new, scope))


def _insertable(statement: ast.AST, owner: ast.AST, *, first: bool) -> Kind | None:
    """What a statement would be if it were added."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return Kind.IMPORT
    if is_guard(statement):
        return Kind.GUARD
    if isinstance(statement, ast.AnnAssign) and statement.value is None:
        return Kind.BARE
    if first and isinstance(owner, Scope) and is_docstring(statement):
        return Kind.DOCSTRING
    return None


def _pairs(old: ast.AST, new: ast.AST) -> bool:
    """Whether an insertable statement is rather the source's own, perhaps with something added inside."""
    if isinstance(old, ast.ImportFrom) and isinstance(new, ast.ImportFrom):
        rest = iter(new.names)
        same_module = (old.module, old.level) == (new.module, new.level)
        return same_module and all(any(_equal(name, other) for other in rest) for name in old.names)
    if isinstance(old, ast.If) and isinstance(new, ast.If):
        return _equal(old.test, new.test)
    if isinstance(old, ast.AnnAssign) and isinstance(new, ast.AnnAssign):
        return _equal(old.target, new.target)
    return _equal(old, new) or (is_docstring(old) and is_docstring(new))


def _misplaced(kind: Kind) -> Rule:
    return Rule.IMPORT_PLACEMENT if kind in {Kind.IMPORT, Kind.GUARD} else Rule.CODE_CHANGED


def _equal(one: ast.AST | None, other: ast.AST | None) -> bool:
    if one is None or other is None:
        return one is other
    return ast.dump(one) == ast.dump(other)
