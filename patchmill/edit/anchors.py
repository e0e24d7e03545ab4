"""Anchors: a line's number with a tag that is computed from it and the line's text, so that it proves both.

The number counts too, since lines repeat: of two that are the same, each has its own tag.
"""

import re
import zlib
from collections.abc import Sequence

from patchmill.edit.match import BOM, Refusal, SourceLines
from patchmill.edit.protocol import Anchor, RejectionReason
from patchmill.edit.span import line_content

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_WRITTEN = re.compile(r"(\d{1,9})([a-z]{2})\|")
_QUOTED = 80  # characters of a line quoted in a rejection


def anchor_of(number: int, content: str) -> Anchor:
    """Give the anchor of a line from its text without end; the byte order mark of a file is no text."""
    digest = zlib.crc32(f"{number}\0{content}".encode("utf-8", "surrogatepass"))
    high, low = divmod(digest % len(_LETTERS) ** 2, len(_LETTERS))
    return Anchor(line=number, tag=_LETTERS[high] + _LETTERS[low])


def written(anchor: Anchor) -> str:
    """Write an anchor as prompts show it."""
    return f"{anchor.line}{anchor.tag}"


def with_anchor(number: int, line: str) -> str:
    """Write a line with its anchor before it; a byte order mark at the file's beginning is left out."""
    line = line.removeprefix(BOM) if number == 1 else line
    return f"{written(anchor_of(number, line_content(line)))}|{line}" if line else ""


def without_anchors(source: SourceLines, contents: Sequence[str]) -> list[str]:
    """Take the anchors off new lines that were written with them: each line that is not blank has one.

    One of them must be of the source, so that text which only looks like that stays as it is.
    """
    found = [_WRITTEN.match(content) for content in contents]
    if any(not match and content.strip() for match, content in zip(found, contents, strict=True)):
        return list(contents)
    anchors = (Anchor(line=int(match[1]), tag=match[2]) for match in found if match)
    if all(disproved(source, anchor) for anchor in anchors):
        return list(contents)
    taken = (match.end() if match else 0 for match in found)
    return [content[size:] for content, size in zip(contents, taken, strict=True)]


def disproved(source: SourceLines, anchor: Anchor) -> Refusal | None:
    """Say why an anchor names no line of the source; None if it does."""
    if not 1 <= anchor.line <= len(source.lines):
        detail = f"there is no line {anchor.line}; the file has {len(source.lines)} lines"
        return Refusal(reason=RejectionReason.NOT_FOUND, detail=detail)
    content = source.contents[anchor.line - 1]
    right = anchor_of(anchor.line, content)
    if right == anchor:
        return None
    detail = (
        f"{written(anchor)} is no line of the file: "
        f"line {anchor.line} is {written(right)}, {content[:_QUOTED]!r}"
    )
    return Refusal(reason=RejectionReason.NOT_FOUND, detail=detail, near=(anchor.line, anchor.line))
