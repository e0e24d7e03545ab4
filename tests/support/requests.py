"""Requests to submit: real findings in small files, each file its own."""

import uuid
from typing import Any

SOURCE = '''"""Module {number}."""


def collect(item, into=[]):
    """Collect items."""
    into.append(item)
    return into
'''


def mutable_default(number: int = 0, **more: Any) -> dict[str, Any]:
    """Give a fix request whose only fix is unsafe, so that the model must be asked."""
    return {
        "kind": "fix",
        "file": {"path": f"src/module_{number}.py", "content": SOURCE.format(number=number)},
        "findings": [
            {
                "tool": "ruff",
                "rule": "B006",
                "message": "Do not use mutable data structures for argument defaults",
                "start_line": 4,
                "start_column": 24,
                "end_line": 4,
                "end_column": 26,
            }
        ],
        **more,
    }


def annotate(source: str, **more: Any) -> dict[str, Any]:
    """Give an annotate request for types and docstrings."""
    return {
        "kind": "annotate",
        "file": {"path": "src/shape.py", "content": source},
        "what": ["types", "docstrings"],
        **more,
    }


def unique() -> int:
    """Give a number that no other file of this test run has, so that nothing is served from the store."""
    return uuid.uuid4().int % 10**12
