"""The child process of the floor: reads versions of a file as JSON, writes where each does not parse.

Run by `bare_python`, with the folders of the parser and the grammar in the request; hostile text
is parsed here and nowhere else. The tree is walked without recursion, since text decides how deep it is.
"""

import importlib
import json
import sys
from typing import Any

# Beyond these a file is not of this language, and comparing two such lists would prove nothing.
MOST_ERRORS = 1_000
_SHOWN = 40


def main() -> None:
    """Answer one request from standard input."""
    request = json.load(sys.stdin.buffer)
    # At the end, so that nothing installed can stand in for the standard library.
    sys.path.extend(request["packages"])
    sys.stdout.write(json.dumps(answer(request)))


def answer(request: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """Parse `versions` by the grammar that `module` gives under `entry`; see `Grammar`, which asks this.

    Gives, for each version, its errors in order, at most one more than `MOST_ERRORS`: `rule`, `message`, and
    `start` and `end` as pairs of a row and a column in bytes, both from 0, the end exclusive.
    """
    tree_sitter = importlib.import_module("tree_sitter")
    grammar = getattr(importlib.import_module(request["module"]), request["entry"])
    parser = tree_sitter.Parser(tree_sitter.Language(grammar()))
    return [_errors(parser, text.encode("utf-8", "replace")) for text in request["versions"]]


def _errors(parser: Any, text: bytes) -> list[dict[str, Any]]:
    waiting = [parser.parse(text).root_node]
    found: list[dict[str, Any]] = []
    while waiting and len(found) <= MOST_ERRORS:
        node = waiting.pop()
        if node.is_missing:
            found.append(_error(node, f"missing {node.type}", f"`{node.type}` is missing"))
        elif node.is_error:
            words = text[node.start_byte : node.end_byte].split(b"\n", 1)[0].strip()[:_SHOWN]
            shown = words.decode("utf-8", "replace") or "the end of the text"
            found.append(_error(node, "error", f"cannot parse `{shown}`"))
        if node.has_error:
            waiting.extend(child for child in reversed(node.children) if child.has_error or child.is_missing)
    return found


def _error(node: Any, rule: str, message: str) -> dict[str, Any]:
    return {
        "rule": rule,
        "message": message,
        "start": [node.start_point[0], node.start_point[1]],
        "end": [node.end_point[0], node.end_point[1]],
    }
