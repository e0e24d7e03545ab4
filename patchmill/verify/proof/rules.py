"""The rules for each addition: where hints may stand, what they may name, which imports may come along."""

import ast
import re
from pathlib import PurePath
from typing import TypeGuard

from patchmill.verify.proof.additions import HINTS, Addition, Function, Kind, is_guard
from patchmill.verify.proof.facts import Exposure, Facts, in_order
from patchmill.verify.proof.hints import check_form, lazy_names, quoted_names
from patchmill.verify.proof.meaning import Meaning, check_since
from patchmill.verify.proof.refusal import Broken, Refusal, Rule
from patchmill.verify.proof.scopes import BinderKind, Bound, Scopes, names_in
from patchmill.verify.proof.standard_names import BUILTINS
from patchmill.verify.proof.typing_names import ABC, TYPING

TYPES = "types"
DOCSTRINGS = "docstrings"
EXISTING_TYPES = "existing_types"

# An example that would do more than compute, if somebody ran the examples of the file.
_ACTING_EXAMPLE = re.compile(
    r"(?m)^[ \t]*(?:>>>|\.\.\.)[^\n]*?\b(?:__\w+__|(?:exec|eval|compile|open|input|breakpoint|exit)[ ]*\("
    r"|(?:os|subprocess|shutil|sys|socket|importlib|ctypes)\b"
    r"|(?:rmdir|rmtree|unlink|write_bytes|write_text)[ ]*\()"
)
_ACCESSORS = frozenset({"setter", "getter", "deleter"})


