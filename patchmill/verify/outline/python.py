"""The outline of a Python file, by Python's own parser; part of the child process, see `child.py`.

Nothing is imported here that takes long to load: this runs beside the checker, and is to be done no later.
Of an edited file only the top-level statements that hunks touch are parsed, so that many edits of a long file
cost little; where that fails, and where they do not compile, the whole file is asked.
"""

from _ast import AST, PyCF_ONLY_AST
from _bisect import bisect_left
from itertools import islice, takewhile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

Lines = tuple[int, int]  # first and last, 1-based, both included

_FUNCTIONS = frozenset({"FunctionDef", "AsyncFunctionDef"})
_DEFINITIONS = _FUNCTIONS | {"ClassDef"}
_BLOCKS = ("body", "handlers", "orelse", "finalbody", "cases")
_IMPORTERS = frozenset({"__import__", "import_module", "run_module", "run_path", "load_source"})
# What leads to them, or loads what they give: a module by a name that is known only when the code runs.
_LOADERS = frozenset({
    *_IMPORTERS, "resolve_name", "spec_from_file_location", "spec_from_loader", "exec_module", "load_module",
    "SourceFileLoader", "SourcelessFileLoader", "ExtensionFileLoader", "zipimporter", "load_dynamic",
})  # fmt: skip
_ANY = "*"  # a module that only the running code names
CANNOT_READ = (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError)


