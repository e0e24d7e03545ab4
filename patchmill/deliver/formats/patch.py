"""The format `patch`: one git patch that applies all suggestions together."""

from collections.abc import Sequence
from dataclasses import replace

from patchmill.deliver.suggestion import Format
from patchmill.edit.apply import apply_hunks
from patchmill.edit.diff import unified_diff
from patchmill.edit.span import Hunk, split_lines
from patchmill.store.results import SuggestionRow


def render(path: str, source: str, suggestions: Sequence[SuggestionRow]) -> str:
    """Write the patch from the submitted source to the source with every suggestion applied.

    Empty when there is no suggestion. Raises ValueError if the suggestions are not the source's or clash;
    those of one job do neither, since they were verified together.
    """
    return unified_diff(path, source, apply_hunks(source, _hunks(suggestions)))


def _hunks(suggestions: Sequence[SuggestionRow]) -> list[Hunk]:
    """The changes alone; insertions at one point, as the text after each other, are one hunk."""
    hunks: list[Hunk] = []
    for hunk in sorted(map(_minimal, suggestions), key=lambda hunk: (hunk.start_line, hunk.end_line)):
        if hunks and _insert_at_one_point(hunks[-1], hunk):
            hunks[-1] = replace(hunk, replacement=hunks[-1].replacement + hunk.replacement)
        else:
            hunks.append(hunk)
    return hunks


def _minimal(row: SuggestionRow) -> Hunk:
    """A suggestion without the lines that it only repeats, so that neighbours may repeat them too."""
    old, new = split_lines(row.original), split_lines(row.replacement)
    head = 0
    while head < min(len(old), len(new)) and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    return Hunk(
        start_line=row.start_line + head,
        end_line=row.end_line - tail,
        original="".join(old[head : len(old) - tail]),
        replacement="".join(new[head : len(new) - tail]),
    )


def _insert_at_one_point(one: Hunk, other: Hunk) -> bool:
    return one.start_line == other.start_line and not one.original and not other.original


PATCH = Format(
    name="patch",
    media_type="text/x-patch; charset=utf-8",
    render=lambda offer: "".join(render(file.path, file.source, file.suggestions) for file in offer.files),
)
