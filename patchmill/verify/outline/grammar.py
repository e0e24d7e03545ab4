"""The outline of a file by a tree-sitter grammar; part of the child process, see `child.py`.

Grammars differ in the names of their nodes. What is a block, a function or an import is told by parts of
these names, which are alike in most; too much or too little found makes a guard only wider or narrower.
"""

import importlib
import re
from bisect import bisect_left
from collections.abc import Callable
from itertools import islice, takewhile
from typing import Any

Lines = tuple[int, int]  # first and last, 1-based, both included

_BLOCK = re.compile(
    r"(?:^|_)(?:block|body|suite|statements|compound_statement|declaration_list|translation_unit|program"
    r"|module|source_file|compilation_unit|members|then|else|statement_list|do_group"
    r"|switch_(?:case|default|section|block_statement_group)|(?:expression|type|default|communication)_case)$"
)
# What holds entries or statements in some languages alone, and where its own first lines end.
_HOLDERS = {
    "bash": re.compile(r"^(?:if_statement|elif_clause|else_clause|case_statement|case_item)$"),
    **dict.fromkeys(("c", "cpp", "php"), re.compile(r"^(?:case|default)_statement$")),
    "html": re.compile(r"^element$"),
    "json": re.compile(r"^(?:object|array)$"),
    "toml": re.compile(r"^(?:document|table|table_array_element|array|inline_table)$"),
    "yaml": re.compile(r"^(?:block|flow)_(?:mapping|sequence)$"),
}
_OPENS = frozenset({"{", "[", "]", "do", "then", "else", ":", ")", "in", "start_tag"})
# Here a file is one value, so that what is around an entry is the entry that holds it.
_DATA = frozenset({"html", "json", "toml", "yaml"})
_FUNCTION = re.compile(
    r"^(?:async_)?(?:generator_)?(?:function|method|constructor|singleton_method|init|arrow_function)"
    r"(?:_(?:definition|declaration|item|expression))?$"
)
_CLASS = re.compile(
    r"(?:^|_)(?:class|interface|struct|impl|trait|enum|object|protocol|namespace|module)"
    r"_(?:definition|declaration|item|specifier|spec)$|^(?:class|module)$"
)
_IMPORT = re.compile(
    r"^(?:import_statement|import_spec|import_declaration|import_header|import|use_declaration"
    r"|extern_crate_declaration|using_directive|namespace_use_declaration|require(?:_once)?_expression"
    r"|include(?:_once)?_expression|import_require_clause)$"
)
_CALL = re.compile(r"^(?:call_expression|call)$")
_IMPORTERS = frozenset({"require", "import", "require_relative", "load", "gem", "importScripts"})
# What may be done with `require` but calling it, and where a word is a name that is given.
_ABOUT_REQUIRE = frozenset({"resolve", "main", "cache", "extensions"})
_GIVES = re.compile(r"parameter|specifier|clause|unary_expression|^(?:import_require|binary)")
_STRING = re.compile(r"string|template")
_PROSE = re.compile(r"comment|string|text|content|char|regex|pattern|escape|heredoc|scalar|fragment")
_KEYWORDS = re.compile(r"\b(?:import|use|using|extern|crate|static|pub|as|type|typealias|from)\b")
_DOTTED = re.compile(r"[\w$@][\w$@./\\:-]*")
_ANY = "*"  # a module that only the running code names
CANNOT_READ = (ValueError, RecursionError, MemoryError)


