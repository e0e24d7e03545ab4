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
from dataclasses import dataclass
from typing import Any

from patchmill.edit.anchors import with_anchor
from patchmill.edit.prose import EXPLANATION_LIMIT, declined_in, plain, title_in
from patchmill.edit.protocol import (
    Anchor,
    AnchoredEdit,
    Message,
    OfferedTool,
    Proposal,
    Rejection,
    RejectionReason,
    Where,
    told,
)
from patchmill.edit.span import line_content, split_lines

_HEADER = re.compile(r"(@{2,9})\s*(replace|delete|after|before)\b(.*)", re.IGNORECASE)
_END = re.compile(r"(@{2,9})\s*end\s*@{0,9}\s*", re.IGNORECASE)
_ANCHOR = r"(\d{1,9})(?:[ :]?([a-z]{2}))?"
_PLACE = re.compile(
    rf"[\s:`]*{_ANCHOR}(?:\s*(?:-|\u2013|\u2014|\.{{2,3}}|to)\s*{_ANCHOR})?[\s:|`]*@{{0,9}}\s*", re.IGNORECASE
)
_FENCE = re.compile(r"\s*(?:`{3,}[^`]*|~{3,}.*)")
_UNSTORABLE = re.compile(r"[\0\ud800-\udfff]")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    """An edit as read, or in `reason` and `detail` what is wrong; `stop` is the first line after it."""

    stop: int
    edit: AnchoredEdit | None = None
    reason: RejectionReason = RejectionReason.UNTERMINATED
    detail: str = ""


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

        Complete edits become `edits` in their order, with LF ends; the others become rejections, numbered on
        after the edits. An answer with neither edits nor a NO CHANGE line is not declined.
        """
        # A NUL or half a surrogate pair could be neither stored nor written to a file.
        text = _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)
        lines = [line_content(line) for line in split_lines(text)]
        edits: list[AnchoredEdit] = []
        faults: list[_Block] = []
        outside: list[str] = []
        at = 0
        while at < len(lines):
            if _HEADER.fullmatch(lines[at]):
                block = _read_block(lines, at)
                at = block.stop
                if block.edit is None:
                    faults.append(block)
                else:
                    edits.append(block.edit)
                continue
            if not (_FENCE.fullmatch(lines[at]) or _END.fullmatch(lines[at])):
                outside.append(lines[at])
            at += 1
        return Proposal(
            title=title_in(outside),
            explanation=plain("\n".join(outside), limit=EXPLANATION_LIMIT),
            edits=tuple(edits),
            rejections=tuple(
                Rejection(edit=number, reason=fault.reason, detail=fault.detail)
                for number, fault in enumerate(faults, start=len(edits))
            ),
            declined=None if edits or faults else declined_in(outside),
        )

    def turn(self, answer: str, said: str) -> Sequence[Message]:
        """Write an answer that failed, and what is said to it."""
        return told(answer, said)


def _read_block(lines: list[str], start: int) -> _Block:
    """Read the edit whose header is on line `start` (an index)."""
    width = _width(_HEADER, lines[start])
    limit = next(
        (at for at in range(start + 1, len(lines)) if _width(_HEADER, lines[at]) == width), len(lines)
    )
    where = f"the edit that begins on line {start + 1} of the answer"
    end = _end(lines, start + 1, limit, width)
    if end is None:
        return _Block(stop=limit, detail=f"{where} has no {'@' * width} end line")
    body = lines[start + 1 : end]
    header = _HEADER.fullmatch(lines[start])
    place = None if header is None else _place(header[2].lower(), header[3])
    if place is None:
        detail = f"{where} does not name its lines by number and letters"
        return _Block(stop=end + 1, reason=RejectionReason.NOT_FOUND, detail=detail)
    if header is not None and header[2].lower() == "delete":
        if any(line.strip() for line in body):
            detail = f"{where} is to delete lines, and holds new ones"
            return _Block(stop=end + 1, reason=RejectionReason.AMBIGUOUS, detail=detail)
        body = []
    verb, first, last = place
    replace = "".join(f"{line}\n" for line in body)
    return _Block(stop=end + 1, edit=AnchoredEdit(where=verb, first=first, last=last, replace=replace))


def _width(marker: re.Pattern[str], line: str) -> int:
    """How many `@` the line has; 0 when it is no such marker."""
    found = marker.fullmatch(line)
    return len(found[1]) if found else 0


def _end(lines: list[str], start: int, stop: int, width: int) -> int | None:
    """Where the first end line of that width stands in lines[start:stop], or else the first of any."""
    widths = {at: found for at in range(start, stop) if (found := _width(_END, lines[at]))}
    return next((at for at, found in widths.items() if found == width), next(iter(widths), None))


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
