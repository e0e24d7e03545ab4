"""A title and edits written down as each edit format asks for it."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from patchmill.edit import called
from patchmill.edit.anchors import anchor_of, written
from patchmill.edit.called import CalledTool, CalledTools
from patchmill.edit.protocol import AnchoredEdit, AnyEdit, Edit, Where
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


def anchored_lines(title: str, edits: Sequence[AnchoredEdit]) -> str:
    """Write edits by anchors, with four marks where a line has marks itself."""
    parts = [f"{title}\n\n"]
    for edit in edits:
        marks = "@@@@" if "@@" in edit.replace else "@@"
        parts.append(f"{marks} {edit.where} {_place(edit)}\n{edit.replace}{marks} end\n")
    return "".join(parts)


def _place(edit: AnchoredEdit) -> str:
    if edit.first is None or edit.last is None:
        return "0"
    return written(edit.first) + ("" if edit.first == edit.last else f"-{written(edit.last)}")


def tool_call(title: str, edits: Sequence[Edit]) -> str:
    """Write one call, as it is stored."""
    return one_call(json_edits(title, edits))


def one_call(arguments: str, name: str = "propose_edits") -> str:
    """Write one call with these arguments, as it is stored."""
    call = CalledTool(id="call_1", name=name, arguments=arguments)
    return called.write(CalledTools(content="", calls=(call,)))


def text_edit(source: Sequence[str], start: int, stop: int, replace: str) -> Edit:
    """Name lines[start:stop] by their text."""
    return Edit(search="".join(f"{line}\n" for line in source[start:stop]), replace=replace)


def anchored_edit(source: Sequence[str], start: int, stop: int, replace: str) -> AnchoredEdit:
    """Name lines[start:stop] by the anchors of the first and the last."""
    first, last = anchor_of(start + 1, source[start]), anchor_of(stop, source[stop - 1])
    return AnchoredEdit(where=Where.REPLACE, first=first, last=last, replace=replace)


def lines_of(text: str) -> list[str]:
    """Give the lines without their ends."""
    return [line_content(line) for line in split_lines(text)]


def plain_cut(text: str, size: int) -> str:
    """Cut an answer after so many characters."""
    return text[:size]


def arguments_cut(text: str, size: int) -> str:
    """Cut the arguments of a stored call after so many characters."""
    answer = called.read(text)
    assert answer is not None
    return one_call(answer.calls[0].arguments[:size])


RENDERERS: dict[str, Callable[[str, Sequence[Any]], str]] = {
    "search_replace": search_replace,
    "json": json_edits,
    "anchored_lines": anchored_lines,
    "tool": tool_call,
}
EDITS: dict[str, Callable[[Sequence[str], int, int, str], AnyEdit]] = {
    "search_replace": text_edit,
    "json": text_edit,
    "anchored_lines": anchored_edit,
    "tool": text_edit,
}
CUTS: dict[str, Callable[[str, int], str]] = {
    "search_replace": plain_cut,
    "json": plain_cut,
    "anchored_lines": plain_cut,
    "tool": arguments_cut,
}