class Outline:
    """What is asked of one source; see `python.Outline`, which answers the same of Python."""

    def __init__(self, lines: list[str], module: str, entry: str, language: str) -> None:
        tree_sitter = importlib.import_module("tree_sitter")
        grammar = getattr(importlib.import_module(module), entry)
        self._parser = tree_sitter.Parser(tree_sitter.Language(grammar()))
        self._holders = _HOLDERS.get(language, _BLOCK)
        self._data = language in _DATA
        self._requires = language in {"javascript", "typescript", "tsx"}
        self._scripts = self._requires or language == "ruby"
        self._lines = lines
        self._root = self._parsed(lines)
        self._children: dict[int, list[tuple[Any, int, int]]] = {}

    def file(self) -> dict[str, Any]:
        """The modules that it imports, the lines of these statements, and its outermost functions."""
        imports: set[str] = set()
        import_lines: list[Lines] = []
        functions: list[Lines] = []
        names: set[str] = set()
        waiting = [(self._root, False)]
        while waiting:
            node, inside = waiting.pop()
            modules = self._modules(node)
            if modules:
                imports.update(modules)
                import_lines.append(_extent(node))
            if _is(_FUNCTION, node) and not inside:
                functions.append(_extent(node))
                inside = True
            names.update(_odd_name(node))
            waiting += [(child, inside) for child in node.children]
        return {
            "imports": sorted(imports),
            "bound": [],
            "import_lines": sorted(import_lines),
            "functions": functions,
            "names": sorted(names),
        }

    def place(self, start: int, end: int) -> dict[str, list[Lines]]:
        """Where a span of lines is: see `read.Place`."""
        own: list[Lines] = [(start, end)]
        functions: list[Lines] = []
        classes: list[Lines] = []
        headers: list[Lines] = []
        whole: list[Lines] = []
        tops: list[Lines] = []
        entries: list[Lines] = []
        waiting = [(self._root, True, 0)]  # whether its children are statements, and how deep these are
        while waiting:
            parent, block, depth = waiting.pop()
            for node, first, last in self._touched(parent, start, end):
                tops += [(first, last)] * (depth == 0)
                defines = _is(_FUNCTION, node) or _is(_CLASS, node)
                if defines and first <= start and end <= last:
                    (functions if _is(_FUNCTION, node) else classes).append((first, last))
                if (defines or (block and self._data)) and first <= start and end <= last:
                    headers.append(self._header(node))
                if block or defines:
                    entries += [(first, last)] * (depth > 0 and first <= start and end <= last)
                    header = self._header(node)
                    if header[0] <= end and start <= header[1]:
                        own.append(header)
                        whole += [(first, last)] * defines
                waiting.append((node, self._holds(node), depth + 1))
        around = functions[:1] or classes[-1:] or tops or own[:1]
        if self._data:
            around = sorted(entries, key=lambda lines: lines[0] - lines[1])[-2:][:1] or own[:1]
        return {"own": own, "around": around, "whole": whole[-1:], "headers": headers}

    def _touched(self, parent: Any, start: int, end: int) -> list[tuple[Any, int, int]]:
        """The named children of a node that share a line with a span, and their lines."""
        known = self._children.get(parent.id)
        if known is None:
            known = [(node, *_extent(node)) for node in parent.children if node.is_named]
            self._children[parent.id] = known
        at = bisect_left(known, start, key=lambda each: each[2])
        return list(takewhile(lambda each: each[1] <= end, islice(known, at, None)))

    def _holds(self, node: Any) -> bool:
        return _is(_BLOCK, node) or _is(self._holders, node)

    def _header(self, node: Any) -> Lines:
        """A statement's lines up to what its first block holds; all of them if it has none."""
        first, last = _extent(node)
        below = [] if self._holds(node) else _below(node, into=lambda child: not self._holds(child))
        block = node if self._holds(node) else next(filter(self._holds, below), None)
        if block is None or not block.children:
            return first, last
        opens = next((child for child in block.children if child.type in _OPENS), None)
        end = block.children[0].start_point[0] if opens is None else opens.end_point[0] + 1
        return first, max(first, end)

    def edited(self, hunks: list[tuple[int, int, str]], *, newer: bool) -> dict[str, Any]:  # noqa: ARG002
        """What hunks bring: modules, and names; whether it parses is for others to say."""
        imports: set[str] = set()
        names: set[str] = set()
        parts: list[str] = []
        changed: list[Lines] = []
        done = moved = 0
        for low, high, replacement in hunks:
            size = len(replacement.splitlines()) + 1
            changed.append((low + 1 + moved, low + size + moved))
            moved += size - 1 - (high - low)
            parts += [*self._lines[done:low], replacement]
            done = high
        waiting = [self._parsed([*parts, *self._lines[done:]])]
        while waiting:
            node = waiting.pop()
            first, last = _extent(node)
            if any(first <= end and start <= last for start, end in changed):
                imports.update(self._modules(node))
                names.update(_odd_name(node))
                waiting += node.children
        return {
            "fault": None,
            "imports": sorted(imports),
            "bound": [],
            "names": sorted(names),
            "unparsed": False,
        }

    def _parsed(self, lines: list[str]) -> Any:
        # Rows are told apart by LF alone in there; any other end would shift them.
        text = "".join(line.rstrip("\r\n") + "\n" if line.endswith("\r") else line for line in lines)
        return self._parser.parse(text.encode("utf-8", "replace")).root_node

    def _modules(self, node: Any) -> list[str]:
        """The modules that a node imports by itself; `*` where the running code names one."""
        if _is(_IMPORT, node):
            if any(_is(_IMPORT, child) for child in node.children):
                return []
            strings = [text for child in _below(node) if (text := _string(child))]
            rest = _KEYWORDS.sub(" ", _text(node))
            return strings[-1:] or _DOTTED.findall(rest)[:1]
        if node.type == "export_statement" and (source := node.child_by_field_name("source")) is not None:
            return [_string(source) or _ANY]
        if self._requires and _leads_to_require(node):
            return [_ANY]
        if self._scripts and _is(_CALL, node):
            function = node.child_by_field_name("function") or node.child_by_field_name("method")
            if function is not None and _text(function) in _IMPORTERS:
                arguments = node.child_by_field_name("arguments")
                first = next(iter(arguments.named_children), None) if arguments is not None else None
                return [(_string(first) if first is not None else "") or _ANY]
        return []


