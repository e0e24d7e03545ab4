"""Answers in plain text: edits between marks on lines of their own; all other text is the explanation."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from patchmill.edit.prose import EXPLANATION_LIMIT, declined_in, plain, title_in
from patchmill.edit.protocol import AnyEdit, Proposal, Rejection, RejectionReason
from patchmill.edit.span import line_content, split_lines

_UNSTORABLE = re.compile(r"[\0\ud800-\udfff]")
_FENCE = re.compile(r"\s*(?:`{3,}[^`]*|~{3,}.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """An edit as read, or in `reason` and `detail` what is wrong; `stop` is the first line after it."""

    stop: int
    edit: AnyEdit | None = None
    reason: RejectionReason = RejectionReason.UNTERMINATED
    detail: str = ""


def proposal_of(
    text: str,
    *,
    begins: re.Pattern[str],
    read: Callable[[Sequence[str], int], Block],
    stray: re.Pattern[str] | None = None,
) -> Proposal:
    """Read an answer; never raises, whatever the text.

    `read` gets all lines and the index of one that `begins` a block. Outside of blocks, fences mean nothing,
    and neither do `stray` marks. Blocks that are no edits become rejections, numbered on after the edits, so
    that a number below `len(edits)` always means that edit, also in what `locate` refuses later. An answer
    with neither blocks nor a NO CHANGE line has no edits, no rejections, and is not declined.
    """
    lines = [line_content(line) for line in split_lines(without_unstorable(text))]
    edits: list[AnyEdit] = []
    faults: list[Block] = []
    outside: list[str] = []
    at = 0
    while at < len(lines):
        if begins.fullmatch(lines[at]):
            block = read(lines, at)
            at = block.stop
            if block.edit is None:
                faults.append(block)
            else:
                edits.append(block.edit)
            continue
        if not (_FENCE.fullmatch(lines[at]) or (stray and stray.fullmatch(lines[at]))):
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


def mark_width(mark: re.Pattern[str], line: str) -> int:
    """Give how wide the mark on a line is, by the pattern's first group; 0 when it is no such mark."""
    found = mark.fullmatch(line)
    return len(found[1]) if found else 0


def next_of_width(mark: re.Pattern[str], lines: Sequence[str], start: int, width: int) -> int:
    """Give the index of the next such mark of that width, or the number of lines."""
    return next((at for at in range(start, len(lines)) if mark_width(mark, lines[at]) == width), len(lines))


def marks(mark: re.Pattern[str], lines: Sequence[str], start: int, stop: int, width: int) -> list[int]:
    """Say where the mark stands in lines[start:stop]: those of that width, or if there are none, any."""
    widths = {at: found for at in range(start, stop) if (found := mark_width(mark, lines[at]))}
    return [at for at, found in widths.items() if found == width] or list(widths)


def joined(lines: Sequence[str]) -> str:
    """Write lines as text in which each ends in LF."""
    return "".join(f"{line}\n" for line in lines)


def without_unstorable(text: str) -> str:
    """Replace a NUL and half a surrogate pair, which could be neither stored nor written to a file."""
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)
