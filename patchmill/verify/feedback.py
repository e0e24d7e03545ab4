"""What the model is told after a failed verification: the checker's words, with lines as they really are."""

from collections.abc import Iterable, Sequence

from patchmill.edit.span import line_content
from patchmill.verify.candidate import lines_of
from patchmill.verify.evidence import Result
from patchmill.verify.grouping import Judgement

_MOST_ITEMS = 20
_MOST_COMPLAINTS = 8
_LONGEST_LINE = 200


def quoted(lines: list[str], start_line: int, end_line: int) -> str:
    """Some of a text's lines with their numbers, indented, at most six of them."""
    shown = [
        f"    {number} | {line_content(lines[number - 1])[:_LONGEST_LINE]}"
        for number in range(max(1, start_line), min(len(lines), end_line, start_line + 5) + 1)
    ]
    return "\n".join(shown)


def refusals(judgements: Iterable[Judgement]) -> list[str]:
    """One paragraph for each refused candidate: which checks it failed, and the checker's words."""
    paragraphs: list[str] = []
    for judgement in judgements:
        failed = [check for check in judgement.checks if check.result is Result.FAILED]
        lines = [f"The edit of {lines_of(judgement.hunks)} was refused."]
        lines += [f"- {check.check}: {check.detail}" for check in failed]
        lines += judgement.complaints[:_MOST_COMPLAINTS]
        paragraphs.append("\n".join(lines))
    return paragraphs


def joined(paragraphs: Sequence[str]) -> str:
    """All paragraphs as one text; what is beyond the most that is useful is only counted."""
    shown = list(paragraphs[:_MOST_ITEMS])
    if len(paragraphs) > len(shown):
        shown.append(f"And {len(paragraphs) - len(shown)} more.")
    return "\n\n".join(shown)
