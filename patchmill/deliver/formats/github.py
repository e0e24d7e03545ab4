"""The format `github`: the body of GitHub's "create a review", with one comment for each safe anchor."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from patchmill.deliver.markdown import code, fence, paragraphs, prose
from patchmill.deliver.place import Places
from patchmill.deliver.suggestion import Format, Offered, OfferedFile, because, grouped, one_click
from patchmill.edit.changes import ChangedFile, ChangedHunk, UnreadableDiff, read_diff
from patchmill.edit.diff import unified_diff
from patchmill.edit.offered import apply_offered
from patchmill.edit.span import line_content, line_end, split_lines
from patchmill.job.record import FindingStatus
from patchmill.store.results import CheckRow, SuggestionRow

# GitHub's limit is this many characters; counted in bytes, it holds however they count.
MAX_BODY_BYTES = 65_536
STAND_IN = "> Made by the stand-in gateway, not by a model. Do not post this review."
_TITLE_LENGTH = 200
_EXPLANATION_LENGTH = 800
_NAMED_FINDINGS = 20  # of those that stay
_NAMED_BYTES = 4_000
_ROOM_FOR_COUNT = 200  # bytes for the sentence that counts what was left out


@dataclass(frozen=True, slots=True, kw_only=True)
class _Anchor:
    """The lines of the new version that a comment stands at, 1-based, both included."""

    start_line: int
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    """A group of suggestions that goes to the summary, and why."""

    file: OfferedFile
    rows: Sequence[SuggestionRow]
    why: str


def render(offer: Offered) -> str:
    """Write the review: a comment is always a change that one click applies, all else is in the summary.

    One anchor that GitHub does not know loses the whole review, so each is checked against the diff. A
    suggestion that was not verified, needs others, or cannot be anchored is listed in the summary with
    its change and the reason.
    """
    changed = _changed(offer.diff)
    comments: list[dict[str, Any]] = []
    listed: list[_Listed] = []
    for file in offer.files:
        places = Places(file.source)
        for rows in grouped(file.suggestions):
            anchor = _anchor(rows, places, file.path, changed)
            comment = anchor if isinstance(anchor, str) else _comment(file, rows[0], anchor)
            if isinstance(comment, str):
                listed.append(_Listed(file=file, rows=rows, why=comment))
            else:
                comments.append(comment)
    body = _summary(offer, len(comments), listed)
    review = {"event": "COMMENT", "body": body, "comments": comments}
    return json.dumps(review, ensure_ascii=False, separators=(",", ":"))


def _changed(diff: str | None) -> Mapping[str, ChangedFile] | str:
    """The files of the diff, or why they are not known."""
    if diff is None:
        return "no diff was submitted"
    try:
        return read_diff(diff)
    except UnreadableDiff as error:
        return f"the diff cannot be read: {error}"


def _anchor(
    rows: Sequence[SuggestionRow], places: Places, path: str, changed: Mapping[str, ChangedFile] | str
) -> _Anchor | str:
    """Where a comment may stand, or why there can be none."""
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
    return _applicable(rows[0]) or _within_hunk(rows[0], places, changed[path])


def _applicable(row: SuggestionRow) -> str | None:
    """Why GitHub would not write these very bytes; None if it does.

    It puts the lines of the fence in the place of the old ones: the last line end stays, and the others
    are those of the old lines.
    """
    old, new = split_lines(row.original), split_lines(row.replacement)
    if not old or not new:
        return None
    if line_end(old[-1]) != line_end(new[-1]):
        return "it changes the line end before what follows"
    if {line_end(line) for line in new[:-1]} - {line_end(old[0]) or "\n"}:
        return "its lines end otherwise than those that it replaces"
    return None


def _within_hunk(row: SuggestionRow, places: Places, file: ChangedFile) -> _Anchor | str:
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
    if _deletes_between(hunk, first, last):
        return "the diff deletes lines between its lines, over which GitHub applies nothing"
    return _Anchor(start_line=first, line=last)


def _deletes_between(hunk: ChangedHunk, first: int, last: int) -> bool:
    return any(first < number <= last for number in hunk.below_deleted)


def _comment(file: OfferedFile, row: SuggestionRow, anchor: _Anchor) -> dict[str, Any] | str:
    """The comment, or why it cannot be one."""
    parts = [
        *_words(file, row),
        fence(row.replacement, "suggestion"),
        _evidence(row, file.evidence.get(row.id, ())),
    ]
    body = "\n\n".join(parts)
    if len(body.encode()) > MAX_BODY_BYTES:
        return "it is too long for a comment"
    comment = {"path": row.path, "line": anchor.line, "side": "RIGHT", "body": body}
    if anchor.start_line < anchor.line:
        comment |= {"start_line": anchor.start_line, "start_side": "RIGHT"}
    return comment


def _words(file: OfferedFile, row: SuggestionRow) -> list[str]:
    """The title, and the explanation unless it is about more than this change: the summary has it then."""
    explanation = "" if row.explanation in _shared(file) else _explained(row)
    return [f"**{_title(row)}**", *([explanation] if explanation else [])]


def _explained(row: SuggestionRow) -> str:
    """The explanation without the title that an answer begins with."""
    said = row.explanation.removeprefix(row.title) if row.title else row.explanation
    return paragraphs(said, at_most=_EXPLANATION_LENGTH)


def _shared(file: OfferedFile) -> list[str]:
    """The explanations that are about several groups, which an answer has mended together."""
    told = Counter(rows[0].explanation for rows in grouped(file.suggestions))
    return [explanation for explanation, times in told.items() if explanation and times > 1]


def _title(row: SuggestionRow) -> str:
    return prose(row.title, at_most=_TITLE_LENGTH) or "A change"


def _evidence(row: SuggestionRow, checks: Sequence[CheckRow]) -> str:
    status = "Verified" if row.status == FindingStatus.VERIFIED else "Not verified"
    why = prose(because(checks), at_most=_EXPLANATION_LENGTH)
    about = f"source {row.source}, {row.safety}"
    return f"{status}: {why or 'no check applies'} ({prose(about, at_most=_TITLE_LENGTH)})"


def _summary(offer: Offered, comments: int, listed: Sequence[_Listed]) -> str:
    """The review's own text, cut to GitHub's limit with a count of what is left out."""
    total = comments + len(listed)
    places = f"{comments} to apply by one click at its line, {len(listed)} listed below"
    head = [
        f"Patchmill offers {_counted(total, 'change')}: {places}." if total else "Patchmill offers no change."
    ]
    if any(row.source == "stand-in" for file in offer.files for row in file.suggestions):
        head.append(STAND_IN)
    head += _findings(offer)
    head += _explanations(offer)
    parts, room = head, MAX_BODY_BYTES - _ROOM_FOR_COUNT - sum(len(part.encode()) + 2 for part in head)
    for number, each in enumerate(listed):
        line, change = _line(each), _change(each)
        part = next((part for part in (f"{line}\n\n{change}", line) if len(part.encode()) + 2 <= room), None)
        if part is None:
            left = _counted(len(listed) - number, "further change")
            parts.append(f"{left} did not fit here; the format `patch` has all of them.")
            break
        parts.append(part)
        room -= len(part.encode()) + 2
    return "\n\n".join(parts)


def _findings(offer: Offered) -> list[str]:
    """A sentence on the findings' fates, if there are findings."""
    fates = [finding.status for file in offer.files for finding in file.findings]
    if not fates:
        return []
    verified, unchecked = fates.count(FindingStatus.VERIFIED), fates.count(FindingStatus.UNCHECKED)
    rest = len(fates) - verified - unchecked
    counted = f"{verified} verified, {unchecked} unchecked, {rest} unresolved"
    return [f"Findings: {len(fates)}, of which {counted}.", *_left(offer)]


