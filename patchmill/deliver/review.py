"""What a review says on any forge: a comment for each change that one click applies, and a summary."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from patchmill.deliver.anchor import Anchor, anchored, changed_files
from patchmill.deliver.markdown import code, fence, paragraphs, prose
from patchmill.deliver.place import Places
from patchmill.deliver.suggestion import Offered, OfferedFile, because, grouped
from patchmill.edit.diff import unified_diff
from patchmill.edit.offered import apply_offered
from patchmill.job.record import FindingStatus
from patchmill.store.results import CheckRow, SuggestionRow

# GitHub's limit is this many characters; counted in bytes, it holds however they count. GitLab takes more,
# which nobody would read.
MAX_BODY_BYTES = 65_536
STAND_IN = "> Made by the stand-in gateway, not by a model. Do not post this review."
_TITLE_LENGTH = 200
_EXPLANATION_LENGTH = 800
_NAMED_FINDINGS = 20  # of those that stay
_NAMED_BYTES = 4_000
_ROOM_FOR_COUNT = 200  # bytes for the sentence that counts what was left out

# Writes a comment with its `body` at an anchor, or says why the forge could not apply it.
Comment = Callable[[OfferedFile, SuggestionRow, Anchor], dict[str, Any] | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """The summary, and the comments in the order of the suggestions."""

    summary: str
    comments: Sequence[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    """A group of suggestions that goes to the summary, and why."""

    file: OfferedFile
    rows: Sequence[SuggestionRow]
    why: str


def reviewed(offer: Offered, comment: Comment) -> Review:
    """Sort what is offered: a comment is always a change that one click applies, all else is in the summary.

    A suggestion that was not verified, needs others, or cannot be anchored in the diff is listed in the
    summary with its change and the reason.
    """
    changed = changed_files(offer.diff)
    comments: list[dict[str, Any]] = []
    listed: list[_Listed] = []
    for file in offer.files:
        places = Places(file.source)
        for rows in grouped(file.suggestions):
            anchor = anchored(rows, places, file.path, changed)
            made = anchor if isinstance(anchor, str) else comment(file, rows[0], anchor)
            if not isinstance(made, str) and len(made["body"].encode()) > MAX_BODY_BYTES:
                made = "it is too long for a comment"
            if isinstance(made, str):
                listed.append(_Listed(file=file, rows=rows, why=made))
            else:
                comments.append(made)
    return Review(summary=_summary(offer, len(comments), listed), comments=comments)


def comment_body(file: OfferedFile, row: SuggestionRow, info: str) -> str:
    """Write what a comment says; by `info` the forge knows the fence whose lines replace the old ones."""
    return "\n\n".join(
        [*_words(file, row), fence(row.replacement, info), _evidence(row, file.evidence.get(row.id, ()))]
    )


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
    """The review's own text, cut to the limit with a count of what is left out."""
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
