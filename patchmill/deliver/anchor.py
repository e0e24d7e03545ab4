"""Where a suggestion may stand in a change under review: at lines that the diff shows as they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from patchmill.deliver.place import Places
from patchmill.deliver.suggestion import one_click
from patchmill.edit.changes import ChangedFile, ChangedHunk, UnreadableDiff, read_diff
from patchmill.edit.span import line_content, line_end, split_lines
from patchmill.job.record import FindingStatus
from patchmill.store.results import SuggestionRow

Changed = Mapping[str, ChangedFile] | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """Lines of the new version, 1-based, both included, and the file and hunk that show them."""

    file: ChangedFile
    hunk: ChangedHunk
    first: int
    last: int


def changed_files(diff: str | None) -> Changed:
    """Give the files of the diff by path, or why they are not known."""
    if diff is None:
        return "no diff was submitted"
    try:
        return read_diff(diff)
    except UnreadableDiff as error:
        return f"the diff cannot be read: {error}"


def anchored(rows: Sequence[SuggestionRow], places: Places, path: str, changed: Changed) -> Anchor | str:
    """Give the lines that a group of suggestions replaces, where one click may do it; else why it may not."""
    if len(rows) > 1 or rows[0].requires:
        return "it needs other changes with it"
    if rows[0].status != FindingStatus.VERIFIED:
        return "it was not verified"
    if not one_click(rows[0]):
        return "it cannot be committed alone"
    if isinstance(changed, str):
        return changed
    if path not in changed:
        return "the diff does not have this file"
    return _within_hunk(rows[0], places, changed[path])


def other_ends(row: SuggestionRow, *, inner: str | None = None) -> str | None:
    """Why a forge would not write these very line ends; None if it does.

    It puts the lines of the fence in the place of the old ones: the last line end stays, and the others are
    `inner`, or those of the old lines.
    """
    old, new = split_lines(row.original), split_lines(row.replacement)
    if not old or not new:
        return None
    if line_end(old[-1]) != line_end(new[-1]):
        return "it changes the line end before what follows"
    if {line_end(line) for line in new[:-1]} - {inner or line_end(old[0]) or "\n"}:
        return "its lines end otherwise than the forge would end them"
    return None


def _within_hunk(row: SuggestionRow, places: Places, file: ChangedFile) -> Anchor | str:
    lines = places.lf_lines(row)
    if lines is None:
        return "its lines cannot be commented on"
    first, last = lines
    hunk = next((hunk for hunk in file.hunks if hunk.start_line <= first and last <= hunk.end_line), None)
    if hunk is None:
        return "its lines are not within one hunk of the diff"
    shown = hunk.lines[first - hunk.start_line : last - hunk.start_line + 1]
    if list(shown) != [line_content(line) for line in split_lines(row.original)]:
        return "the diff shows other lines there"
    return Anchor(file=file, hunk=hunk, first=first, last=last)
