"""What an annotated file changes besides hints and docstrings, by Python's own parser and tokenizer."""

import ast
import io
import tokenize
from collections import Counter
from collections.abc import Iterator

from patchmill.evaluate.parsing import parsed

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_SCOPES = (ast.Module, ast.ClassDef, *_FUNCTIONS)
_FOR_HINTS = frozenset({"__future__", "typing", "collections.abc", "types"})


def changes_behaviour(source: str, text: str) -> list[str]:
    """Say what else is different; nothing if only hints, docstrings and imports for hints came in."""
    before, after = parsed(source), parsed(text)
    if before is None or after is None:
        return ["cannot be parsed to compare"]
    found = []
    old, new = dict(_parts(before)), dict(_parts(after))
    found += [f"{place} is changed or gone" for place, part in old.items() if new.get(place) != part]
    if _comments(source) != _comments(text):
        found.append("a comment is changed")
    found += [
        f"the class {node.name} may read the hint of {_name(line)}"
        for node, line in _class_hints(after)
        if ("hint", f"{node.name}.{_name(line)}") not in old and (node.bases or node.decorator_list)
    ]
    if _bare(before) != _bare(after):
        found.append("code is changed")
    return found


def not_asked(source: str, text: str, what: frozenset[str]) -> list[str]:
    """Say which of hints and docstrings came in though only the other was asked for."""
    before, after = parsed(source), parsed(text)
    if before is None or after is None:
        return []
    fresh = dict(_parts(after)).keys() - dict(_parts(before)).keys()
    sorts = {"hint": "types", "docstring": "docstrings"}
    return [f"adds a {sort} to {place}" for sort, place in sorted(fresh) if sorts[sort] not in what]


def _parts(tree: ast.Module) -> Iterator[tuple[tuple[str, str], str]]:
    """Each hint and docstring with its place: names from the outside, numbered where one comes again."""
    seen: Counter[str] = Counter()
    for name, node in _named(tree, ""):
        seen[name] += 1
        place = f"{name}#{seen[name]}" if seen[name] > 1 else name
        docstring = ast.get_docstring(node, clean=False)
        if docstring is not None:
            yield ("docstring", place), docstring
        if isinstance(node, _FUNCTIONS):
            for part in _arguments(node.args):
                if part.annotation is not None:
                    yield ("hint", f"{place}({part.arg})"), ast.dump(part.annotation)
            if node.returns is not None:
                yield ("hint", f"{place}()"), ast.dump(node.returns)
        for line in node.body:
            if isinstance(line, ast.AnnAssign):
                yield ("hint", f"{place}.{_name(line)}"), ast.dump(line.annotation)


def _named(
    node: ast.AST, prefix: str
) -> Iterator[tuple[str, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]]:
    name = f"{prefix}.{node.name}".lstrip(".") if isinstance(node, ast.ClassDef | _Function) else prefix
    if isinstance(node, ast.Module | ast.ClassDef | _Function):
        yield name or "the module", node
    for child in ast.iter_child_nodes(node):
        yield from _named(child, name)


_Function = ast.FunctionDef | ast.AsyncFunctionDef


def _arguments(given: ast.arguments) -> list[ast.arg]:
    extra = [part for part in (given.vararg, given.kwarg) if part is not None]
    return [*given.posonlyargs, *given.args, *given.kwonlyargs, *extra]


def _name(line: ast.AnnAssign) -> str:
    return ast.unparse(line.target)


def _class_hints(tree: ast.Module) -> Iterator[tuple[ast.ClassDef, ast.AnnAssign]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield from ((node, line) for line in node.body if isinstance(line, ast.AnnAssign))


def _comments(text: str) -> list[str]:
    tokens = tokenize.generate_tokens(io.StringIO(text, newline="").readline)
    try:
        return [token.string.rstrip("\r\n") for token in tokens if token.type == tokenize.COMMENT]
    except (tokenize.TokenError, SyntaxError):
        return []


def _bare(tree: ast.Module) -> str:
    """The tree without hints, docstrings and imports for hints, as text."""
    return ast.dump(_Bare().visit(tree))


class _Bare(ast.NodeTransformer):
    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if isinstance(node, _SCOPES) and ast.get_docstring(node) is not None:
            del node.body[0]
        if isinstance(node, _FUNCTIONS):
            node.returns = None
            for part in _arguments(node.args):
                part.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        self.generic_visit(node)
        if node.value is None:
            return node
        return ast.copy_location(ast.Assign(targets=[node.target], value=node.value), node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        return None if node.module in _FOR_HINTS and not node.level else node

    def visit_If(self, node: ast.If) -> ast.AST | None:
        named = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        imports = all(isinstance(line, ast.Import | ast.ImportFrom) for line in node.body)
        if named and imports and not node.orelse:
            return None
        return self.generic_visit(node)
