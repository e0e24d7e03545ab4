"""The tokens of a file by its grammar, with what never runs marked: annotations, type imports, comments.

Between two tokens it counts whether a line ends there, since that may end a statement. Within JSX, where
white space is text, the very characters count.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

_WHOLE = frozenset(
    {"string", "template_string", "regex", "comment", "html_comment", "hash_bang_line", "jsx_text"}
)
_ANNOTATIONS = frozenset({"type_annotation", "type_predicate_annotation"})
_LINE_ENDS = "\n\r\u2028\u2029"


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
    for node, kind in _pieces(root):
        gap = text[done : node.start_byte].decode("utf-8", "replace")
        if gap.strip():
            found.append(Item((gap.strip(),), gap, node))
        exact = _in_jsx(node) or (before is not None and _in_jsx(before))
        shown = gap if exact else _break_in(gap)
        found.append(
            Item(tuple(_words(node, text)) if kind != "token" else (_text(node, text),), shown, node, kind)
        )
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
        kept = [child for child in node.children if not _erased(child)] if node.type not in _WHOLE else []
        found.append((node.type, len(kept)))
        waiting.extend(reversed(kept))
    return found


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
                yield node, "token"
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