class Outline:
    """What is asked of one source; making it raises one of `CANNOT_READ` if Python cannot parse it."""

    def __init__(self, lines: "list[str]") -> None:
        self._lines = lines
        self._tree = _parsed("".join(lines))
        self._bodies: dict[int, list[tuple[Any, int, int]]] = {}  # the statements of blocks, with their lines

    def file(self) -> "dict[str, Any]":
        """The modules that it imports, what these bind, where that is, and its outermost functions."""
        return {
            "imports": sorted(set(_imports(self._tree, "".join(self._lines)))),
            "bound": sorted(set(_bound(self._tree))),
            "import_lines": sorted(
                _extent(node) for node in _statements(self._tree) if _kind(node) in {"Import", "ImportFrom"}
            ),
            "functions": list(_functions(self._tree.body)),
            "names": _names("".join(self._lines)),
        }

    def place(self, start: int, end: int) -> "dict[str, list[Lines]]":
        """Where a span of lines is: see `read.Place`."""
        own: list[Lines] = [(start, end)]
        functions: list[Lines] = []
        classes: list[Lines] = []
        headers: list[Lines] = []
        whole: list[Lines] = []
        waiting = [self._tree.body]
        while waiting:
            body = waiting.pop()
            for node, first, last in self._touched(body, start, end):
                inner = [block for name in _BLOCKS if (block := getattr(node, name, None))]
                if not inner:
                    own.append((first, last))
                    continue
                if first <= start and end <= last:
                    functions += [(first, last)] * (_kind(node) in _FUNCTIONS)
                    classes += [(first, last)] * (_kind(node) == "ClassDef")
                header = self._header(node, min(_extent(block[0])[0] for block in inner))
                if _kind(node) in _DEFINITIONS and first <= start and end <= last:
                    headers.append((first, header[1]))
                if header[0] <= end and start <= header[1]:
                    own.append(header)
                    whole += [(first, last)] * (_kind(node) in _DEFINITIONS)
                    own += self._only_else(body, node, header)
                waiting += inner
        tops = [(first, last) for _, first, last in self._touched(self._tree.body, start, end)]
        around = functions[:1] or classes[-1:] or tops or [(start, end)]
        return {"own": own, "around": around, "whole": whole[-1:], "headers": headers}

    def edited(self, hunks: "list[tuple[int, int, str]]", *, newer: bool) -> "dict[str, Any]":
        """What hunks bring: the fault that Python finds, modules, and the names of what they touch.

        A hunk is the 0-based range of lines that it replaces, and their replacement. With `newer` the code is
        for a later Python than this one, so that what does not parse here may be right.
        """
        regions = self._regions(hunks)
        try:
            trees = [_parsed(text) for text in regions]
        except CANNOT_READ:
            text = _applied(self._lines, hunks, (0, len(self._lines)))
            try:
                trees, regions = [_parsed(text)], [text]
            except CANNOT_READ as error:
                fault = None if newer else _words(error)
                return {"fault": fault, "imports": [], "bound": [], "names": [], "unparsed": True}
        fault = None
        if any(_fault(text) is not None for text in regions) and _fault("".join(self._lines)) is None:
            fault = _fault(_applied(self._lines, hunks, (0, len(self._lines))))
        bound = sorted({pair for tree in trees for pair in _bound(tree)})
        pairs = zip(trees, regions, strict=False)
        imports = sorted({module for tree, text in pairs for module in _imports(tree, text)})
        brought = not all(text.isascii() for _, _, text in hunks)
        names = sorted({name for text in regions for name in _names(text)}) if brought else []
        return {"fault": fault, "imports": imports, "bound": bound, "names": names, "unparsed": False}

    def _touched(self, body: "list[Any]", start: int, end: int) -> "list[tuple[Any, int, int]]":
        """The statements of a block that share a line with a span, and their lines."""
        known = self._bodies.get(id(body))
        if known is None:
            known = self._bodies[id(body)] = [(node, *_extent(node)) for node in body]
        at = bisect_left(known, start, key=lambda each: each[2])
        return list(takewhile(lambda each: each[1] <= end, islice(known, at, None)))

    def _header(self, node: "Any", inner: int) -> Lines:
        """The lines from a compound statement's keyword to its colon; comments after it are not its own."""
        first, last = _first(node), inner - 1
        while last > first and self._lines[last - 1].strip()[:1] in {"", "#"}:
            last -= 1
        return first, max(first, last)

    def _only_else(self, body: "list[Any]", node: "Any", header: Lines) -> "list[Lines]":
        """The line of the `else` that holds a statement alone, which may be joined with it."""
        line = header[0] - 1
        while line > 0 and self._lines[line - 1].strip()[:1] in {"", "#"}:
            line -= 1
        alone = len(body) == 1 and line > 0 and self._lines[line - 1].strip().startswith("else")
        return [(line, line)] if alone and _kind(node) == "If" else []

    def _regions(self, hunks: "list[tuple[int, int, str]]") -> "list[str]":
        """The texts of what hunks touch, with them applied, each from one top-level statement to another."""
        ranges: list[list[int]] = []
        for low, high, _ in hunks:
            touched = self._touched(self._tree.body, low + 1, max(high, low + 1))
            first = min([low, *(start - 1 for _, start, _ in touched)])
            last = max([high, *(end for _, _, end in touched)])
            if ranges and first <= ranges[-1][1]:
                ranges[-1][1] = max(ranges[-1][1], last)
            else:
                ranges.append([first, last])
        return [_applied(self._lines, hunks, (first, last)) for first, last in ranges]


def _applied(lines: "list[str]", hunks: "list[tuple[int, int, str]]", part: tuple[int, int]) -> str:
    """Some lines of the source, as a 0-based range, with the hunks that lie in it applied."""
    parts: list[str] = []
    done, end = part
    for low, high, replacement in hunks:
        if done <= low and high <= end:
            parts += [*lines[done:low], replacement]
            done = high
    return "".join([*parts, *lines[done:end]])


def _parsed(text: str) -> "Any":
    return compile(text.removeprefix("\ufeff"), "<file>", "exec", PyCF_ONLY_AST, dont_inherit=True)


def _fault(text: str) -> "str | None":
    """What Python says against a text; compiling executes nothing."""
    try:
        compile(text.removeprefix("\ufeff"), "<file>", "exec", dont_inherit=True)
    except CANNOT_READ as error:
        return _words(error)
    return None