class Rules:
    """The rules for the additions to one source, in one edited tree."""

    def __init__(
        self,
        facts: Facts,
        edited: ast.Module,
        *,
        what: frozenset[str],
        target: tuple[int, int],
        path: str,
        typed_lines: frozenset[int],
    ) -> None:
        self._facts = facts
        self._edited = edited
        self._scopes = Scopes(edited)
        self._exposures = dict(zip(map(id, in_order(edited)), facts.exposures, strict=False))
        self._what = what
        self._target = target
        self._typed_lines = typed_lines
        self._stub = path.endswith(".pyi")
        # What an import may find this file as, if it stands in the folder that is searched first.
        stem = PurePath(path).stem
        self._named_like = {TYPING: {TYPING}, "collections": {ABC}}.get(stem, set())
        self._top = {id(statement) for statement in edited.body}
        self._guards = {
            id(inner): part
            for part in edited.body
            if isinstance(part, ast.If) and is_guard(part)
            for inner in part.body
        }

    def broken(self, added: list[Addition]) -> list[Refusal]:
        """Every rule that an addition breaks, the first one for each addition, in the order of the file."""
        refusals: list[Refusal] = []
        waiting: dict[int, list[Addition]] = {}
        for addition in added:
            waiting.setdefault(id(self._statement(addition)), []).append(addition)

        def visit(statement: ast.stmt, bound: Bound) -> None:
            for addition in waiting.pop(id(statement), ()):
                try:
                    self._check(addition, bound)
                except Broken as broken:
                    refusals.append(Refusal(broken.rule, addition.line, broken.detail))

        self._scopes.walk(visit)
        refusals += [
            Refusal(Rule.CODE_CHANGED, addition.line, "nothing can be added here")
            for left in waiting.values()
            for addition in left
        ]
        return sorted(refusals, key=lambda refusal: refusal.line)

    def _statement(self, addition: Addition) -> ast.AST:
        """The statement at which an addition is judged, with what is bound when that is executed."""
        if addition.kind in {Kind.PARAMETER, Kind.RETURN}:
            return addition.scope
        statement = addition.owner if addition.kind in {Kind.VARIABLE, Kind.ALIAS} else addition.node
        return self._guards.get(id(statement), statement)

    def _check(self, addition: Addition, bound: Bound) -> None:
        wanted = DOCSTRINGS if addition.kind is Kind.DOCSTRING else TYPES
        if addition.was is not None:
            wanted = EXISTING_TYPES
        if wanted not in self._what:
            raise Broken(Rule.NOT_ASKED_FOR, f"{wanted} were not asked for")
        if addition.kind is Kind.DOCSTRING:
            self._docstring(addition)
        elif addition.kind in HINTS and isinstance(addition.node, ast.expr | ast.AnnAssign):
            self._hint(addition, bound)
        elif addition.kind is Kind.GUARD:
            self._guard(addition, bound)
        else:
            self._import(addition, bound)

    def _exposure(self, scope: ast.AST) -> Exposure:
        return self._exposures.get(id(scope), self._facts.module)

    def _docstring(self, addition: Addition) -> None:
        text = addition.node.value.value  # type: ignore[union-attr]  # the walk has seen that it is a string
        by = self._exposure(addition.owner).docs
        if by is None and isinstance(addition.owner, ast.ClassDef) and _has_slot(addition.owner):
            raise Broken(
                Rule.DOCSTRING_NOT_PLAIN, "the class has a slot for its docstring, and would not be made"
            )
        self._before_type_comment(addition)
        if by is not None:
            raise Broken(Rule.DOCSTRINGS_ARE_READ, f"{by} may read this docstring at run time")
        if ">>>" in text and self._facts.runs_examples:
            raise Broken(Rule.DOCSTRING_EXAMPLE, "the file runs the examples in docstrings as tests")
        if _ACTING_EXAMPLE.search(text):
            raise Broken(Rule.DOCSTRING_EXAMPLE, "an example may be run as a test, and this one acts")

    def _before_type_comment(self, addition: Addition) -> None:
        """The comment that gives the types of a function stands first in its body."""
        if not isinstance(addition.owner, Function) or not isinstance(addition.node, ast.stmt):
            return
        after = addition.owner.body[1].lineno if len(addition.owner.body) > 1 else addition.node.lineno
        if not self._typed_lines.isdisjoint(range(addition.node.lineno + 1, after)):
            raise Broken(Rule.TYPE_COMMENT, "it parts the comment that gives the types from its function")

    def _hint(self, addition: Addition, bound: Bound) -> None:
        node = addition.node
        hint = node.annotation if isinstance(node, ast.AnnAssign) else node
        assert isinstance(hint, ast.expr)  # noqa: S101 - so says the kind of the addition
        if self._facts.hints_are_checked is not None:
            words = f"{self._facts.hints_are_checked} has hints checked at run time"
            raise Broken(Rule.HINTS_ARE_READ, words)
        self._place(addition, bound)
        self._type_comment(addition)
        hints = [hint] if addition.was is None else [hint, addition.was[0]]
        lazy = (
            self._facts.future_annotations
            or self._stub
            or (addition.kind is Kind.VARIABLE and isinstance(addition.scope, Function))
        )
        for one in hints:  # the old one, too, for what it does would be done no more
            check_form(one)
        self._known(lazy_names(hint) if lazy else quoted_names(hint), addition)
        if not lazy:
            carrier = node if isinstance(node, ast.AnnAssign) else addition.owner
            if isinstance(carrier, ast.AnnAssign) and isinstance(carrier.target, ast.Name):
                # It has its new value by then; one that was bare has none.
                bare = addition.was is not None and carrier.value is None
                bound = bound if bare else Bound(bound, {carrier.target.id: ()})
            for one in hints:
                self._meaning(bound).of(one)

    def _meaning(self, bound: Bound) -> Meaning:
        return Meaning(bound, target=self._target, dotted=self._facts.dotted)

    def _known(self, names: frozenset[str], addition: Addition) -> None:
        """Names that no one evaluates must at least be bound somewhere, or they mean nothing."""
        unknown = {name for name in names if name not in self._scopes.visible and name not in BUILTINS}
        if addition.kind in {Kind.PARAMETER, Kind.RETURN} and isinstance(addition.scope, Function):
            # What a function binds itself its own signature cannot see.
            inside = names_in([addition.scope.args, *addition.scope.body])
            unknown |= {name for name in names & inside - self._facts.module_names if name not in BUILTINS}
        if unknown and "*" not in self._scopes.visible:
            raise Broken(Rule.NAME_UNKNOWN, f"nothing in the file binds {', '.join(sorted(unknown))}")

    def _place(self, addition: Addition, bound: Bound) -> None:
        scope = addition.scope
        if addition.kind in {Kind.PARAMETER, Kind.RETURN} and isinstance(scope, Function):
            self._decorators(scope, addition.kind, bound)
            self._read(scope, addition.kind)
        elif isinstance(scope, Function):
            if addition.kind is Kind.BARE:
                raise Broken(Rule.BARE_ANNOTATION_IN_FUNCTION, "it would make the name local to the function")
        elif isinstance(scope, ast.ClassDef):
            self._class_level(scope)
        elif self._facts.module.hints is not None:
            words = f"{self._facts.module.hints} may read the annotations of the module"
            raise Broken(Rule.HINTS_ARE_READ, words)
        elif self._facts.names_are_listed is not None:
            words = f"{self._facts.names_are_listed} lists the names of the module, and a hint adds one"
            raise Broken(Rule.HINTS_ARE_READ, words)
        if addition.kind is Kind.BARE and isinstance(addition.node, ast.AnnAssign):
            self._declares(addition.node, scope)
        if (
            addition.kind is Kind.VARIABLE
            and isinstance(addition.owner, ast.AnnAssign)
            and isinstance(addition.owner.target, ast.Attribute)
        ):
            self._attribute(addition.owner.target, scope)

    def _attribute(self, target: ast.expr, scope: ast.AST) -> None:
        if not isinstance(scope, Function):
            raise Broken(Rule.HINT_NOT_PLAIN, "an attribute takes a hint inside functions only")
        while isinstance(target, ast.Attribute):
            target = target.value
        if not isinstance(target, ast.Name):
            raise Broken(Rule.HINT_NOT_PLAIN, "only an attribute of a name takes a hint")

    def _declares(self, bare: ast.AnnAssign, scope: ast.AST) -> None:
        """A bare annotation is for a name that the source has already."""
        name = bare.target.id if isinstance(bare.target, ast.Name) else ""
        known = self._facts.words if isinstance(scope, ast.ClassDef) else self._facts.module_names
        if name not in known:
            raise Broken(Rule.NAME_UNKNOWN, f"nothing here gives {name or 'this'} a value")

    def _read(self, function: Function, kind: Kind) -> None:
        """Refuse the hints of a function that may get to a reader."""
        exposure = self._exposure(function)
        if exposure.hints is not None:
            words = f"{function.name} may get to {exposure.hints}, which may read its hints"
            raise Broken(Rule.HINTS_ARE_READ, words)
        if kind is Kind.PARAMETER and exposure.parameters is not None:
            words = f"{exposure.parameters} calls functions by the hints of their parameters"
            raise Broken(Rule.HINTS_ARE_READ, f"{words}, and may be handed {function.name} by another file")

    def _class_level(self, scope: ast.ClassDef) -> None:
        bases = [base for base in scope.bases if not (isinstance(base, ast.Name) and base.id == "object")]
        if bases or scope.keywords or scope.decorator_list:
            words = "a base, decorator or metaclass of the class may read its annotations"
            raise Broken(Rule.CLASS_LEVEL_ANNOTATION, words)
        by = self._exposure(scope).hints
        if by is not None:
            words = f"{scope.name} may get to {by}, which may read its annotations"
            raise Broken(Rule.CLASS_LEVEL_ANNOTATION, words)

    def _type_comment(self, addition: Addition) -> None:
        """A comment that gives the type already would stand beside the hint, and may contradict it."""
        scope, owner = addition.scope, addition.owner
        if addition.kind in {Kind.PARAMETER, Kind.RETURN} and isinstance(scope, Function):
            lines = range(scope.lineno, scope.body[0].lineno + 1)
        else:
            lines = (
                range(owner.lineno, (owner.end_lineno or owner.lineno) + 1) if _placed(owner) else range(0)
            )
        if not self._typed_lines.isdisjoint(lines):
            raise Broken(Rule.TYPE_COMMENT, "a comment gives the type here already")

    def _decorators(self, function: Function, kind: Kind, bound: Bound) -> None:
        unlisted = self._exposure(function).decorators
        for decorator in function.decorator_list:
            path = ast.unparse(decorator)
            if path in unlisted and not _is_accessor(decorator, bound):
                rule = Rule.DECORATED_PARAMETER_HINT if kind is Kind.PARAMETER else Rule.DECORATED_RETURN_HINT
                called = decorator.func if isinstance(decorator, ast.Call) else decorator
                raise Broken(rule, f"@{ast.unparse(called):.80} may read the hints of what it decorates")

    def _guard(self, addition: Addition, bound: Bound) -> None:
        """A new `if TYPE_CHECKING:` block: at the top level, of imports alone."""
        node = addition.node
        if not isinstance(node, ast.If) or addition.owner is not self._edited:
            raise Broken(Rule.IMPORT_PLACEMENT, "this block has to stand at the top level")
        if node.orelse or not all(isinstance(part, ast.Import | ast.ImportFrom) for part in node.body):
            raise Broken(Rule.IMPORT_NOT_ALLOWED, "only imports may stand in this block")
        self._is_type_checking(node, bound)
        for statement in node.body:
            for name, _, _ in _imported(statement, None):
                self._free(name)

    def _is_type_checking(self, guard: ast.If, bound: Bound) -> None:
        """The block must be one that never runs: its condition typing's own constant."""
        root, _, rest = ast.unparse(guard.test).partition(".")
        module = self._meaning(bound).module_of(root)
        if (f"{module}.{rest}" if rest else module) != f"{TYPING}.TYPE_CHECKING":
            raise Broken(Rule.NAME_NOT_BOUND, "TYPE_CHECKING is not imported from typing before this")

    def _import(self, addition: Addition, bound: Bound) -> None:
        node = addition.node
        alias = node if isinstance(node, ast.alias) else None
        statement = addition.owner if alias is not None else node
        guard = self._guards.get(id(statement))
        if guard is not None:
            self._is_type_checking(guard, bound)
        elif id(statement) not in self._top:
            raise Broken(Rule.IMPORT_PLACEMENT, "an import has to stand at the top level")
        for name, module, member in _imported(statement, alias):
            if name == "*" or module == "__future__":
                words = f"{ast.unparse(statement):.80} changes what the code means"
                raise Broken(Rule.IMPORT_NOT_ALLOWED, words)
            self._free(name)
            if guard is None:
                if self._facts.names_are_read is not None:
                    words = f"{self._facts.names_are_read} looks at the names of this module: {name} is new"
                    raise Broken(Rule.IMPORT_REBINDS, words)
                self._runs(module, member)

    def _runs(self, module: str, member: str | None) -> None:
        if module in self._named_like and module not in self._facts.dotted:
            raise Broken(Rule.IMPORT_NOT_ALLOWED, f"run as a script, the file itself is found as {module}")
        if module not in {TYPING, ABC}:
            words = f"an import of {module}: only typing, collections.abc, or under TYPE_CHECKING"
            raise Broken(Rule.IMPORT_NOT_ALLOWED, words)
        if member is not None and member != "TYPE_CHECKING":
            check_since(module, member, self._target)

    def _free(self, name: str) -> None:
        """A new name must be new: nothing in the source may mean anything else by it."""
        if name in self._facts.words or name in self._facts.bound or name in BUILTINS:
            raise Broken(Rule.IMPORT_REBINDS, f"the file uses the name {name} already")
        if "*" in self._facts.bound:
            raise Broken(Rule.IMPORT_REBINDS, f"a star import may bring the name {name} already")


