"""The independent judge: says of what was offered as verified whether it is wrong, from its own code.

It knows nothing of how suggestions are verified. An objection is a fact about bytes, about the tree that
Python's own parser gives, or about what ruff and oxlint report. What differs from the right answer and meets
none of the objections is no escape: within a finding's own statement an edit is free.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from patchmill.evaluate import territory
from patchmill.evaluate.cases import Case
from patchmill.evaluate.checking import SYNTAX_ERROR, Report, reports
from patchmill.evaluate.hints import changes_behaviour, not_asked
from patchmill.evaluate.parsing import parsed
from patchmill.evaluate.sight import lost_definitions, new_imports, rises_in_suppressions, unseen
from patchmill.evaluate.text import Change, applied
from patchmill.kinds.languages import language_of

_CHECKED = {"python": "ruff", "javascript": "oxlint", "typescript": "oxlint", "tsx": "oxlint"}


class Fault(StrEnum):
    """What is wrong with an offer."""

    STALE = "stale"
    DOES_NOT_PARSE = "does_not_parse"
    FINDING_LEFT = "finding_left"
    NEW_FINDING = "new_finding"
    OUT_OF_SCOPE = "out_of_scope"
    LOST = "lost"
    SUPPRESSION = "suppression"
    UNSEEN = "unseen"
    NEW_IMPORT = "new_import"
    BEHAVIOUR = "behaviour"
    NOT_ASKED = "not_asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """One fault of an offer, with the place or the words of it."""

    fault: Fault
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """Changes that are offered together, and the findings (by index) that they are said to have mended."""

    changes: tuple[Change, ...]
    findings: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What the judge says of one offer.

    `gone` counts the case's findings that are no longer reported, `new` what is reported besides.
    """

    text: str | None
    objections: tuple[Objection, ...]
    gone: int
    new: int


def judge(case: Case, offers: Sequence[Offer]) -> list[Opinion]:
    """Give an opinion on each offer, made by itself to the case's source.

    Raises:
        Unavailable: a checker does not run.
    """
    texts = [applied(case.source, offer.changes) for offer in offers]
    readable = [text for text in texts if text is not None]
    tool = _CHECKED.get(language_of(case.path) or "")
    if tool is None or not readable:
        found: list[list[Report]] = [[] for _ in range(len(readable) + 1)]
    else:
        found = reports(
            [case.source, *readable],
            path=case.path,
            tool=tool,
            rules=case.rules if case.findings else (),
            settings=case.asked.get("checkers", {}).get(tool, {}),
        )
    before, *after = found
    remaining = iter(after)
    return [
        _opinion(case, offer, text, before, next(remaining))
        if text is not None
        else Opinion(text=None, objections=(_stale(),), gone=0, new=0)
        for offer, text in zip(offers, texts, strict=True)
    ]


def _stale() -> Objection:
    return Objection(fault=Fault.STALE, detail="the lines that it replaces are not those of the file")


def _opinion(
    case: Case, offer: Offer, text: str, before: Sequence[Report], after: Sequence[Report]
) -> Opinion:
    new = _new(before, after)
    objections = [*_unparsed(case, text, before, after)]
    if not objections:
        objections += [Objection(fault=Fault.NEW_FINDING, detail=words) for words in new]
        objections += _left(case, offer, before, after)
        objections += _annotated(case, text) if case.kind == "annotate" else _strayed(case, offer, text)
    objections += _hidden(case, text)
    return Opinion(
        text=text, objections=tuple(objections), gone=sum(_gone(case, before, after).values()), new=len(new)
    )


def _unparsed(case: Case, text: str, before: Sequence[Report], after: Sequence[Report]) -> list[Objection]:
    """A text that does not parse although the source did."""
    broken = [report for report in after if report.rule == SYNTAX_ERROR]
    if broken and not any(report.rule == SYNTAX_ERROR for report in before):
        detail = f"line {broken[0].line}: {broken[0].words}"
        return [Objection(fault=Fault.DOES_NOT_PARSE, detail=detail)]
    if language_of(case.path) == "python" and parsed(case.source) is not None and parsed(text) is None:
        return [Objection(fault=Fault.DOES_NOT_PARSE, detail="Python's own parser refuses it")]
    return []


def _gone(case: Case, before: Sequence[Report], after: Sequence[Report]) -> Counter[str]:
    """How many findings of each of the case's rules are no longer there, at most as many as it has."""
    asked = Counter(finding["rule"] for finding in case.findings)
    had, has = (Counter(report.rule for report in each) for each in (before, after))
    return Counter({rule: min(count, max(0, had[rule] - has[rule])) for rule, count in asked.items()})


def _left(case: Case, offer: Offer, before: Sequence[Report], after: Sequence[Report]) -> list[Objection]:
    """What is said to be mended and is not, of the rules that the judge's own checkers report."""
    known = {report.rule for report in before}
    claimed = Counter(rule for index in offer.findings if (rule := case.findings[index]["rule"]) in known)
    gone = _gone(case, before, after)
    return [
        Objection(
            fault=Fault.FINDING_LEFT, detail=f"{rule}: {count} said to be mended, {gone[rule]} are gone"
        )
        for rule, count in claimed.items()
        if gone[rule] < count
    ]


def _new(before: Sequence[Report], after: Sequence[Report]) -> list[str]:
    """What is reported now and was not: errors by their words, everything else by its rule."""

    def key(report: Report) -> str:
        is_error = report.rule.startswith(("F", "E9")) or report.rule == "eslint(no-undef)"
        return f"{report.rule} {report.words}" if is_error else report.rule

    more = Counter(map(key, after))
    more.subtract(Counter(map(key, before)))
    return [words for words, count in more.items() if count > 0 and not words.startswith(SYNTAX_ERROR)]


def _strayed(case: Case, offer: Offer, text: str) -> list[Objection]:
    land = territory.of(case)
    objections = [
        Objection(fault=Fault.OUT_OF_SCOPE, detail=f"line {line} has nothing to do with what was asked")
        for line in land.strays(offer.changes)
    ]
    objections += [
        Objection(fault=Fault.LOST, detail=f"gone, though no finding is about it: {line[:80]}")
        for line in land.losses(offer.changes)
    ]
    if language_of(case.path) == "python":
        objections += [
            Objection(fault=Fault.LOST, detail=f"nothing defines {name} any more")
            for name in lost_definitions(case.source, text, case.gold)
        ]
        objections += [
            Objection(fault=Fault.NEW_IMPORT, detail=f"imports {name}") for name in new_imports(case, text)
        ]
    return objections


def _annotated(case: Case, text: str) -> list[Objection]:
    found = [Objection(fault=Fault.BEHAVIOUR, detail=words) for words in changes_behaviour(case.source, text)]
    what = frozenset(case.asked["what"])
    return found + [
        Objection(fault=Fault.NOT_ASKED, detail=words) for words in not_asked(case.source, text, what)
    ]


def _hidden(case: Case, text: str) -> list[Objection]:
    known = [case.source] if case.gold is None else [case.source, case.gold]
    objections = [
        Objection(fault=Fault.UNSEEN, detail=f"brings {name}") for name in unseen(text, known=known)
    ]
    if rises_in_suppressions(text, known=known):
        objections.append(Objection(fault=Fault.SUPPRESSION, detail="silences a checker"))
    return objections
