"""The tokens of a file by its grammar, with what never runs marked: annotations, type imports, comments.

Between two tokens it counts whether a line ends there, since that may end a statement. Within JSX, where
white space is text, the very characters count. Between parameters, where nothing can end, a line may be
broken or not, a last comma may stand or not; a single parameter of an arrow may have its brackets or not.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

_WHOLE = frozenset(
    {"string", "template_string", "regex", "comment", "html_comment", "hash_bang_line", "jsx_text"}
)
_ANNOTATIONS = frozenset({"type_annotation", "type_predicate_annotation"})
_LINE_ENDS = "\n\r\u2028\u2029"
_LISTS = frozenset({"formal_parameters", "object_pattern"})
_PARAMETERS = frozenset({"required_parameter", "optional_parameter"})
_SPARE = "spare"


class Item(NamedTuple):
    """A token, or in one piece an annotation, an `import type` statement or a comment.

    `words` are its tokens, `gap` is what is compared of the text before it, and `node` is that of the tree.
    """

    words: tuple[str, ...]
    gap: str
    node: Any
    kind: str = "token"  # or annotation, import, comment

    @property
    def line(self) -> int:
        """Its line, from 1."""
        return int(self.node.start_point[0]) + 1

    @property
    def ends_line(self) -> bool:
        """Whether a line ends before it."""
        return self.gap != "" and not set(self.gap).isdisjoint(_LINE_ENDS)


def items(root: Any, text: bytes) -> list[Item]:
    """Give the items of a tree, in order; text that no token has is a token, too."""
    found: list[Item] = []
    done = 0
    before: Any = None
    opened: str | None = None
    for node, kind in _pieces(root):
        gap = text[done : node.start_byte].decode("utf-8", "replace")
        if gap.strip():
            found.append(Item((gap.strip(),), gap, node))
        exact = _in_jsx(node) or (before is not None and _in_jsx(before))
        beside = kind == "comment" or (before is not None and before.type == "comment")
        free = kind == "token" and not exact and not beside and _may_break(node)
        shown = gap if exact else "" if free else _break_in(gap)
        if kind != _SPARE:
            words = tuple(_words(node, text)) if kind != "token" else (_text(node, text),)
            found.append(Item(words, shown if opened is None else opened, node, kind))
        # What stands before brackets that are left out stands before what is in them.
        opened = shown if kind == _SPARE and node.type == "(" else None
        done, before = node.end_byte, node
    rest = text[done:].decode("utf-8", "replace").strip()
    if rest:
        found.append(Item((rest,), "", root))
    return found


def shape(root: Any) -> list[tuple[str, int]]:
    """Give the form of a tree without the pieces that never run: each node's type and number of children."""
    found: list[tuple[str, int]] = []
    waiting = [root]
    while waiting:
        node = waiting.pop()
        inner = [] if node.type in _WHOLE else node.children
        kept = [_only(child) for child in inner if not _left_out(child)]
        found.append((node.type, len(kept)))
        waiting.extend(reversed(kept))
    return found


def _left_out(node: Any) -> bool:
    return _erased(node) is not None or _is_spare(node)


def _only(node: Any) -> Any:
    """In place of the parameters of an arrow the one that may stand without brackets, if it is such a one."""
    name = bare_parameter(node)
    return node if name is None else name


def bare_parameter(node: Any) -> Any:
    """Give the name that stands alone, hints aside, in the brackets of an arrow's parameters, if one does."""
    if node.type != "formal_parameters" or node.parent is None or node.parent.type != "arrow_function":
        return None
    inner = [child for child in node.children[1:-1] if not _is_last_comma(child)]
    if len(inner) != 1:
        return None
    only = inner[0]
    if only.type == "required_parameter":
        named = [child for child in only.children if child.type not in _ANNOTATIONS]
        only = named[0] if len(named) == 1 else only
    return only if only.type == "identifier" else None


def _is_last_comma(node: Any) -> bool:
    """A comma that may stand or not: not behind a rest parameter, nor in a setter, where it may not."""
    if node.type != "," or node.parent.type not in _LISTS or node.next_sibling is None:
        return False
    last = node.prev_sibling
    rest = last is None or any(one.type in {"rest_pattern", "rest_element"} for one in (last, *last.children))
    setter = any(child.type == "set" for child in node.parent.parent.children)
    return node.next_sibling.type in {")", "}"} and last.type != "," and not rest and not setter


def _is_spare(node: Any) -> bool:
    """A token of the kind that may stand or not."""
    if node.type in {"(", ")"}:
        return node.parent is not None and bare_parameter(node.parent) is not None
    return node.parent is not None and _is_last_comma(node)


def _may_break(node: Any) -> bool:
    """Whether a token stands between the brackets of parameters, or begins what stands there."""
    while node.parent is not None:
        above = node.parent
        first = above.children[0].start_byte == node.start_byte
        if above.type in _LISTS and not first:
            return True
        if above.type in _PARAMETERS and not first:
            return True
        if not first:
            return False
        node = above
    return False


def leaves(node: Any) -> Iterator[Any]:
    """Give the nodes without children below a node, in order, without recursion."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if one.type in _WHOLE or not one.children:
            yield one
        else:
            waiting.extend(reversed(one.children))


def _pieces(root: Any) -> Iterator[tuple[Any, str]]:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        kind = _erased(node)
        if kind is not None:
            yield node, kind
        elif node.type in _WHOLE or not node.children:
            if node.end_byte > node.start_byte:
                yield node, _SPARE if _is_spare(node) else "token"
        else:
            waiting.extend(reversed(node.children))


def _erased(node: Any) -> str | None:
    if node.type in _ANNOTATIONS:
        return "annotation"
    if node.type == "import_statement" and any(child.type == "type" for child in node.children):
        return "import"
    return "comment" if node.type in {"comment", "html_comment"} else None


def _words(node: Any, text: bytes) -> Iterator[str]:
    return (_text(leaf, text) for leaf in leaves(node) if leaf.end_byte > leaf.start_byte)


def _text(node: Any, text: bytes) -> str:
    return text[node.start_byte : node.end_byte].decode("utf-8", "replace")


def _break_in(gap: str) -> str:
    return "" if set(gap).isdisjoint(_LINE_ENDS) else "\n"


def _in_jsx(node: Any) -> bool:
    return node.type.startswith("jsx") or (node.parent is not None and node.parent.type.startswith("jsx"))
