"""A title and edits written down as each edit format asks for it."""

import json
from collections.abc import Callable, Sequence

from patchmill.edit.protocol import Edit
from patchmill.edit.span import line_content, split_lines


def search_replace(title: str, edits: Sequence[Edit]) -> str:
    """Write fenced blocks, with nine wide markers where the code has markers itself."""
    parts = [f"{title}\n\n"]
    for edit in edits:
        lines = (edit.search + edit.replace).split("\n")
        width = 9 if any(line.startswith(("<<<<<<<", "=======", ">>>>>>>")) for line in lines) else 7
        parts.append(
            f"````python\n{'<' * width} SEARCH\n{edit.search}{'=' * width}\n"
            f"{edit.replace}{'>' * width} REPLACE\n````\n\n"
        )
    return "".join(parts)


def json_edits(title: str, edits: Sequence[Edit], *, ensure_ascii: bool = True) -> str:
    """Write a JSON object with lists of lines."""
    document = {
        "title": title,
        "explanation": title,
        "edits": [{"search": lines_of(edit.search), "replace": lines_of(edit.replace)} for edit in edits],
        "no_change": None,
    }
    return json.dumps(document, ensure_ascii=ensure_ascii)


def lines_of(text: str) -> list[str]:
    """Give the lines without their ends."""
    return [line_content(line) for line in split_lines(text)]


RENDERERS: dict[str, Callable[[str, Sequence[Edit]], str]] = {
    "search_replace": search_replace,
    "json": json_edits,
}
