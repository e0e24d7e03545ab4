"""Which lines of a source findings are about: what an edit for them may change, and what is beside it."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from patchmill.job.record import Finding, ToolEdit
from patchmill.verify.checker import Diagnostic
from patchmill.verify.guards.duplicates import Twins, is_about_keys
from patchmill.verify.guards.redefined import may_go
from patchmill.verify.guards.words import bound_by, tokens_of
from patchmill.verify.outline.read import Lines, Outline, Place

# A rule whose name says that something is there for nothing asks for its removal.
_FOR_NOTHING = re.compile(
    r"unused|useless|repeated|unnecessary|unreachable|redundant|dup(?:e|licate)|redefin|needless|commented|dead"
    r"|use-fixtures|debugger|(?:^|-)print|console|alert|empty|extra|superfluous|pointless|self-assign"
    r"|optional-catch-binding|not-assigned"
)
_UNUSED_RESULT = re.compile(r"unused-var|unused-unpacked")
_OF_PARTS = re.compile(r"arg|param|fixture|key|catch-binding")
# Where something stands, and in what order: a mending may move lines.
_OF_PLACE = re.compile(
    r"order|sort|first|last|top|before|after|scop|inner|nested|negat|condition|pair|group|import|position|else|loop"
)
# A rule about how much a definition holds is about all of it.
_OF_WHOLE = re.compile(r"complex|too-many|too-long|max-|cognitive|no-self-use")
_WORD = re.compile(r"\w+")
# In a message, what is no plain word: in quotes, or with a capital or an underscore within.
_NAME = re.compile(r"(?<=[`'\".])[\w$]+|\b\w+[A-Z_]\w*")
_QUOTED = re.compile(r"`([^`]{1,500})`|\"([^\"]{1,500})\"|(?<!\w)'([^']{1,500})'")
_SIGN = re.compile(r"\w+|===|!==|==|!=|<=|>=|&&|\|\||\?\?|\*\*|[^\w\s]")
_OPERATORS = frozenset(
    {"not", "in", "is", "and", "or", "if", "any", "all", "min", "max", "break", "continue", "return"}
)
# Where the source cannot be parsed, the fault may be some lines away from where it shows.
_BROKEN_NEAR = 3
_NOWHERE = Place(own=(), around=())
_CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
RuleWords = tuple[str, str]  # the name of a rule, and what its checker says of it at length
# What goes with a finding though it stands beside it. By rule, the headers above it that its mending changes:
_ABOVE = {
    **dict.fromkeys(("PERF401", "PERF402", "PERF403"), re.compile(r"(?:async\s+)?for\b|if\b")),
    "SIM113": re.compile(r"(?:async\s+)?for\b"),
    **dict.fromkeys(("TRY201", "TRY401"), re.compile(r"except\b")),
    **dict.fromkeys(("TRY203", "PT017"), re.compile(r"except\b|try\b")),
    "TC004": re.compile(r"if\s+(?:typing\.)?TYPE_CHECKING\s*:"),
}
# And the lines near it that are about a name in the finding's line, and that it makes needless.
_BUILT = re.compile(
    r"\s*(?:(\w+)\s*(?::[^=]+)?=\s*(?:\[\]|\{\}|list\(\)|dict\(\))|return\s+(\w+))\s*(?:#.*)?$"
)
_ABOUT = {
    **dict.fromkeys(("PERF401", "PERF402", "PERF403"), _BUILT),
    "SIM113": re.compile(r"\s*(\w+)\s*=\s*-?\d+\s*(?:#.*)?$"),
    "SIM115": re.compile(r"\s*(\w+)\.close\(\)\s*(?:#.*)?$"),
    "PLC0206": re.compile(r".*\b(\w+)\["),
}
_NEAR = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One finding on the ground: its `own` lines, and what its rule asks for there.

    Of the own lines those are `marked` that it points at, or that a repair of the checker changes. `name` is
    that of its rule, `said` what its messages say, `shown` the words of the code on the rule's page,
    `spanned` the words and signs of what it points at, and `pointed` that if it is one word alone. `goes` is
    the definition that may go as a whole, if its rule may ask for that; `asked` the names that its rule or
    its messages may want to be there. `doubles` says that it is about keys that are there twice.
    """

    name: str
    reproduced: bool
    own: frozenset[int]
    marked: frozenset[int]
    repair: tuple[ToolEdit, ...]
    pointed: frozenset[str]
    spanned: frozenset[str]
    goes: Lines | None
    removal: bool
    moves: bool
    keeps_calls: bool
    unused_import: bool
    whole: bool
    doubles: bool
    said: frozenset[str]
    shown: frozenset[str]
    asked: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Ground:
    """All findings of a file; `own` are the lines that may change, `around` what holds them.

    `hashes` says that a hash begins a comment in its language, and two slashes do not.
    """

    points: tuple[Point, ...]
    around: tuple[Lines, ...]
    functions: tuple[Lines, ...]
    imports: frozenset[int]
    imported: frozenset[str]
    own: frozenset[int]
    hashes: bool

    @classmethod
    def of(
        cls,
        lines: Sequence[str],
        findings: Mapping[int, Finding],
        outline: Outline | None,
        *,
        matches: Mapping[int, Diagnostic],
        rules: Mapping[int, RuleWords],
        settled: Collection[int],
        hashes: bool,
    ) -> Self:
        """Lay out findings, with the words for their rules, over what was read of the source.

        What is to be done about those that are `settled` is not asked for again.
        """
        broken = outline is not None and not outline.read
        points: list[Point] = []
        twins = Twins(lines)
        around: list[Lines] = []
        for number, (index, finding) in enumerate(findings.items()):
            known = outline is not None and number < len(outline.places)
            place = outline.places[number] if outline is not None and known else _NOWHERE
            around += place.around
            points.append(
                _point(
                    lines,
                    finding,
                    place,
                    match=matches.get(index),
                    rule=rules.get(index, (finding.rule, "")),
                    near=_BROKEN_NEAR if broken else 0,
                    settled=index in settled,
                    twins=twins,
                )
            )
        imports = _numbers(outline.import_lines if outline else (), len(lines))
        return cls(
            points=tuple(points),
            around=tuple(around),
            functions=outline.functions if outline else (),
            imports=frozenset(imports),
            imported=frozenset(name for line in imports for name in bound_by(tokens_of(lines[line - 1]))),
            own=frozenset().union(*(point.own for point in points)),
            hashes=hashes,
        )


