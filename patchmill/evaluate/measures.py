"""Results summed up: how far answers come, what they cost, and what of it was wrong."""

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import unified_diff
from typing import Any

from patchmill.budget.prices import to_usd
from patchmill.evaluate.result import Result
from patchmill.evaluate.text import lines_of

Measures = dict[str, Any]
# How far an answer comes, each at most as far as the one before but for the last: names of the measures.
STEPS = ("answered", "well_formed", "located", "verified", "equal_to_gold")


def measure(results: Sequence[Result]) -> Measures:
    """Sum up; money is exact, and what is per verified case counts those that failed, too."""
    cost = sum(result.cost_picos for result in results)
    uncertain = sum(result.uncertain_picos for result in results)
    verified = sum(result.verified for result in results)
    total_ms = sum(result.total_ms for result in results)
    return {
        "cases": len(results),
        "answered": sum(result.answered for result in results),
        "well_formed": sum(result.well_formed for result in results),
        "located": sum(result.located for result in results),
        "verified": verified,
        "with_gold": sum(result.equal is not None for result in results),
        "equal_to_gold": sum(bool(result.equal) for result in results),
        "equal_but_for_layout": sum(bool(result.alike) for result in results),
        "findings": sum(result.findings for result in results),
        "findings_verified": sum(result.findings_verified for result in results),
        "findings_gone": sum(result.findings_gone for result in results),
        "new_findings": sum(result.new_findings for result in results),
        "escaped": sum(bool(result.escapes) for result in results),
        "calls": sum(result.calls for result in results),
        "input_tokens": sum(result.input_tokens for result in results),
        "cached_tokens": sum(result.cached_tokens for result in results),
        "output_tokens": sum(result.output_tokens for result in results),
        "median_output_tokens": _median(result.output_tokens for result in results),
        "cost_usd": to_usd(cost),
        "uncertain_usd": to_usd(uncertain),
        "cost_per_verified_usd": to_usd(cost // verified) if verified else None,
        "seconds_per_verified": round(total_ms / verified / 1000, 3) if verified else None,
        "median_ms": _median(result.total_ms for result in results),
        "refused_by": _refused(results),
        "ends": dict(Counter(result.end for result in results).most_common()),
    }


def by_format(results: Sequence[Result]) -> dict[str, Measures]:
    """Sum up for each edit format, in the order of the first result."""
    return _grouped(results, lambda result: (result.edit_format,))


def by_rule(results: Sequence[Result]) -> dict[str, Measures]:
    """Sum up for each rule; a case of several rules counts for each of them."""
    grouped = _grouped(results, lambda result: result.case.rules)
    return dict(sorted(grouped.items()))


def by_kind(results: Sequence[Result]) -> dict[str, Measures]:
    """Sum up for each kind of job."""
    return _grouped(results, lambda result: (result.case.kind,))


def _grouped(results: Sequence[Result], names: Callable[[Result], Sequence[str]]) -> dict[str, Measures]:
    groups: dict[str, list[Result]] = {}
    for result in results:
        for name in names(result):
            groups.setdefault(name, []).append(result)
    return {name: measure(group) for name, group in groups.items()}


def _median(numbers: Iterable[int]) -> int | None:
    listed = list(numbers)
    return round(statistics.median(listed)) if listed else None


def _diff(result: Result) -> str:
    """What is offered, for whoever looks into an objection."""
    old, new = (lines_of(text) for text in (result.case.source, result.offered))
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in unified_diff(old, new, n=1))


def _refused(results: Sequence[Result]) -> dict[str, int]:
    """How many edits failed which check, or why they had no place, the most frequent first."""
    return dict(Counter(one.name for result in results for one in result.refusals).most_common())


def document(results: Sequence[Result], about: Mapping[str, Any]) -> dict[str, Any]:
    """Give the whole evaluation as JSON, with a row for each case and edit format."""
    ordered = sorted(results, key=lambda result: (result.case.id, result.edit_format))
    return {
        **about,
        "total": measure(ordered),
        "by_edit_format": by_format(results),
        "by_kind": by_kind(ordered),
        "by_rule": by_rule(ordered),
        "results": [_row(result) for result in ordered],
    }


def _row(result: Result) -> dict[str, Any]:
    return {
        "case": result.case.id,
        "edit_format": result.edit_format,
        "rules": list(result.case.rules),
        "job": result.job,
        "end": result.end,
        "answered": result.answered,
        "well_formed": result.well_formed,
        "located": result.located,
        "verified": result.verified,
        "equal_to_gold": result.equal,
        "equal_but_for_layout": result.alike,
        "findings": result.findings,
        "findings_verified": result.findings_verified,
        "findings_gone": result.findings_gone,
        "new_findings": result.new_findings,
        "escapes": [{"fault": one.fault, "detail": one.detail} for one in result.escapes],
        "refused_by": _refused([result]),
        "refused": [{"check": one.name, "detail": one.detail} for one in result.refusals],
        "answers": list(result.answers),
        "diff": _diff(result) if result.escapes else None,
        "calls": result.calls,
        "input_tokens": result.input_tokens,
        "cached_tokens": result.cached_tokens,
        "output_tokens": result.output_tokens,
        "cost_usd": to_usd(result.cost_picos),
        "uncertain_usd": to_usd(result.uncertain_picos),
        "total_ms": result.total_ms,
        "origin": result.case.origin,
        "licence": result.case.licence,
    }
