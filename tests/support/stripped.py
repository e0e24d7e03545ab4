"""Real annotated files with their hints and docstrings taken out, and each put back alone."""

import ast
import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef
Scope = ast.Module | ast.ClassDef | Function
_LARGEST = 20_000


@dataclass(frozen=True, slots=True)
class Part:
    """What one function or class had: `kind` is `hints` or `docstring`, `spans` are ranges of characters."""

    kind: str
    name: str
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Stripped:
    """A file and the parts that can be taken out of it."""

    path: Path
    source: str
    parts: tuple[Part, ...]

    @property
    def bare(self) -> str:
        """The file with nothing put back."""
        return self.with_only(())

    def with_only(self, kept: Sequence[Part]) -> str:
        """The file with some parts put back."""
        taken = sorted(span for part in self.parts if part not in kept for span in part.spans)
        pieces, position = [], 0
        for start, end in taken:
            pieces.append(self.source[position:start])
            position = end
        return "".join([*pieces, self.source[position:]])


class _Text:
    """A source, with places in it as offsets."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def at(self, line: int, column: int) -> int:
        return self._starts[line - 1] + column

    def start(self, node: ast.expr | ast.stmt) -> int:
        return self.at(node.lineno, node.col_offset)

    def end(self, node: ast.expr | ast.stmt) -> int:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self.at(node.end_lineno, node.end_col_offset)


def files(*packages: str) -> Iterator[Stripped]:
    """Strip the files at the top of installed packages, those that can be."""
    for name in packages:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.submodule_search_locations is not None
        for path in sorted(Path(spec.submodule_search_locations[0]).glob("*.py")):
            file = _strip(path)
            if file is not None:
                yield file


def _strip(path: Path) -> Stripped | None:
    """Strip one file; None where nothing can be taken out."""
    source = path.read_text(encoding="utf-8")
    if not source.isascii() or len(source) > _LARGEST:
        return None
    text = _Text(source)
    parts = [
        part
        for node in ast.walk(ast.parse(source))
        if isinstance(node, Function | ast.ClassDef)
        for part in (*_hints(node, text), *_docstring(node, text))
    ]
    file = Stripped(path, source, tuple(parts))
    try:
        ast.parse(file.bare)
    except SyntaxError:
        # A hint in brackets of its own: what is taken out is not all of it.
        return None
    return file if parts else None


def _hints(node: Function | ast.ClassDef, text: _Text) -> Iterator[Part]:
    if isinstance(node, ast.ClassDef):
        return
    given = node.args
    extra = [part for part in (given.vararg, given.kwarg) if part is not None]
    spans = [
        (text.at(part.lineno, part.col_offset) + len(part.arg), text.end(part.annotation))
        for part in (*given.posonlyargs, *given.args, *given.kwonlyargs, *extra)
        if part.annotation is not None
    ]
    if node.returns is not None:
        arrow = text.source.rindex("->", 0, text.start(node.returns))
        spans.append((len(text.source[:arrow].rstrip()), text.end(node.returns)))
    # A comment within would be lost, or left alone, by taking it out.
    if spans and not any("#" in text.source[start:end] for start, end in spans):
        yield Part("hints", node.name, tuple(spans))


def _docstring(node: Function | ast.ClassDef, text: _Text) -> Iterator[Part]:
    if ast.get_docstring(node) is None or len(node.body) == 1:
        return
    first, second = node.body[:2]
    start, end = text.at(first.lineno, 0), text.at((first.end_lineno or 0) + 1, 0)
    alone = text.source[start:end].strip() == text.source[text.start(first) : text.end(first)]
    if alone and second.lineno > (first.end_lineno or 0):
        yield Part("docstring", node.name, ((start, end),))


def without(tree: ast.Module) -> str:
    """A tree, dumped without hints and docstrings: two files with one dump behave alike, if nobody looks."""
    _Without().visit(tree)
    return ast.dump(tree)


class _Without(ast.NodeTransformer):
    def _scope(self, node: ast.AST) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node, Scope) and ast.get_docstring(node) is not None:
            del node.body[0]
        if isinstance(node, Function):
            node.returns = None
        return node

    visit_Module = visit_ClassDef = visit_FunctionDef = visit_AsyncFunctionDef = _scope  # noqa: N815 - ast's names

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node
