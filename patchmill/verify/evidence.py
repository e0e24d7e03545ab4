"""What a check says: the names and results that a suggestion carries as its evidence."""

import re
from dataclasses import dataclass
from enum import StrEnum

# Tools quote what they read: a NUL or half a surrogate could not be stored, and terminals obey the others.
_UNTELLABLE = re.compile(r"[\0-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class CheckName(StrEnum):
    """Every check, as the API names it."""

    APPLIES = "applies"
    PARSES = "parses"
    REPRODUCED = "reproduced"
    FINDING_GONE = "finding_gone"
    NOTHING_NEW = "nothing_new"
    IN_SCOPE = "in_scope"
    NO_SUPPRESSION = "no_suppression"
    NO_NEW_IMPORT = "no_new_import"
    NO_INVISIBLE = "no_invisible"
    SAME_BEHAVIOUR = "same_behaviour"
    HINTS_AGREE = "hints_agree"


class UnresolvedReason(StrEnum):
    """Why a finding stays unresolved where no check of an edit for it says so; see docs/findings.md."""

    OVERLAP = "overlap"
    DECLINED = "declined"
    NO_EDIT = "no_edit"


class Result(StrEnum):
    """A check's verdict; skipped means that it does not apply or could not judge."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of evidence: which check, its result, and in `detail` what it looked at or why it failed."""

    check: CheckName
    result: Result
    detail: str

    def __post_init__(self) -> None:
        """Take out of the detail what could not be told."""
        object.__setattr__(self, "detail", tellable(self.detail))


def tellable(words: str) -> str:
    """Words about hostile text, with no characters in them but those that can be stored and shown."""
    return _UNTELLABLE.sub("\N{REPLACEMENT CHARACTER}", words)
