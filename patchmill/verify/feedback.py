"""What the model is told after a failed verification: the checker's words, with lines as they really are."""

from collections.abc import Iterable, Sequence

from patchmill.edit.span import Hunk, line_content, split_lines
from patchmill.verify.candidate import lines_of
from patchmill.verify.evidence import CheckName, Result
from patchmill.verify.grouping import Judgement

# Their words stand in the complaints, each with its lines.
_TOLD_IN_FULL = frozenset({CheckName.PARSES, CheckName.SAME_BEHAVIOUR})
_MOST_ITEMS = 20
_MOST_COMPLAINTS = 8
_MOST_HUNKS = 3
_MOST_LINES = 6
_LONGEST_LINE = 200


def quoted(lines: list[str], start_line: int, end_line: int) -> str:
    """Some of a text's lines with their numbers, indented, at most six of them."""
    shown = [
        f"    {number} | {_shortened(lines[number - 1])}"
        for number in range(max(1, start_line), min(len(lines), end_line, start_line + 5) + 1)
    ]
    return "\n".join(shown)


def refusals(judgements: Iterable[Judgement]) -> list[str]:
    """One paragraph for each refused candidate: lines before and after, the checks it failed, their words."""
    paragraphs: list[str] = []
    for judgement in judgements:
        failed = [check for check in judgement.checks if check.result is Result.FAILED]
        place = lines_of(judgement.hunks)
        lines = [f"The edit {place if place.startswith('before') else f'of {place}'} was refused."]
        lines += [line for hunk in judgement.hunks[:_MOST_HUNKS] for line in _both_ways(hunk)]
        told = bool(judgement.complaints)
        lines += [
            f"- {check.check}{'' if told and check.check in _TOLD_IN_FULL else f': {check.detail}'}"
            for check in failed
        ]
        lines += judgement.complaints[:_MOST_COMPLAINTS]
        paragraphs.append("\n".join(lines))
    return paragraphs


def _both_ways(hunk: Hunk) -> list[str]:
    """The lines of a hunk as the file has them, with their numbers, and as the edit puts them there."""
    old, new = split_lines(hunk.original), split_lines(hunk.replacement)
    numbered = enumerate(old[:_MOST_LINES], start=hunk.start_line)
    before = [f"    {number} | {_shortened(line)}" for number, line in numbered]
    after = [f"    {_shortened(line)}" for line in new[:_MOST_LINES]]
    return [
        *(["The file has there:", *before] if before else [f"Before line {hunk.start_line}:"]),
        *(["The edit puts there:", *after] if after else ["The edit takes them away."]),
    ]


def _shortened(line: str) -> str:
    return line_content(line)[:_LONGEST_LINE]


def joined(paragraphs: Sequence[str]) -> str:
    """All paragraphs as one text; what is beyond the most that is useful is only counted."""
    shown = list(paragraphs[:_MOST_ITEMS])
    if len(paragraphs) > len(shown):
        shown.append(f"And {len(paragraphs) - len(shown)} more.")
    return "\n\n".join(shown)