def _left(offer: Offered) -> list[str]:
    """Name the findings that stay, as many as have room; nothing if none does."""
    resolved = {FindingStatus.VERIFIED, FindingStatus.UNCHECKED}
    left = [
        f"{code(f'{file.path}:{each.start_line}')} {prose(each.rule, at_most=_TITLE_LENGTH)}"
        for file in offer.files
        for each in file.findings
        if each.status not in resolved
    ]
    if not left:
        return []
    sizes = accumulate(len(each.encode()) for each in left)
    named = left[: min(_NAMED_FINDINGS, sum(size <= _NAMED_BYTES for size in sizes))]
    more = f" and {len(left) - len(named)} more" if len(left) > len(named) else ""
    return [f"Unresolved: {', '.join(named)}{more}."]


def _explanations(offer: Offered) -> list[str]:
    """What answers say that mended several things, as many as fill half of the summary."""
    parts: list[str] = []
    room = MAX_BODY_BYTES // 2
    for file in offer.files:
        for explanation in _shared(file):
            part = f"{code(file.path)}: {paragraphs(explanation, at_most=_EXPLANATION_LENGTH)}"
            room -= len(part.encode()) + 2
            if room >= 0:
                parts.append(part)
    return parts


def _line(listed: _Listed) -> str:
    row = listed.rows[0]
    places = ", ".join(_lines_of(each) for each in listed.rows)
    return f"- {code(row.path)}, {places}: {_title(row)} ({prose(listed.why, at_most=_EXPLANATION_LENGTH)})"


def _lines_of(row: SuggestionRow) -> str:
    if row.end_line <= row.start_line:
        return f"line {row.start_line}"
    return f"lines {row.start_line} to {row.end_line}"


def _change(listed: _Listed) -> str:
    """The changes as a patch that `git apply` takes, folded away."""
    new = apply_offered(listed.file.source, [row.hunk for row in listed.rows])
    diff = unified_diff(listed.file.path, listed.file.source, new)
    return f"<details><summary>The change</summary>\n\n{fence(diff, 'diff')}\n\n</details>"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


GITHUB = Format(name="github", media_type="application/vnd.github+json", render=render)
