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
from typing import Any

from patchmill.edit.answer_text import Block, joined, mark_width, marks, next_of_width, proposal_of
from patchmill.edit.protocol import Edit, Message, OfferedTool, Proposal, told

_OPEN = re.compile(r"(<{5,9}) ?SEARCH\s*")
_DIVIDER = re.compile(r"(={5,9})\s*")
_CLOSE = re.compile(r"(>{5,9}) ?REPLACE\s*")

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

        Blocks that are not complete become rejections; `locate` refuses empty searches and edits without
        effect. See `proposal_of`.
        """
        return proposal_of(text, begins=_OPEN, read=_read_block)


def _read_block(lines: Sequence[str], start: int) -> Block:
    """Read the block whose SEARCH marker is on line `start` (an index)."""
    width = mark_width(_OPEN, lines[start])
    limit = next_of_width(_OPEN, lines, start + 1, width)
    where = f"the block that begins on line {start + 1} of the answer"
    closes = marks(_CLOSE, lines, start + 1, limit, width)
    if not closes:
        return Block(stop=limit, detail=f"{where} has no {'>' * width} REPLACE line")
    close = closes[0]
    dividers = marks(_DIVIDER, lines, start + 1, close, width)
    if not dividers:
        return Block(stop=close + 1, detail=f"{where} has no {'=' * width} line")
    divider = dividers[(len(dividers) - 1) // 2]
    edit = Edit(search=joined(lines[start + 1 : divider]), replace=joined(lines[divider + 1 : close]))
    return Block(stop=close + 1, edit=edit)