def _is(pattern: re.Pattern[str], node: Any) -> bool:
    return bool(node.is_named and pattern.search(node.type))


def _extent(node: Any) -> Lines:
    row, column = node.end_point
    return node.start_point[0] + 1, max(node.start_point[0] + 1, row + (column > 0))


def _leads_to_require(node: Any) -> bool:
    """Whether `require` is handed on, or met by another way than its name alone."""
    if node.type == "property_identifier":
        return _text(node) in {"require", "createRequire"} and node.parent.type == "member_expression"
    if node.type != "identifier" or _text(node) not in {"require", "createRequire"}:
        return False
    parent = node.parent
    if parent.type == "member_expression":
        last = parent.child_by_field_name("property")
        return last is None or _text(last) not in _ABOUT_REQUIRE
    called = _is(_CALL, parent) and parent.child_by_field_name("function") == node
    given = parent.type == "variable_declarator" and parent.child_by_field_name("name") == node
    return not given and not _GIVES.search(parent.type) and (not called or _text(node) == "createRequire")


def _below(node: Any, *, into: Callable[[Any], bool] = lambda _: True) -> list[Any]:
    """A node's descendants, of at most some thousands the first; without what is in those not gone into."""
    waiting, found = list(reversed(node.children)), list[Any]()
    while waiting and len(found) < 2_000:  # noqa: PLR2004 - headers and imports are shorter
        child = waiting.pop()
        found.append(child)
        if into(child):
            waiting += reversed(child.children)
    return found


def _text(node: Any) -> str:
    return str(node.text.decode("utf-8", "replace"))


def _string(node: Any) -> str:
    """What a string literal says; empty if the node is none, or one that is put together when it runs."""
    text = _text(node)
    plain = _STRING.search(node.type) and not any("substitution" in child.type for child in node.children)
    return text[1:-1] if plain and text[:1] in "\"'`" and len(text) > 1 else ""


def _odd_name(node: Any) -> list[str]:
    """A name with other than ASCII letters, if the node is one."""
    if node.child_count or _PROSE.search(node.type):
        return []
    text = _text(node)
    return [] if text.isascii() or not text.replace("$", "_").replace("-", "_").isidentifier() else [text]
