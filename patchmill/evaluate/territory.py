"""Which lines of a file are up for change: those that findings are about, and what encloses them."""

import ast
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from patchmill.evaluate.cases import Case
from patchmill.evaluate.parsing import parsed
from patchmill.evaluate.text import Change, changed_lines, lines_of
from patchmill.kinds.languages import language_of

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DEFINITIONS = (*_FUNCTIONS, ast.ClassDef)
_BODIES = ("body", "orelse", "finalbody", "handlers", "cases")
# Where nobody can parse the source, what is wrong may be some lines away from where it shows.
_NEAR = 3
_COMMENT = ("#", "//", "/*", "*")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Territory:
    """Lines of a source, 1-based.

    `around` may be changed, `own` may also lose what stands there. `gaps` are where lines may come in, each
    by the line before it; what is indented belongs to the line above those that are `blank`. `is_python` says
    whether what comes in elsewhere is read for definitions.
    """

    around: frozenset[int]
    own: frozenset[int]
    gaps: frozenset[int]
    blank: frozenset[int]
    everything: bool
    is_python: bool

    def strays(self, changes: Sequence[Change]) -> list[int]:
        """The lines at which changes leave the territory."""
        if self.everything:
            return []
        found: list[int] = []
        for change in (part for whole in changes for part in whole.parts()):
            if change.end < change.start:
                free = self._gap(change) in self.gaps or not any(
                    map(_says_something, lines_of(change.replacement))
                )
                if not free and not (self.is_python and _defines(change.replacement)):
                    found.append(change.start)
            else:
                lines = range(change.start, change.end + 1)
                blank = {
                    change.start + at for at, line in enumerate(lines_of(change.original)) if not line.strip()
                }
                if _comments(change.original) and _said(change.original) == _said(change.replacement):
                    continue
                found += [line for line in lines if line not in self.around and line not in blank][:1]
        return found

    def _gap(self, change: Change) -> int:
        """The line that what comes in is after."""
        line = change.start - 1
        while change.replacement[:1] in {" ", "\t"} and line in self.blank:
            line -= 1
        return line

    def losses(self, changes: Sequence[Change]) -> list[str]:
        """Lines that are gone though no finding is about them; one may be indented otherwise, or moved."""
        if self.everything:
            return []
        gone: Counter[str] = Counter()
        for change in (part for whole in changes for part in whole.parts()):
            for line, text in enumerate(lines_of(change.original), start=change.start):
                if line not in self.own and _says_something(text):
                    gone[_said(text)] += 1
            gone.subtract(map(_said, lines_of(change.replacement)))
        return [text for text, count in gone.items() if count > 0]


def _comments(text: str) -> bool:
    """Whether all lines are comments, by how they begin."""
    return all(line.strip().startswith(_COMMENT) for line in lines_of(text))


def _said(text: str) -> str:
    """What lines say: of comments the words alone."""
    return " ".join(_WORD.findall(text)) if _comments(text) else text.strip()


def _says_something(line: str) -> bool:
    """Whether a line is missed: brackets and what stands for nothing are not, as long as the file parses."""
    return line.strip() not in {"pass", "..."} and any(sign.isalnum() for sign in line)


def of(case: Case) -> Territory:
    """Survey a case: its scope or else what encloses its findings, the imports, and what the gold changes."""
    lines = lines_of(case.source)
    is_python = language_of(case.path) == "python"
    gold = [] if case.gold is None else changed_lines(lines, lines_of(case.gold))
    mended = {line for first, last, _ in gold for line in range(first, last + 1)}
    gaps = {first - 1 for first, last, _ in gold if last < first}
    places = [(one["start_line"], max(one["start_line"], one["end_line"])) for one in case.findings]
    tree = parsed(case.source) if is_python else None
    around, own = set(mended), set(mended)
    for first, last in places:
        if tree is not None:
            wide, narrow = _enclosing(tree, first, last)
        elif is_python:
            wide = narrow = (first - _NEAR, last + _NEAR)
        else:
            wide, narrow = _block(lines, first, last), (first, last)
        above = _commented(lines, narrow[0])
        around.update(range(wide[0], wide[1] + 1), range(above, narrow[0]))
        own.update(range(above, narrow[1] + 1), range(first, last + 1))
    gaps |= around | {line - 1 for line in around}
    scope = case.asked.get("scope")
    if scope is not None:
        around = set(range(scope["start_line"], scope["end_line"] + 1)) | mended
        gaps = {line - 1 for line in around} | around
    if tree is not None:
        imports = set(_import_lines(tree))
        around |= imports
        gaps |= imports | {line - 1 for line in imports} | set(range(_head(tree) + 1))
    return Territory(
        around=frozenset(around),
        own=frozenset(own | (set(_import_lines(tree)) if tree is not None else set())),
        gaps=frozenset(gaps),
        blank=frozenset(number for number, line in enumerate(lines, start=1) if not line.strip()),
        everything=not case.findings and scope is None,
        is_python=is_python,
    )


