"""The edit format `anchored_lines`: lines named by number and tag, and the new lines as plain text.

How an edit is read:

- Header and end stand alone on their line, unindented, with 2 to 9 `@`. Fences outside of edits mean nothing;
  inside they are text.
- An edit ends at the first end line as wide as its header, or, if none comes before the next header of that
  width, at the first end line of any width. Without one it is `unterminated`.
- A header that does not name its lines by number and tag is `not_found`; whether they are the file's is for
  `locate` to say. A `delete` with lines that are not blank leaves open what is meant: `ambiguous`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from patchmill.edit.anchors import with_anchor
from patchmill.edit.answer_text import Block, joined, mark_width, marks, next_of_width, proposal_of
from patchmill.edit.protocol import (
    Anchor,
    AnchoredEdit,
    Message,
    OfferedTool,
    Proposal,
    RejectionReason,
    Where,
    told,
)

_HEADER = re.compile(r"(@{2,9})\s*(replace|delete|after|before)\b(.*)", re.IGNORECASE)
_END = re.compile(r"(@{2,9})\s*end\s*@{0,9}\s*", re.IGNORECASE)
_ANCHOR = r"(\d{1,9})(?:[ :]?([a-z]{2}))?"
_PLACE = re.compile(
    rf"[\s:`]*{_ANCHOR}(?:\s*(?:-|\u2013|\u2014|\.{{2,3}}|to)\s*{_ANCHOR})?[\s:|`]*@{{0,9}}\s*", re.IGNORECASE
)
_BEGINNING = "0"  # the line that is named to write before the first

_INSTRUCTIONS = """\
Each line is shown as its anchor (number and two letters), | and text. Answer with a short title line, one \
to three plain sentences that explain the change, and edits:

@@ replace 12ka-14mz
new lines
@@ end
@@ delete 20bb
@@ end
@@ after 31qd
new lines
@@ end

- Copy anchors exactly: the first and the last, or one. Name no line that stays as it is. \
after 0 is the beginning of the file.
- New lines have no anchors. If one begins with @@, write @@@@ in all marks of its edit.
- To change nothing, write only NO CHANGE: and the reason.
"""


class AnchoredLines:
    """Edits that name their lines by anchors; all other text is the explanation, its first line the title."""

    name = "anchored_lines"
    instructions = _INSTRUCTIONS
    answer_schema: Mapping[str, Any] | None = None
    tool: OfferedTool | None = None

    def shown(self, number: int, line: str) -> str:
        """Write a line of the file with its anchor."""
        return with_anchor(number, line)

    def parse(self, text: str) -> Proposal:
        """Read an answer; never raises, whatever the text.

        Complete edits become `edits` in their order, with LF ends; the others become rejections. See
        `proposal_of`.
        """
        return proposal_of(text, begins=_HEADER, read=_read_block, stray=_END)

    def turn(self, answer: str, said: str) -> Sequence[Message]:
        """Write an answer that failed, and what is said to it."""
        return told(answer, said)


def _read_block(lines: Sequence[str], start: int) -> Block:
    """Read the edit whose header is on line `start` (an index)."""
    width = mark_width(_HEADER, lines[start])
    limit = next_of_width(_HEADER, lines, start + 1, width)
    where = f"the edit that begins on line {start + 1} of the answer"
    ends = marks(_END, lines, start + 1, limit, width)
    if not ends:
        return Block(stop=limit, detail=f"{where} has no {'@' * width} end line")
    end = ends[0]
    body = lines[start + 1 : end]
    header = _HEADER.fullmatch(lines[start])
    place = None if header is None else _place(header[2].lower(), header[3])
    if place is None:
        detail = f"{where} does not name its lines by number and letters"
        return Block(stop=end + 1, reason=RejectionReason.NOT_FOUND, detail=detail)
    if header is not None and header[2].lower() == "delete":
        if any(line.strip() for line in body):
            detail = f"{where} is to delete lines, and holds new ones"
            return Block(stop=end + 1, reason=RejectionReason.AMBIGUOUS, detail=detail)
        body = []
    verb, first, last = place
    edit = AnchoredEdit(where=verb, first=first, last=last, replace=joined(body))
    return Block(stop=end + 1, edit=edit)


def _place(verb: str, text: str) -> tuple[Where, Anchor | None, Anchor | None] | None:
    """Read what a header names; None if that is no line with its tag."""
    found = _PLACE.fullmatch(text)
    if found is None:
        return None
    number, tag, last_number, last_tag = found.groups()
    where = Where.REPLACE if verb == "delete" else Where(verb)
    if where is Where.AFTER and number == _BEGINNING and tag is None and last_number is None:
        return where, None, None
    if tag is None or (last_number is not None and last_tag is None):
        return None
    first = Anchor(line=int(number), tag=tag.lower())
    last = first if last_number is None else Anchor(line=int(last_number), tag=last_tag.lower())
    return where, first, last
