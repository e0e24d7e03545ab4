"""What came of one case in one edit format: read from the job's documents, and judged independently."""

from collections.abc import Sequence
from dataclasses import dataclass

from patchmill.budget.prices import from_usd
from patchmill.client.documents import Call, Job, Suggestion
from patchmill.evaluate.cases import Case
from patchmill.evaluate.judge import Objection, Offer, Opinion, judge
from patchmill.evaluate.text import Change, applied, lines_of

_APPLIES = "applies"
_MALFORMED = frozenset({"unterminated", "unknown_tool"})
_UNLOCATED = frozenset(
    {"not_found", "ambiguous", "outside_scope", "overlap", "empty_search", "no_effect"} | _MALFORMED
)
_BEGINNING = 200
_DECLINED = "model_declined"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A check that an edit failed, or why it had no place in the file; and the words of it."""

    name: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One case in one edit format.

    `end` is the job's outcome or the code of its error. `well_formed` and `located` are about the first
    answer: it could be read whole, and each of its edits had one place in the file. `equal` compares all
    that was offered with the right answer, and is None where there is none; `alike` sets blank lines and
    blanks at line ends aside. `escapes` are the judge's objections to what was offered as verified.
    `refusals` are the checks that edits failed, with their words; `answers` how each answer begins;
    `offered` is the file with all that is offered.
    """

    case: Case
    edit_format: str
    job: str
    end: str
    answered: bool
    well_formed: bool
    located: bool
    verified: bool
    equal: bool | None
    alike: bool | None
    findings: int
    findings_verified: int
    findings_gone: int
    new_findings: int
    escapes: tuple[Objection, ...]
    refusals: tuple[Refusal, ...]
    answers: tuple[str, ...]
    offered: str
    calls: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_picos: int
    uncertain_picos: int
    total_ms: int


def read(case: Case, job: Job, calls: Sequence[Call], *, edit_format: str | None) -> Result:
    """Read what became of a case, and have what it offers as verified judged.

    Raises:
        Unavailable: a checker of the judge does not run.
    """
    offers = offers_of(job)
    opinions = judge(case, offers) if offers else []
    whole = opinions[0] if opinions else None
    offered = _offered(case, job, whole)
    answers = [call for call in calls if call["outcome"] == "answered"]
    end = job["outcome"] or (job["error"] or {"code": job["state"]})["code"]
    reasons = _reasons(answers[:1])
    proposed = bool(answers) and bool(
        job["suggestions"] or answers[0]["rejected"] or end in {_DECLINED, "no_change"}
    )
    well_formed = proposed and reasons.isdisjoint(_MALFORMED)
    usage = job["usage"]
    return Result(
        case=case,
        edit_format=edit_format or _format_of(calls),
        job=job["id"],
        end=end,
        answered=bool(answers),
        well_formed=well_formed,
        located=well_formed and reasons.isdisjoint(_UNLOCATED),
        verified=end == "verified",
        equal=None if case.gold is None else offered == case.gold,
        alike=None if case.gold is None else _plain(offered) == _plain(case.gold),
        findings=len(case.findings),
        findings_verified=sum(finding["status"] == "verified" for finding in job["findings"]),
        findings_gone=whole.gone if whole else 0,
        new_findings=whole.new if whole else 0,
        escapes=tuple(dict.fromkeys(one for opinion in opinions for one in opinion.objections)),
        refusals=_refused(calls),
        answers=tuple((call["reply"] or "")[:_BEGINNING] for call in answers),
        offered=offered,
        calls=usage["calls"],
        input_tokens=usage["input_tokens"],
        cached_tokens=usage["cached_tokens"],
        output_tokens=usage["output_tokens"],
        cost_picos=from_usd(usage["cost_usd"]),
        uncertain_picos=from_usd(usage["uncertain_usd"]),
        total_ms=job["timings"]["total_ms"] or 0,
    )


def offers_of(job: Job) -> list[Offer]:
    """What a job offers as verified: all together, and if there is more than one, each group by itself."""
    verified = [each for each in job["suggestions"] if each["status"] == "verified"]
    if not verified:
        return []
    groups = _groups(verified)
    offers = [_offer(verified)]
    return [*offers, *map(_offer, groups)] if len(groups) > 1 else offers


def _groups(suggestions: Sequence[Suggestion]) -> list[list[Suggestion]]:
    """Suggestions with those that they are nothing without."""
    groups: list[list[Suggestion]] = []
    for suggestion in suggestions:
        linked = {suggestion["id"], *suggestion["requires"]}
        joined = [
            group
            for group in groups
            if any(one["id"] in linked or suggestion["id"] in one["requires"] for one in group)
        ]
        groups = [group for group in groups if group not in joined]
        groups.append([*(one for group in joined for one in group), suggestion])
    return groups


def _offer(suggestions: Sequence[Suggestion]) -> Offer:
    return Offer(
        changes=tuple(map(_change, suggestions)),
        findings=frozenset(index for each in suggestions for index in each["findings"]),
    )


def _change(suggestion: Suggestion) -> Change:
    return Change(
        start=suggestion["start_line"],
        end=suggestion["end_line"],
        original=suggestion["original"],
        replacement=suggestion["replacement"],
    )


def _offered(case: Case, job: Job, whole: Opinion | None) -> str:
    """The file with all that is offered, verified or not."""
    if all(each["status"] == "verified" for each in job["suggestions"]) and whole and whole.text is not None:
        return whole.text
    made = applied(case.source, [_change(each) for each in job["suggestions"]])
    return case.source if made is None else made


def _refused(calls: Sequence[Call]) -> tuple[Refusal, ...]:
    return tuple(
        Refusal(
            name=reason if one["check"] == _APPLIES and reason in _UNLOCATED else one["check"],
            detail=one["detail"],
        )
        for call in calls
        for one in call["rejected"]
        for reason in [one["detail"].partition(":")[0]]
    )


def _reasons(calls: Sequence[Call]) -> set[str]:
    return {
        one["detail"].partition(":")[0]
        for call in calls
        for one in call["rejected"]
        if one["check"] == _APPLIES
    }


def _format_of(calls: Sequence[Call]) -> str:
    """The edit format as the version of the prompt tells it: `kind/format/digest`."""
    named = next((call["prompt_version"] for call in calls if call["prompt_version"]), None)
    return named.split("/")[1] if named else "default"


def _plain(text: str) -> list[str]:
    """The lines that have something, without blanks at their ends."""
    return [line.rstrip() for line in lines_of(text) if line.strip()]
