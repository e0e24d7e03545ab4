"""Which lines of a source findings are about: what an edit for them may change, and what is beside it."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from patchmill.job.record import Finding
from patchmill.verify.checker import Diagnostic
from patchmill.verify.guards.duplicates import Twins, is_about_keys
from patchmill.verify.outline.read import Lines, Outline

# A rule whose name says that something is there for nothing asks for its removal.
_FOR_NOTHING = re.compile(
    r"unused|useless|repeated|unnecessary|unreachable|redundant|dup(?:e|licate)|redefin|needless|commented|dead"
    r"|use-fixtures|debugger|(?:^|-)print|console|(?:^|-)assert$|alert|empty|extra|superfluous|pointless|self-assign"
    r"|optional-catch-binding"
)
_UNUSED_RESULT = re.compile(r"unused-var|unused-unpacked")
_OF_PARTS = re.compile(r"arg|param|fixture|key|catch-binding")
# A rule about how much a definition holds is about all of it.
_OF_WHOLE = re.compile(r"complex|too-many|too-long|max-|cognitive|no-self-use")
_WORD = re.compile(r"\w+")
# In a message, what is no plain word: in quotes, or with a capital or an underscore within.
_NAME = re.compile(r"(?<=[`'\"])[\w$]+|\b\w+[A-Z_]\w*")
# Where the source cannot be parsed, the fault may be some lines away from where it shows.
_BROKEN_NEAR = 3
# What goes with a finding though it stands beside it: by rule, the lines that it makes needless.
_WITH = {
    **dict.fromkeys(("PERF401", "PERF402", "PERF403"), re.compile(r"\s*(?:async\s+)?for\b.*:\s*(?:#.*)?$")),
    "SIM113": re.compile(r"\s*\w+\s*=\s*-?\d+\s*(?:#.*)?$"),
    "SIM115": re.compile(r"\s*\w+\.close\(\)\s*(?:#.*)?$"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One finding on the ground: its `own` lines, and what its rule asks for there."""

    own: frozenset[int]
    removal: bool
    keeps_calls: bool
    unused_import: bool
    whole: bool
    doubles: bool = False  # whether it is about keys that are there twice
    said: frozenset[str] = frozenset()  # the words of its messages
    asked: frozenset[str] = frozenset()  # the names that they or its rule may want to be there


@dataclass(frozen=True, kw_only=True)
class Ground:
    """All findings of a file; `own` are the lines that may change, `around` what holds them."""

    points: tuple[Point, ...]
    around: tuple[Lines, ...]
    functions: tuple[Lines, ...]
    imports: frozenset[int]
    own: frozenset[int] = field(default=frozenset())

    @classmethod
    def of(
        cls,
        lines: Sequence[str],
        findings: Mapping[int, Finding],
        outline: Outline | None,
        *,
        matches: Mapping[int, Diagnostic],
        names: Mapping[int, str],
        settled: Collection[int],
    ) -> Self:
        """Lay out findings, with the names of their rules, over what was read of the source.

        What is to be done about those that are `settled` is not asked for again.
        """
        broken = outline is not None and not outline.read
        points: list[Point] = []
        twins = Twins(lines)
        around: list[Lines] = []
        for number, (index, finding) in enumerate(findings.items()):
            start, end = finding.start_line, max(finding.start_line, finding.end_line)
            name = names.get(index, finding.rule).lower()
            whole = bool(_OF_WHOLE.search(name))
            removal = bool(_FOR_NOTHING.search(name))
            spans = [(start - _BROKEN_NEAR, end + _BROKEN_NEAR)] if broken else [(start, end)]
            if outline is not None and number < len(outline.places):
                place = outline.places[number]
                spans += place.own
                spans += place.whole if whole or (removal and not _OF_PARTS.search(name)) else ()
                around += place.around
            said = finding.message
            if index in matches:
                match = matches[index]
                said += f" {match.message}"
                spans += [(match.start_line, match.end_line), *match.marks, *match.reach]
            own = {line for first, last in spans for line in range(first, min(last, len(lines)) + 1)}
            own |= _beside(lines, finding, around[-1:])
            own |= twins.of(start) if is_about_keys(name) else set()
            points.append(
                Point(
                    own=frozenset(own),
                    removal=removal,
                    keeps_calls=bool(_UNUSED_RESULT.search(name)),
                    unused_import="unused-import" in name and index not in settled,
                    whole=whole,
                    doubles=is_about_keys(name),
                    said=frozenset(_WORD.findall(said)),
                    asked=_asked(said, name, unused_import="unused-import" in name),
                )
            )
        return cls(
            points=tuple(points),
            around=tuple(around),
            functions=outline.functions if outline else (),
            imports=frozenset(
                line
                for first, last in (outline.import_lines if outline else ())
                for line in range(first, last + 1)
            ),
            own=frozenset().union(*(point.own for point in points)),
        )


def _asked(said: str, rule: str, *, unused_import: bool) -> frozenset[str]:
    words = re.findall(r"[a-z]+", rule.rpartition("(")[2])
    return frozenset({*_NAME.findall(said), *words, "".join(words), *(["__all__"] if unused_import else ())})


def _beside(lines: Sequence[str], finding: Finding, around: Sequence[Lines]) -> set[int]:
    fits = _WITH.get(finding.rule)
    if fits is None:
        return set()
    return {
        line
        for first, last in around
        for line in range(first, min(last, len(lines)) + 1)
        if fits.match(lines[line - 1].rstrip("\r\n"))
    }