def _point(
    lines: Sequence[str],
    finding: Finding,
    place: Place,
    *,
    match: Diagnostic | None,
    rule: RuleWords,
    near: int,
    settled: bool,
    twins: Twins,
) -> Point:
    """Say of a finding, with what the checker reports, what is its own; `near` are as many lines more."""
    name = rule[0].lower()
    start, end = finding.start_line, max(finding.start_line, finding.end_line)
    whole, removal = bool(_OF_WHOLE.search(name)), bool(_FOR_NOTHING.search(name))
    spans = [(start - near, end + near), *place.own, *(place.whole if whole else ())]
    marked = [(start, end), *(spans if whole else ())]
    messages = finding.message
    if match is not None:
        marked += [(match.start_line, match.end_line), *match.marks, *match.reach]
        messages += f"\n{match.message}"
    span = "" if match is None else _span(lines, match)
    pointed_at = _numbers(marked, len(lines)) | _beside(lines, finding, place.around)
    doubles = is_about_keys(name)
    pointed_at |= twins.of(start) if doubles else set()
    goes = place.whole[-1] if removal and place.whole and not _OF_PARTS.search(name) else None
    if goes is not None and match is not None:
        goes = may_go(lines, match.message, goes)
    return Point(
        name=name,
        reproduced=match is not None,
        own=frozenset(pointed_at | _numbers(spans, len(lines))),
        marked=frozenset(pointed_at),
        repair=match.repair if match is not None else (),
        pointed=_pointed(span),
        spanned=frozenset(_SIGN.findall(span)),
        goes=goes,
        removal=removal,
        moves=bool(_OF_PLACE.search(name)),
        keeps_calls=bool(_UNUSED_RESULT.search(name)),
        unused_import="unused-import" in name and not settled,
        whole=whole,
        doubles=doubles,
        said=_said(messages),
        shown=frozenset(word for code in _CODE.findall(rule[1]) for word in _WORD.findall(code)),
        asked=_asked(messages, name, unused_import="unused-import" in name),
    )


def _numbers(spans: Iterable[Lines], most: int) -> set[int]:
    return {line for first, last in spans for line in range(max(1, first), min(last, most) + 1)}


def _said(message: str) -> frozenset[str]:
    """The words of a message, but those of them that are operators, too, only where it quotes code."""
    quoted = {sign for parts in _QUOTED.findall(message) for part in parts for sign in _SIGN.findall(part)}
    return frozenset(quoted | ({*_WORD.findall(message)} - _OPERATORS))


def _span(lines: Sequence[str], match: Diagnostic) -> str:
    """The text that a checker points at."""
    text = list(lines[match.start_line - 1 : match.end_line])
    if text:
        text[-1] = text[-1][: match.end_column - 1]
    return "".join(text)[match.start_column - 1 :]


def _pointed(span: str) -> frozenset[str]:
    """The word, number or string that a checker points at, if it is one alone."""
    words = tokens_of(span)
    return frozenset(_WORD.findall(words[0])) if len(words) == 1 else frozenset()


def _asked(said: str, rule: str, *, unused_import: bool) -> frozenset[str]:
    words = re.findall(r"[a-z]+", rule.rpartition("(")[2])
    return frozenset({*_NAME.findall(said), *words, "".join(words), *(["__all__"] if unused_import else ())})


def _beside(lines: Sequence[str], finding: Finding, around: Sequence[Lines]) -> set[int]:
    """The lines that go with a finding though they stand beside it."""
    found: set[int] = set()
    above, about = _ABOVE.get(finding.rule), _ABOUT.get(finding.rule)
    at = finding.start_line
    if not 0 < at <= len(lines):
        return found
    depth = _depth(lines[at - 1])
    for line in range(at - 1, 0, -1) if above is not None else ():
        text = lines[line - 1]
        begins = text.lstrip().startswith("try") and _depth(text) == depth
        if text.strip() and (begins or _depth(text) < depth):
            depth = _depth(text)
            if above is None or not above.match(text.strip()):
                break
            found.add(line)
    for first, last in around if about is not None else ():
        for line in range(max(1, first - _NEAR), min(last + _NEAR, len(lines)) + 1):
            match = about and about.match(lines[line - 1].rstrip("\r\n"))
            if match and {*match.groups()} & {*_WORD.findall(lines[at - 1])}:
                found.add(line)
    return found


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())
