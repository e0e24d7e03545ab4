"""The pipeline measured by itself: right answers come through, spoilt ones do not.

`make eval-proof` runs all cases and 5,000 spoilt answers; docs/evaluation.md has what came of it.
"""

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from patchmill.dev.standin.mutations import KINDS
from patchmill.dev.standin.players import Oracle, Saboteur
from patchmill.edit.formats import EDIT_FORMATS
from patchmill.edit.protocol import RejectionReason
from patchmill.evaluate.result import Result
from patchmill.evaluate.running import Plan
from patchmill.verify.evidence import CheckName
from tests.support.evaluated import evaluated, known_answers, played, some_cases, told

CASES = int(os.environ.get("PATCHMILL_EVAL_CASES", "8"))
MUTATIONS = int(os.environ.get("PATCHMILL_MUTATIONS", "60"))
SEED = int(os.environ.get("PATCHMILL_EVAL_SEED", "20261127"))
DEADLINE_S = 150 + CASES * 10 + MUTATIONS * 2
FORMATS = tuple(EDIT_FORMATS)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(DEADLINE_S + 60)]

# Right answers that a job does not take, each for the reason that docs/evaluation.md gives.
EXPLAINED: dict[str, frozenset[str]] = {
    "annotate-027-types": frozenset(FORMATS),
    "npm-packages-025-unicorn-catch-error-name": frozenset(FORMATS),
    "python-files-124-up036": frozenset(FORMATS),
    "ruff-fixtures-130-ruf101": frozenset(FORMATS),
    "by-hand-048-f811": frozenset({"anchored_lines"}),
}

_KIND = re.compile(r"Sabotage: (\w+)")
_NAMES = frozenset({*map(str, CheckName), *map(str, RejectionReason), "unknown_tool"})


@pytest.mark.parametrize("edit_format", FORMATS)
def test_right_answers_come_through(
    edit_format: str, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    cases = some_cases(CASES, seed=SEED)
    with played(database_url, redis_url, tmp_path, Oracle(known_answers())) as stack:
        results = evaluated(stack, Plan(cases=cases, edit_formats=[edit_format]), deadline_s=DEADLINE_S)

    missed = [result for result in results if not (result.verified and result.alike)]
    explained = {case for case, names in EXPLAINED.items() if edit_format in names}
    print(f"{edit_format}: {len(results) - len(missed)} of {len(results)} verified and equal")  # noqa: T201 - a figure
    assert len(results) == len(cases)
    assert {result.case.id: result.refusals for result in missed if result.case.id not in explained} == {}
    assert not any(result.escapes for result in results), told(results)
    assert len(explained) * 100 <= len(known_answers().every)  # at least 99 % come through


def test_nothing_spoilt_escapes_and_each_refusal_names_its_check(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    results: list[Result] = []
    with played(database_url, redis_url, tmp_path, Saboteur(known_answers(), seed=SEED)) as stack:
        for turn in range(MUTATIONS):
            cases = some_cases(MUTATIONS // len(FORMATS), seed=SEED + turn)
            plan = Plan(cases=cases, edit_formats=FORMATS, max_calls=3)
            results += evaluated(stack, plan, deadline_s=DEADLINE_S)
            if len(_kinds(results)) >= MUTATIONS:
                break

    print(_table(results))  # noqa: T201 - the figures
    assert set(_kinds(results)) == set(KINDS)
    assert len(_kinds(results)) >= MUTATIONS
    assert not any(result.escapes for result in results), told(results)
    assert {refusal.name for result in results for refusal in result.refusals} <= _NAMES
    for result in (each for each in results if _kinds([each])):  # others had no way to be written as edits
        # An answer that ends between two edits mends a part, and has no edit to refuse for the others.
        mended_in_part = result.findings_verified > 0
        assert result.verified or mended_in_part or result.refusals or not result.located, result


def _kinds(results: Sequence[Result]) -> list[str]:
    """The ways in which answers were spoilt, one for each answer."""
    return [found[1] for result in results for answer in result.answers if (found := _KIND.search(answer))]


def _table(results: Sequence[Result]) -> str:
    """How many answers of each kind there were, and what became of jobs that ended with one."""
    answers = Counter(_kinds(results))
    last = {kind: [each for each in results if _kinds([each])[-1:] == [kind]] for kind in KINDS}
    rows = [
        f"{kind:<20}{answers[kind]:>6} answers; of {len(last[kind]):>5} jobs that ended with one "
        f"{sum(each.verified for each in last[kind]):>4} verified, "
        f"{sum(each.verified and bool(each.alike) for each in last[kind]):>4} of these equal to the gold"
        for kind in KINDS
    ]
    refused = Counter(refusal.name for result in results for refusal in result.refusals)
    escaped = sum(bool(result.escapes) for result in results)
    return "\n".join(
        [
            f"{sum(answers.values())} spoilt answers to {len(results)} jobs, {escaped} escaped",
            *rows,
            "refused by: " + ", ".join(f"{name} {count}" for name, count in refused.most_common()),
        ]
    )