def _is_accessor(decorator: ast.expr, bound: Bound) -> bool:
    """Whether a decorator is the `setter`, say, of a property that was just defined."""
    match decorator:
        case ast.Attribute(value=ast.Name(id=name), attr=attr) if attr in _ACCESSORS:
            return [binder.kind for binder in bound.get(name) or ()] == [BinderKind.FUNCTION]
        case _:
            return False


def _has_slot(node: ast.ClassDef) -> bool:
    """Whether a class has `__doc__` among its slots, beside which it can have no docstring."""
    slots = (
        part.value
        for part in node.body
        if isinstance(part, ast.Assign | ast.AnnAssign)
        and part.value is not None
        and _assigns(part, "__slots__")
    )
    return any(
        isinstance(word, ast.Constant) and word.value == "__doc__"
        for value in slots
        for word in ast.walk(value)
    )


def _assigns(node: ast.Assign | ast.AnnAssign, name: str) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return any(isinstance(target, ast.Name) and target.id == name for target in targets)


def _placed(node: ast.AST) -> TypeGuard[ast.stmt | ast.expr]:
    return isinstance(node, ast.stmt | ast.expr)


def _imported(statement: ast.AST, only: ast.alias | None) -> list[tuple[str, str, str | None]]:
    """The names that an import binds, each with its module and, unless it is that module, the member."""
    if isinstance(statement, ast.Import):
        return [(alias.asname or alias.name.partition(".")[0], alias.name, None) for alias in statement.names]
    if isinstance(statement, ast.ImportFrom):
        module = "." * statement.level + (statement.module or "")
        aliases = [only] if only is not None else statement.names
        return [(alias.asname or alias.name, module, alias.name) for alias in aliases]
    return []
