"""The format `github`: the body of GitHub's "create a review", with one comment for each safe anchor."""

import json
from typing import Any

from patchmill.deliver.anchor import Anchor, other_ends
from patchmill.deliver.review import comment_body, reviewed
from patchmill.deliver.suggestion import Format, Offered, OfferedFile
from patchmill.store.results import SuggestionRow


def render(offer: Offered) -> str:
    """Write the review.

    One anchor that GitHub does not know loses the whole review, so each is checked against the diff.
    """
    review = reviewed(offer, _comment)
    body = {"event": "COMMENT", "body": review.summary, "comments": review.comments}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def _comment(file: OfferedFile, row: SuggestionRow, anchor: Anchor) -> dict[str, Any] | str:
    """The comment, or why it cannot be one."""
    if why := other_ends(row):
        return why
    if any(anchor.first < number <= anchor.last for number in anchor.hunk.below_deleted):
        return "the diff deletes lines between its lines, over which GitHub applies nothing"
    body = comment_body(file, row, "suggestion")
    comment = {"path": row.path, "line": anchor.last, "side": "RIGHT", "body": body}
    if anchor.first < anchor.last:
        comment |= {"start_line": anchor.first, "start_side": "RIGHT"}
    return comment


GITHUB = Format(name="github", media_type="application/vnd.github+json", render=render)
