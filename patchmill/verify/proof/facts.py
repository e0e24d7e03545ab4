"""What a source says about itself that bears on whether hints and docstrings can be added unseen."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath

from patchmill.verify.proof.additions import Function, Scope
from patchmill.verify.proof.flow import CONSTRUCTORS, Flow
from patchmill.verify.proof.itself import Itself
from patchmill.verify.proof.metaclasses import collector_of
from patchmill.verify.proof.names import EVERYTHING, FUNCTION, LOCAL, MODULE, UNKNOWN, VALUE, Names, Node
from patchmill.verify.proof.readers import (
    DOC_FRAMEWORKS,
    IMPORT_HOOKS,
    INJECTORS,
    LISTED_FILES,
    LISTING,
    NAMED_BY,
    READ_FILES,
    Reads,
    decorates,
    is_standard,
    of_any,
    reads_fields,
)
from patchmill.verify.proof.scopes import Scopes

_OWN = frozenset({UNKNOWN, VALUE, FUNCTION, LOCAL})
_HARMLESS_FOR_BASES = frozenset({"dataclass", "final", "total_ordering", "runtime_checkable"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """Why nothing may be added to one function or class, in words; None where something may.

    `hints` are those of a function, or of the names in a class; `parameters` those of its parameters alone.
    `decorators` are those that may read hints.
    """

    hints: str | None = None
    parameters: str | None = None
    docs: str | None = None
    decorators: frozenset[str] = frozenset()


class Facts:
    """What one look at the source's tree tells.

    `words` are all names, attributes, imports and strings, `dotted` all paths of attributes and imports,
    `bound` the names bound in any scope. `exposures` has one entry for each function and class, in the order
    of `ast.walk`. `text_is_read`, `names_are_read` and `hints_are_checked` say in words by what;
    `names_are_listed` leaves out what only looks up names one by one.
    """

    def __init__(self, tree: ast.Module, path: str = "") -> None:
        self.words: set[str] = set()
        self.bound = Scopes(tree).visible
        dotted: set[str] = set()
        for node in ast.walk(tree):
            match node:
                case ast.Name(id=name) | ast.Constant(value=str(name)):
                    self.words.add(name)
                case ast.Attribute(attr=name):
                    self.words.add(name)
                    dotted.add(ast.unparse(node))
                case ast.alias(name=name):
                    self.words.update(name.split("."))
                case ast.ImportFrom(module=str(module), names=names):
                    dotted.add(module)
                    dotted.update(f"{module}.{alias.name}" for alias in names)
                case ast.Import(names=names):
                    dotted.update(alias.name for alias in names)
        self.dotted = frozenset(dotted)
        self.future_annotations = "__future__.annotations" in dotted
        exposed = _Exposed(tree, self.words, path)
        self.exposures = [
            exposed.of(node) for node in ast.walk(tree) if isinstance(node, Function | ast.ClassDef)
        ]
        self.module = exposed.module
        self.module_names = exposed.module_names
        self.text_is_read = exposed.text
        main = "__main__" if "__main__" in dotted else None
        self.text_is_read = self.text_is_read or main or self._by_its_name(PurePath(path).name)
        self.names_are_listed = exposed.names_listed or main
        self.names_are_read = exposed.names_read or main
        self.hints_are_checked = next(
            (hook for hook in sorted(IMPORT_HOOKS) if any(path.startswith(hook) for path in dotted)), None
        )
        self.runs_examples = any("doctest" in word for word in self.words)

    def _by_its_name(self, name: str) -> str | None:
        """The name of the file itself, where something of such a name may be read."""
        return name if name in self.words and self.words & READ_FILES else None


class _Exposed:
    """What gets to a reader in one file, asked once for each function and class."""

    def __init__(self, tree: ast.Module, words: set[str], path: str) -> None:
        self._names = names = Names(tree)
        flow = Flow(names)
        self._hints, self._docs, self._fields, self._values, self._deep, self._handed, source = (
            flow.read(what)
            for what in (
                *(Reads.HINTS, Reads.DOCS, Reads.NAMES, Reads.VALUES),
                *(Reads.DEEP, Reads.HANDED, Reads.SOURCE),
            )
        )
        own = {*names.nodes.values(), EVERYTHING, MODULE}
        itself = Itself(names, words)
        self.text = itself.text or next((by for node, by in source.items() if node in own), None)
        self.names_listed = itself.listed or self._fields.get(MODULE)
        self.names_read = itself.hook or self.names_listed
        self._listed_in = itself.listed_in
        self.module_names = names.module.bound
        self._roots = names.roots
        self._injector = next(iter(sorted(self._roots & INJECTORS)), None)
        self._shows = _imports_any(names, DOC_FRAMEWORKS)
        self._lists = _imports_any(names, LISTING)
        self._file = PurePath(path).name
        own_hints = "__annotations__" if "__annotations__" in self.module_names else None
        self.module = Exposure(
            hints=own_hints or self._fields.get(EVERYTHING) or self._hints.get(EVERYTHING),
            docs=self._docs.get(MODULE) or self._docs.get(EVERYTHING),
        )

    def of(self, node: Function | ast.ClassDef) -> Exposure:
        """Ask for one function or class."""
        own = self._names.nodes[node]
        inner = self._names.places[node]
        outer = inner.parent
        around = outer.node if outer is not None else None
        owner = around if isinstance(around, ast.ClassDef) else None
        if isinstance(node, ast.ClassDef):
            return Exposure(hints=self._read_fields(node, own), docs=self._read_docs(node, own, owner))
        return Exposure(
            hints=self._read_hints(node, own, owner),
            parameters=self._injected(node, owner, nested=isinstance(around, Function | ast.Lambda)),
            docs=self._read_docs(node, own, owner),
            decorators=frozenset(self._unlisted(node)),
        )

    def _unlisted(self, node: Function) -> Iterator[str]:
        """Its decorators of which nobody knows that they do not look at hints."""
        place = self._names.places[node].parent or self._names.module
        for decorator in node.decorator_list:
            for origin in self._names.origins(decorator, place):
                if origin in _OWN or decorates(origin) & ~Reads.DOCS:
                    yield ast.unparse(decorator)

    def _read_hints(self, node: Function, own: Node, owner: ast.ClassDef | None) -> str | None:
        # What is handed on of a property is what it gives.
        handed = self._handed.get(own) if node not in self._names.values else None
        found = self._first(own, self._hints) or handed
        if found is None and owner is not None:
            above = self._names.nodes[owner]
            found = self._deep.get(above)
            if node.name in CONSTRUCTORS:
                found = found or self._hints.get(above) or self._handed.get(above)
        return found

    def _read_fields(self, node: ast.ClassDef, own: Node) -> str | None:
        found = self._first(own, self._fields) or self._hints.get(own) or self._handed.get(own)
        found = found or self._listed_in.get(node) or next(self._made_of(node), None) or self._kept_in(node)
        return found or next(self._derived(node), None)

    def _kept_in(self, node: ast.ClassDef) -> str | None:
        """A class around this one whose base, decorator or metaclass may look at all that is in it."""
        around = self._names.places[node].parent
        outer = around.node if around is not None else None
        if isinstance(outer, ast.ClassDef) and (outer.bases or outer.keywords or outer.decorator_list):
            return f"class {outer.name}"
        return None

    def _made_of(self, node: ast.ClassDef) -> Iterator[str]:
        """Frameworks that give the class its attributes, and may read what they are told of by hints."""
        inside = self._names.places[node]
        for part in node.body:
            value = part.value if isinstance(part, ast.Assign | ast.AnnAssign) else None
            for origin in self._names.origins(value, inside) if isinstance(value, ast.Call) else ():
                if reads_fields(origin):
                    yield origin.partition("()")[0]

    def _derived(self, node: ast.ClassDef) -> Iterator[str]:
        """Classes of the file that are made of this one together with what may read its annotations."""
        for other, place in self._names.all:
            if not isinstance(other, ast.ClassDef) or other is node:
                continue
            bases = [
                self._names.resolve(base.id, place) for base in other.bases if isinstance(base, ast.Name)
            ]
            if self._names.nodes[node] not in bases:
                continue
            decorators = {
                ast.unparse(each).partition("(")[0].rpartition(".")[2] for each in other.decorator_list
            }
            if other.keywords or len(other.bases) > 1 or decorators - _HARMLESS_FOR_BASES:
                yield f"class {other.name}"

    def _injected(self, node: Function, owner: ast.ClassDef | None, *, nested: bool) -> str | None:
        """A framework calls functions that any other file hands it by the hints of their parameters."""
        public = node.name in CONSTRUCTORS or not node.name.startswith("_")
        inside = owner is None or not owner.name.startswith("_")
        return self._injector if public and inside and not nested else None

    def _read_docs(self, node: Function | ast.ClassDef, own: Node, owner: ast.ClassDef | None) -> str | None:
        found = self._first(own, self._docs) or self._listed(node, owner)
        if isinstance(node, ast.ClassDef):
            found = found or self._first(own, self._values) or collector_of(node, self._names)
        if found is None and owner is not None:
            found = self._deep.get(self._names.nodes[owner]) or self._named(node.name, owner)
        if found is None and "ply" in self._roots and node.name.startswith(("p_", "t_")):
            found = "ply"
        if found is None and self._shows is not None:
            found = self._handed.get(own) if node not in self._names.values else None
            if isinstance(node, ast.ClassDef) and self._bases(node):
                found = found or self._shows
        return found

    def _listed(self, node: Function | ast.ClassDef, owner: ast.ClassDef | None) -> str | None:
        """A tool that shows the docstrings of all that a file offers."""
        start = LISTED_FILES.get(self._file)
        if start is not None and owner is None and node.name.startswith(start):
            return self._file
        return None if node.name.startswith("_") else self._lists

    def _named(self, name: str, owner: ast.ClassDef) -> str | None:
        """A framework that finds methods by their names."""
        for base in self._bases(owner):
            root = base.partition(".")[0]
            test = base.endswith("TestCase") and name.startswith("test")
            named = root in NAMED_BY and name.startswith(NAMED_BY[root])
            if test or named:
                return base
        return None

    def _bases(self, node: ast.ClassDef) -> set[str]:
        """What a class is derived from, other classes of the file seen through, and not of plain Python."""
        found: set[str] = set()
        waiting, seen = [node], {node}
        while waiting:
            one = waiting.pop()
            place = self._names.places[one].parent or self._names.module
            for base in one.bases:
                origins = self._names.origins(base, place)
                own = self._names.resolve(base.id, place) if isinstance(base, ast.Name) else None
                above = self._names.given[own].classes if own is not None and own in self._names.given else []
                waiting += [each for each in above if each not in seen]
                seen.update(above)
                for origin in origins - {LOCAL}:
                    name = ast.unparse(base) if origin in _OWN else origin
                    if not is_standard(name) or name.partition(".")[0] in NAMED_BY:
                        found.add(name)
        return found

    def _first(self, own: Node, read: dict[Node, str]) -> str | None:
        return read.get(own) or read.get(EVERYTHING)


def _imports_any(names: Names, packages: frozenset[str]) -> str | None:
    """The first of some packages that a file imports."""
    found = {of_any(path, packages) for path in names.imported}
    return min((one for one in found if one is not None), default=None)


def in_order(tree: ast.Module) -> list[Scope]:
    """The functions and classes of a tree, in the order of `Facts.exposures`."""
    return [node for node in ast.walk(tree) if isinstance(node, Function | ast.ClassDef)]
