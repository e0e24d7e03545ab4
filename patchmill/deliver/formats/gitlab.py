"""The format `gitlab`: the bodies of the requests that put a review on a merge request of GitLab."""

import json
import re
from dataclasses import replace
from typing import Any

from patchmill.deliver.anchor import Anchor, other_ends
from patchmill.deliver.review import comment_body, reviewed
from patchmill.deliver.suggestion import Format, Offered, OfferedFile
from patchmill.store.results import SuggestionRow

MAX_OFFSET = 100  # lines that GitLab replaces at most above, and below, the line of the comment
# GitLab takes the text out of HTML, which has none of these.
_LOST = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
# Not every version of GitLab knows a fence of more than three backticks when it looks for commands.
_COMMAND = re.compile(r"^/[a-z]", re.IGNORECASE | re.MULTILINE)


def render(offer: Offered) -> str:
    """Write the summary as the body of one note, and each comment as the body of one discussion.

    GitLab takes one discussion a request. Their positions lack the three revisions: they are those of the
    version of the merge request that GitLab shows, which only GitLab knows.
    """
    review = reviewed(offer, _discussion)
    bodies = {"note": {"body": review.summary}, "discussions": review.comments}
    return json.dumps(bodies, ensure_ascii=False, separators=(",", ":"))


def _discussion(file: OfferedFile, row: SuggestionRow, anchor: Anchor) -> dict[str, Any] | str:
    """The discussion, or why it cannot be one."""
    row, anchor = _widened(file, row, anchor)
    if why := _refused(row):
        return why
    line = min(anchor.last, anchor.first + MAX_OFFSET)
    above, below = line - anchor.first, anchor.last - line
    if below > MAX_OFFSET:
        return f"it replaces more than {2 * MAX_OFFSET + 1} lines"
    position = {
        "position_type": "text",
        "old_path": anchor.file.old_path or row.path,
        "new_path": row.path,
        "new_line": line,
    }
    old_line = anchor.hunk.old_lines[line - anchor.hunk.start_line]
    if old_line is not None:
        position["old_line"] = old_line
    return {"body": comment_body(file, row, f"suggestion:-{above}+{below}"), "position": position}


def _widened(file: OfferedFile, row: SuggestionRow, anchor: Anchor) -> tuple[SuggestionRow, Anchor]:
    """Let blank lines repeat the line above, if the diff shows it: alone they would be a deletion."""
    if not _blank(row) or anchor.first == anchor.hunk.start_line:
        return row, anchor
    line = anchor.first - 1
    above = file.source.split("\n")[line - 1]
    if above != anchor.hunk.lines[line - anchor.hunk.start_line]:
        return row, anchor
    wider = replace(row, original=f"{above}\n{row.original}", replacement=f"{above}\n{row.replacement}")
    return wider, replace(anchor, first=line)


def _blank(row: SuggestionRow) -> bool:
    return bool(row.replacement) and not row.replacement.strip()


def _refused(row: SuggestionRow) -> str | None:
    """Why GitLab would not write these very bytes, or would do something else; None if it writes them."""
    if _blank(row):
        return "GitLab takes blank lines for a deletion"
    if _LOST.search(row.replacement):
        return "it has control characters, which GitLab drops"
    if _COMMAND.search(row.replacement):
        return "one of its lines begins as GitLab's commands do"
    return other_ends(row, inner="\n")


GITLAB = Format(name="gitlab", media_type="application/vnd.gitlab+json", render=render)
