"""The edit format `search_replace`: blocks of old lines and the lines that take their place.

How a block is read:

- Markers stand alone on their line, unindented, with 5 to 9 marker characters; trailing whitespace is
  ignored. Fences are optional and carry no meaning, so that code may contain fence lines.
- A block ends at the first REPLACE marker as wide as its SEARCH marker, or, if none comes before the
  next SEARCH marker of that width, at the first REPLACE marker of any width.
- The divider is as wide as the SEARCH marker, or if there is none of that width, of any. Code may
  contain such lines too (headings in reStructuredText). Lines around a change mostly stand in both
  halves, so of several the middle one divides, and of an even number the earlier of the middle two.
  A wrong guess is harmless: its search text is not in the file.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from patchmill.edit.prose import EXPLANATION_LIMIT, declined_in, plain, title_in
from patchmill.edit.protocol import (
    Edit,
    Message,
    OfferedTool,
    Proposal,
    Rejection,
    RejectionReason,
    told,
)
from patchmill.edit.span import line_content, split_lines

_OPEN = re.compile(r"(<{5,9}) ?SEARCH\s*")
_DIVIDER = re.compile(r"(={5,9})\s*")
_CLOSE = re.compile(r"(>{5,9}) ?REPLACE\s*")
_FENCE = re.compile(r"\s*(?:`{3,}[^`]*|~{3,}.*)")
_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")

_INSTRUCTIONS = """\
Answer with a short title line, one to three plain sentences that explain the change, and edits:

<<<<<<< SEARCH
old lines
=======
new lines
>>>>>>> REPLACE

- SEARCH copies whole lines exactly, just enough to be unique in the file; REPLACE repeats those that stay.
- An empty REPLACE deletes; SEARCH is empty only if the file is.
- If code has such markers, make yours nine wide.
- To change nothing, write only NO CHANGE: and the reason.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    """A block as read: its edit, or in `fault` what is missing; `stop` is the first line after it."""

    stop: int
    edit: Edit | None = None
    fault: str = ""


class SearchReplace:
    """SEARCH/REPLACE blocks; all other text is the explanation, and its first line the title."""

    name = "search_replace"
    instructions = _INSTRUCTIONS
    answer_schema: Mapping[str, Any] | None = None
    tool: OfferedTool | None = None

    def shown(self, number: int, line: str) -> str:  # noqa: ARG002 - places are found by text alone
        """Write a line of the file as it is."""
        return line

    def turn(self, answer: str, said: str) -> Sequence[Message]:
        """Write an answer that failed, and what is said to it."""
        return told(answer, said)

    def parse(self, text: str) -> Proposal:
        """Read an answer; never raises, whatever the text.

        Complete blocks become `edits` in their order, with LF ends. Blocks that are not complete become
        rejections, numbered on after the edits, so that a number below `len(edits)` always means that
        edit, also in what `locate` refuses later (there: empty searches and edits without effect).
        An answer with neither blocks nor a NO CHANGE line has no edits, no rejections, and is not declined.
        """
        # A lone surrogate could be neither stored nor written to a file.
        text = _LONE_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
        lines = [line_content(line) for line in split_lines(text)]
        edits: list[Edit] = []
        faults: list[str] = []
        outside: list[str] = []
        at = 0
        while at < len(lines):
            if _OPEN.fullmatch(lines[at]):
                block = _read_block(lines, at)
                at = block.stop
                if block.edit is None:
                    faults.append(block.fault)
                else:
                    edits.append(block.edit)
                continue
            if not _FENCE.fullmatch(lines[at]):
                outside.append(lines[at])
            at += 1
        return Proposal(
            title=title_in(outside),
            explanation=plain("\n".join(outside), limit=EXPLANATION_LIMIT),
            edits=tuple(edits),
            rejections=tuple(
                Rejection(edit=number, reason=RejectionReason.UNTERMINATED, detail=fault)
                for number, fault in enumerate(faults, start=len(edits))
            ),
            declined=None if edits or faults else declined_in(outside),
        )


def _read_block(lines: list[str], start: int) -> _Block:
    """Read the block whose SEARCH marker is on line `start` (an index)."""
    width = _width(_OPEN, lines[start])
    limit = next((at for at in range(start + 1, len(lines)) if _width(_OPEN, lines[at]) == width), len(lines))
    closes = _markers(_CLOSE, lines, start + 1, limit, width)
    where = f"the block that begins on line {start + 1} of the answer"
    if not closes:
        return _Block(stop=limit, fault=f"{where} has no {'>' * width} REPLACE line")
    close = closes[0]
    dividers = _markers(_DIVIDER, lines, start + 1, close, width)
    if not dividers:
        return _Block(stop=close + 1, fault=f"{where} has no {'=' * width} line")
    divider = dividers[(len(dividers) - 1) // 2]
    edit = Edit(search=_joined(lines[start + 1 : divider]), replace=_joined(lines[divider + 1 : close]))
    return _Block(stop=close + 1, edit=edit)


def _width(marker: re.Pattern[str], line: str) -> int:
    """How many marker characters the line has; 0 when it is no such marker."""
    found = marker.fullmatch(line)
    return len(found[1]) if found else 0


def _markers(marker: re.Pattern[str], lines: list[str], start: int, stop: int, width: int) -> list[int]:
    """Where the marker stands in lines[start:stop]: those of that width, or if there are none, any."""
    widths = {at: found for at in range(start, stop) if (found := _width(marker, lines[at]))}
    return [at for at, found in widths.items() if found == width] or list(widths)


def _joined(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