def _words(error: BaseException) -> str:
    line = getattr(error, "lineno", None)
    words = getattr(error, "msg", None) or str(error) or type(error).__name__
    return f"line {line} of the edited file: {words}" if line else f"the edited file: {words}"


def _kind(node: "Any") -> str:
    return type(node).__name__


def _first(node: "Any") -> int:
    """The line on which a node begins; the case of a match begins with its pattern."""
    return int(getattr(node, "lineno", 0) or node.pattern.lineno)


def _extent(node: "Any") -> Lines:
    """All lines of a statement, with its decorators."""
    first = min([_first(node), *(one.lineno for one in getattr(node, "decorator_list", ()))])
    last = getattr(node, "end_lineno", None) or _extent(node.body[-1])[1]
    return first, int(last)


def _names(text: str) -> "list[str]":
    """The names of a text with other than ASCII letters, as they are written: the parser changes some."""
    if text.isascii():
        return []
    import io  # noqa: PLC0415 - needed seldom, and slow to load
    import tokenize  # noqa: PLC0415 - as above

    found: set[str] = set()
    try:
        for token in tokenize.generate_tokens(io.StringIO(text.removeprefix("\ufeff")).readline):
            if token.type == tokenize.NAME and not token.string.isascii():
                found.add(token.string)
    except (tokenize.TokenError, *CANNOT_READ):
        pass  # what does not parse is refused for that
    return sorted(found)


def _walk(tree: "Any") -> "Iterator[Any]":
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, AST):
                waiting.append(value)
            elif isinstance(value, list):
                waiting += [each for each in value if isinstance(each, AST)]


def _functions(body: "list[Any]") -> "Iterator[Lines]":
    """The functions that are in no other, wherever they stand."""
    waiting = list(body)
    while waiting:
        node = waiting.pop()
        if _kind(node) in _FUNCTIONS:
            yield _extent(node)
            continue
        waiting += [each for name in _BLOCKS for each in getattr(node, name, ())]


def _statements(tree: "Any") -> "Iterator[Any]":
    """All statements of a tree, without going into what they consist of."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for name in _BLOCKS:
            waiting += getattr(node, name, None) or ()


def _imports(tree: "Any", text: str) -> "Iterator[str]":
    """The modules that a tree imports, by statement or by call; relative ones with their dots."""
    called = set()
    calls = any(word in text for word in _LOADERS)
    for node in _walk(tree) if calls else _statements(tree):
        kind = _kind(node)
        if kind == "Import":
            yield from (alias.name for alias in node.names)
        elif kind == "ImportFrom":
            yield "." * node.level + (node.module or "")
        elif kind == "Call" and _name(node.func) in _IMPORTERS:
            called.add(node.func)
            first = node.args[0] if node.args else None
            value = getattr(first, "value", None) if _kind(first) == "Constant" else None
            yield value if isinstance(value, str) else _ANY
        elif calls and node not in called and _leads_to_loader(node):
            yield _ANY


def _bound(tree: "Any") -> "Iterator[tuple[str, str]]":
    """The names that imports bind, each with what it stands for."""
    for node in _statements(tree):
        if _kind(node) == "Import":
            for alias in node.names:
                first = alias.name.split(".")[0]
                yield (alias.asname, alias.name) if alias.asname else (first, first)
        elif _kind(node) == "ImportFrom":
            module = "." * node.level + (node.module or "")
            yield from ((alias.asname or alias.name, f"{module}.{alias.name}") for alias in node.names)


def _leads_to_loader(node: "Any") -> bool:
    """Whether an expression gives what imports or loads, by its name or to whoever looks that up."""
    if _kind(node) == "alias":
        return node.asname is not None and node.name in _LOADERS
    return _name(node) in _LOADERS or (_kind(node) == "Constant" and node.value in _IMPORTERS)


def _name(node: "Any") -> str:
    """The last part of a name, plain or after a dot."""
    return str(getattr(node, "attr", None) or getattr(node, "id", ""))
