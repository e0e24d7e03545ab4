"""What a report says, as it says it: names, places and columns are still the tool's own.

A reader turns the text of one format into these records and knows nothing of the submitted files;
`patchmill.reports.places` finds the files and counts the columns anew.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

UNKNOWN = "unknown"  # the tool or the rule of a finding that names none
MAX_NAME = 200  # characters of a tool's or a rule's name, as the API allows them
MAX_MESSAGE = 4_000
MAX_SEVERITY = 50
# These offer unsafe fixes too, and neither SARIF nor rdjson has a word for the difference.
MIX_IN_UNSAFE = frozenset({"ruff"})
MAX_FIXES = 20  # of one finding; further ones are left out
MAX_EDITS = 1_000  # of one fix; one with more is left out


class UnreadableReport(ValueError):
    """The report is not what its format asks for; the message says where in it, and what is wrong."""


class Unit(StrEnum):
    """What a report counts its columns and offsets in."""

    CODE_POINTS = "code_points"
    UTF16 = "utf16"
    UTF8 = "utf8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """A place by lines: 1-based, both included; columns 1-based, the end exclusive.

    Without a start column the place begins with its first line, without an end column it ends with the text
    of its last line.
    """

    start_line: int
    end_line: int
    start_column: int | None = None
    end_column: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Offsets:
    """A place by characters from the beginning of the file, which is 0."""

    start: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedEdit:
    """One replacement that a tool proposes."""

    place: Lines | Offsets
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedFix:
    """A tool's own fix; of several fixes of one finding each is an alternative."""

    safe: bool
    edits: tuple[ReportedEdit, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """One finding of a report; `name` is the file as the report names it, empty where it names none.

    A finding without a place is about the whole file.
    """

    number: int  # within its report, from 0
    name: str
    tool: str
    rule: str
    message: str
    severity: str
    place: Lines | Offsets | None
    unit: Unit = Unit.CODE_POINTS
    fixes: tuple[ReportedFix, ...] = ()
    suppressed: bool = False


class Reader(Protocol):
    """Reads one format."""

    def __call__(self, content: str) -> Iterator[Reported]:
        """Give the findings in the order of the report; raises UnreadableReport where it cannot go on."""
        ...