def _commented(lines: Sequence[str], first: int) -> int:
    """The first line of the comment right above a statement, which belongs to it."""
    while first > 1 and lines[first - 2].strip().startswith(_COMMENT):
        first -= 1
    return first


def _span(node: ast.stmt) -> tuple[int, int]:
    decorators = getattr(node, "decorator_list", [])
    return min([node.lineno, *(one.lineno for one in decorators)]), node.end_lineno or node.lineno


def _enclosing(tree: ast.Module, first: int, last: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """The outermost function, class or statement that shares a line, and the innermost statements that do."""
    touching = [node for node in _statements(tree) if _span(node)[0] <= last and first <= _span(node)[1]]
    if not touching:
        return (first, last), (first, last)
    holding: list[ast.stmt] = [node for node in touching if isinstance(node, _FUNCTIONS)]
    holding = holding or [node for node in touching if isinstance(node, ast.ClassDef)]
    outer = [node for node in tree.body if node in touching]
    wide = [_span(node) for node in (holding[:1] or outer)]
    narrow = [_own_lines(node) for node in touching if not _within(node, touching)]
    narrow = narrow or [(first, last)]
    return (
        (min(first, *(start for start, _ in wide)), max(last, *(end for _, end in wide))),
        (min(first, *(start for start, _ in narrow)), max(last, *(end for _, end in narrow))),
    )


def _within(node: ast.stmt, others: Sequence[ast.stmt]) -> bool:
    """Whether a statement holds one of the others, so that it is not the innermost."""
    inside = {id(each) for each in ast.walk(node) if each is not node}
    return any(id(other) in inside for other in others)


def _own_lines(node: ast.stmt) -> tuple[int, int]:
    """The lines of a statement itself: of one with a body, those before the body."""
    first, last = _span(node)
    bodies = [part for name in _BODIES for part in getattr(node, name, [])]
    starts = [_span(part)[0] for part in bodies if isinstance(part, ast.stmt)]
    return (first, max(first, min(starts) - 1)) if starts else (first, last)


def _statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """All statements, each before what it holds."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.stmt))


def _import_lines(tree: ast.Module) -> Iterator[int]:
    for node in _statements(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from range(node.lineno, (node.end_lineno or node.lineno) + 1)


def _head(tree: ast.Module) -> int:
    """The last line before the first statement that is no docstring and no import."""
    for node in tree.body:
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not docstring and not isinstance(node, ast.Import | ast.ImportFrom):
            return _span(node)[0] - 1
    return 0


def _defines(text: str) -> bool:
    """Whether all that comes in are definitions and plain assignments of their own."""
    tree = parsed(text)
    kinds = (*_DEFINITIONS, ast.Assign, ast.AnnAssign, ast.Import, ast.ImportFrom)
    return tree is not None and all(isinstance(node, kinds) for node in tree.body)


def _block(lines: Sequence[str], first: int, last: int) -> tuple[int, int]:
    """The outermost block around lines, by indentation alone: for languages that Python cannot parse."""

    def is_outermost(number: int) -> bool:
        line = lines[number - 1]
        return bool(line.strip()) and not line[0].isspace()

    start, end = min(first, len(lines)), min(last, len(lines))
    while start > 1 and not is_outermost(start):
        start -= 1
    while end < len(lines) and not is_outermost(end):
        end += 1
    return start, end
