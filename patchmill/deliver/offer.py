"""From verified groups of hunks to the suggestions that are offered, with their evidence."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from patchmill.edit.apply import anchored
from patchmill.edit.encoding import UTF_8
from patchmill.edit.span import Hunk
from patchmill.store.ids import new_id
from patchmill.store.results import CheckRow, SuggestionRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """Hunks that belong together, what they mend, and how that is known.

    `source` is model, tool, store or stand-in; `safety` is safe or unsafe; `evidence` holds triples of
    check, result and detail.
    """

    hunks: tuple[Hunk, ...]
    findings: tuple[int, ...]
    status: str
    source: str
    safety: str
    title: str
    explanation: str
    evidence: tuple[tuple[str, str, str], ...]
    call_id: uuid.UUID | None


def rows(
    path: str, text: str, offers: Collection[Offer], *, encoding: str = UTF_8
) -> tuple[list[SuggestionRow], list[CheckRow]]:
    """Give the rows of all offers: one suggestion a hunk; those of one group require each other.

    Only a group of a single hunk can be committed by one click on a forge, and only where the forge would
    write the file's own bytes: it takes every file for UTF-8.
    """
    foreign = encoding != UTF_8 and not (
        text.isascii() and all(hunk.replacement.isascii() for offer in offers for hunk in offer.hunks)
    )
    suggestions: list[SuggestionRow] = []
    checks: list[CheckRow] = []
    for offer in offers:
        ids = [new_id() for _ in offer.hunks]
        suggestions += [
            _suggestion(path, text, offer, ids, number, foreign=foreign) for number in range(len(ids))
        ]
        checks += [
            CheckRow(suggestion_id=each, call_id=offer.call_id, check=check, result=result, detail=detail)
            for each in ids
            for check, result, detail in offer.evidence
        ]
    return suggestions, checks


def _suggestion(
    path: str, text: str, offer: Offer, ids: Sequence[uuid.UUID], number: int, *, foreign: bool
) -> SuggestionRow:
    shown = anchored(text, offer.hunks[number])
    return SuggestionRow(
        id=ids[number],
        path=path,
        start_line=shown.start_line,
        end_line=shown.end_line,
        original=shown.original,
        replacement=shown.replacement,
        title=offer.title,
        explanation=offer.explanation,
        status=offer.status,
        source=offer.source,
        safety=offer.safety,
        requires=tuple(each for each in ids if each != ids[number]),
        committable=len(ids) == 1 and not foreign,
        findings=offer.findings,
    )
