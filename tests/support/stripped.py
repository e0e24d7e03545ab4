"""Real annotated files with their hints and docstrings taken out, and each put back alone."""

import ast
import importlib.util
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef
_LARGEST = 40_000


@dataclass(frozen=True, slots=True)
class Part:
    """What one function or class had: `kind` is `hints` or `docstring`, `spans` are ranges of characters."""

    kind: str
    name: str
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Stripped:
    """A file without its hints and docstrings."""

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


def strip(path: Path) -> Stripped | None:
    """Strip one file; None where that leaves nothing that Python reads, or where nothing is to be stripped."""
    source = path.read_text(encoding="utf-8")
    if not source.isascii() or len(source) > _LARGEST or "\f" in source:
        return None
    tree = ast.parse(source)
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def at(line: int, column: int) -> int:
        return starts[line - 1] + column

    parts = []
    for node in ast.walk(tree):
        if isinstance(node, Function):
            spans = tuple(_hints(node, source, at))
            if spans:
                parts.append(Part("hints", node.name, spans))
        if (
            isinstance(node, Function | ast.ClassDef)
            and ast.get_docstring(node, clean=False) is not None
            and node.body[1:]
        ):
            first, second = node.body[:2]
            if first.lineno > node.lineno and second.lineno > (first.end_lineno or 0):
                start, end = at(first.lineno, 0), at((first.end_lineno or 0) + 1, 0)
                if (
                    not source[start:end].strip().endswith((";", "\\"))
                    and "#" not in source[at(first.end_lineno, first.end_col_offset) : end]
                ):
                    parts.append(Part("docstring", node.name, ((start, end),)))
    file = Stripped(path, source, tuple(parts))
    try:
        ast.parse(file.bare)
    except SyntaxError:
        return None
    return file if parts else None


def _hints(node: Function, source: str, at) -> Iterator[tuple[int, int]]:
    given = node.args
    extra = [part for part in (given.vararg, given.kwarg) if part is not None]
    for part in (*given.posonlyargs, *given.args, *given.kwonlyargs, *extra):
        if part.annotation is not None:
            hint = part.annotation
            yield (
                at(part.lineno, part.col_offset) + len(part.arg),
                at(hint.end_lineno or 0, hint.end_col_offset or 0),
            )
    if node.returns is not None:
        start = source.rindex("->", 0, at(node.returns.lineno, node.returns.col_offset))
        yield len(source[:start].rstrip()), at(node.returns.end_lineno or 0, node.returns.end_col_offset or 0)


def packages(*names: str) -> list[Path]:
    """The Python files of installed packages, those at their top alone."""
    files: list[Path] = []
    for name in names:
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.submodule_search_locations
        files += sorted(Path(spec.submodule_search_locations[0]).glob("*.py"))
    return files
