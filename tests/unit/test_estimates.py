from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from patchmill.budget.models import ModelCapability, capability_of
from patchmill.budget.prices import Price, Rates
from patchmill.call.ceiling import Ceiling, KnownModel, ceiling
from patchmill.call.effort import Effort
from patchmill.call.expectation import Expected, expected
from patchmill.call.fitting import Question
from patchmill.edit.formats import DEFAULT, EDIT_FORMATS
from patchmill.job.experience import UNTRIED, Experience, PastJob, Source, experience_of
from patchmill.job.ladder import Policy, steps
from patchmill.job.record import Finding, KindName, Options, Task, ToolEdit, ToolFix
from patchmill.kinds import KINDS

NOW = datetime(2026, 11, 26, tzinfo=UTC)
POLICY = Policy(model="deepseek-v4-flash", escalation_model="deepseek-v4-pro", fallback_model="deepseek-v3-2")
RATES = {
    "deepseek-v4-flash": Rates(input_picos=140_000, cached_picos=3_000, output_picos=280_000),
    "deepseek-v4-pro": Rates(input_picos=435_000, cached_picos=4_000, output_picos=870_000),
    "deepseek-v3-2": Rates(input_picos=280_000, cached_picos=28_000, output_picos=420_000),
}
CONTEXT = 65_536


def price(model: str, **more: Any) -> Price:
    return Price(model=model, rates=RATES[model], valid_from=NOW - timedelta(days=1), **more)


def known(**changes: KnownModel) -> dict[str, KnownModel]:
    models = {name: KnownModel(able=capability_of(name), prices=[price(name)]) for name in RATES}
    return models | {name.replace("_", "-"): model for name, model in changes.items()}


def finding(index: int = 0, line: int = 1, *, safe: bool = False) -> Finding:
    edit = ToolEdit(start_line=line, start_column=1, end_line=line, end_column=2, text="")
    return Finding(
        index=index,
        tool="ruff",
        rule="B006",
        message="found",
        severity="warning",
        start_line=line,
        end_line=line,
        fixes=(ToolFix(safe=True, edits=(edit,)),) if safe else (),
    )


def question(*findings: Finding, source: str = "x = 1\n", **options: Any) -> Question:
    task = Task(
        kind=KindName.FIX,
        path="a.py",
        language="python",
        source=source,
        findings=findings or (finding(),),
        options=Options(**options),
    )
    return Question(task=task, kind=KINDS[task.kind], edit_format=EDIT_FORMATS[DEFAULT])


def most(asked: Question, models: dict[str, KnownModel] | None = None, policy: Policy = POLICY) -> Ceiling:
    ladder = steps(policy, asked.task.options)
    return ceiling(asked, ladder, models or known(), NOW)


def likely(asked: Question, experience: Experience = UNTRIED[KindName.FIX], **changes: Any) -> Expected:
    chosen = {"rungs": 3, "context_tokens": CONTEXT, "effort": Effort(), "searched": True, **changes}
    return expected(asked, experience, **chosen)


def test_the_most_is_one_call_of_each_lower_rung_and_the_dearest_for_all_others() -> None:
    found = most(question())

    assert found.calls == 8
    assert found.input_tokens is not None
    first = found.input_tokens - 7 * CONTEXT
    assert 300 < first < 4_000
    # The first may grow to 4,096 tokens and the repair to 8,192; all others may be the stronger model's.
    assert found.output_tokens == 4_096 + 8_192 + 6 * 16_384
    by_fallback = first - len("deepseek-v4-flash") + len("deepseek-v3-2")
    lower = by_fallback * 280_000 + 4_096 * 420_000 + CONTEXT * 280_000 + 8_192 * 420_000
    assert found.picos == lower + 6 * (CONTEXT * 435_000 + 16_384 * 870_000)


def test_one_call_is_bounded_by_its_own_prompt() -> None:
    found = most(question(max_calls=1))

    assert (found.calls, found.output_tokens) == (1, 4_096)
    assert found.input_tokens is not None
    assert found.input_tokens < 4_000


def test_of_several_findings_the_bound_holds_whichever_of_them_tools_mend_first() -> None:
    one = most(question(finding(0), max_calls=1)).input_tokens
    both = most(question(finding(0), finding(1), max_calls=1)).input_tokens

    assert one is not None
    assert both is not None
    assert one < both < CONTEXT


def test_without_the_stronger_model_or_its_price_less_is_possible() -> None:
    without = KnownModel(able=capability_of("deepseek-v4-pro"), prices=[])

    refused = most(question(escalate=False))
    unpriced = most(question(), known(deepseek_v4_pro=without))

    assert refused == unpriced
    assert refused.picos is not None
    assert refused.picos < (most(question()).picos or 0)


def test_a_price_that_is_announced_counts_and_one_that_has_ended_does_not() -> None:
    dear = Rates(input_picos=9_000_000, cached_picos=0, output_picos=9_000_000)
    flash = capability_of("deepseek-v4-flash")
    later = replace(price("deepseek-v4-flash"), rates=dear, valid_from=NOW + timedelta(days=9))
    ended = replace(price("deepseek-v4-flash"), rates=dear, valid_to=NOW)
    asked = question(max_calls=1)

    announced = most(
        asked, known(deepseek_v4_flash=KnownModel(able=flash, prices=[price("deepseek-v4-flash"), later]))
    )
    over = most(
        asked, known(deepseek_v4_flash=KnownModel(able=flash, prices=[price("deepseek-v4-flash"), ended]))
    )

    assert announced.picos is not None
    assert announced.picos > 9_000_000 * 4_096
    assert over == most(asked)


def test_without_a_price_of_the_first_model_the_money_is_not_known_but_the_tokens_are() -> None:
    unpriced = {name: KnownModel(able=capability_of(name), prices=[]) for name in RATES}

    found = most(question(), unpriced)

    assert found.picos is None
    assert found.input_tokens is not None


def test_without_a_known_context_only_a_single_call_is_bounded() -> None:
    able = ModelCapability(context_tokens=None, output_tokens=4_096)
    models = known(own_model=KnownModel(able=able, prices=[price("deepseek-v4-flash")]))
    policy = replace(POLICY, model="own-model", fallback_model=None)

    assert most(question(), models, policy).input_tokens is None
    assert most(question(), models, policy).picos is None
    single = most(question(max_calls=1), models, policy)
    assert single.input_tokens is not None
    assert single.picos is not None


def test_reasoning_is_a_part_of_the_longest_answer() -> None:
    policy = replace(POLICY, reasoning=True, repairs=0)

    found = most(question(), policy=policy)

    assert found.output_tokens == 4_096 + 7 * 16_384


def test_findings_that_tools_mend_themselves_are_expected_to_cost_nothing() -> None:
    free = likely(question(finding(0, safe=True)))
    one_left = likely(question(finding(0, safe=True), finding(1)))
    forbidden = likely(question(finding(0, safe=True), tool_fixes=False))

    assert (free.calls, free.input_tokens, free.first) == ((), 0, None)
    assert (len(one_left.calls), one_left.output_tokens) == (1, 110)
    assert len(forbidden.calls) == 1


def test_more_calls_are_expected_where_earlier_jobs_needed_them() -> None:
    learned = Experience(source=Source.PROJECT, jobs=20, calls=2, output_tokens=50, cached_percent=25)

    once = likely(question())
    twice = likely(question(), learned)

    assert len(twice.calls) == 2
    assert twice.calls[0].input_tokens == once.input_tokens
    assert twice.calls[1].input_tokens > once.input_tokens + 50
    assert twice.output_tokens == 100
    assert [call.cached_tokens for call in twice.calls] == [call.input_tokens // 4 for call in twice.calls]
    assert len(likely(question(max_calls=1), learned).calls) == 1
    assert len(likely(question(), learned, rungs=1).calls) == 1


def test_a_job_that_no_prompt_fits_makes_no_call() -> None:
    found = likely(question(source="word = other\n" * 300), context_tokens=300)

    assert found.too_long
    assert found.calls == ()


@pytest.mark.parametrize(("size", "counted"), [(100, 1), (10_000, 0)])
def test_an_estimate_counts_only_so_much_of_what_is_asked(size: int, counted: int) -> None:
    seen: list[str] = []

    def count(text: str) -> int:
        seen.append(text)
        return len(text) // 2

    effort = Effort(count, counted_bytes=1_000)
    tokens = effort.count("x" * size)

    assert len(seen) == counted
    assert tokens == (50 if counted else 2_500)


def test_what_is_beyond_the_bytes_is_told_by_the_size_of_what_was_counted() -> None:
    effort = Effort(len, counted_bytes=1_000)
    assert effort.count("x" * 996) == 996

    assert 9_900 <= effort.count("x" * 10_000) <= 10_000


def test_a_file_that_would_take_long_to_search_is_not_searched_and_later_ones_are() -> None:
    effort = Effort(searched_lines=5_000)
    large = question(*(finding(index, index + 1) for index in range(100)), source="x = 1\n" * 1_000)

    assert not effort.may_search(large.task)
    assert effort.may_search(question().task)


def test_experience_is_the_middle_of_enough_jobs() -> None:
    past = [
        PastJob(calls=1, input_tokens=100, cached_tokens=50, output_tokens=tokens, units=2)
        for tokens in (40, 60, 80, 100, 120, 140, 160, 180, 2_000, 5_000)
    ]

    found = experience_of(past, Source.PROJECT)

    assert found == Experience(source=Source.PROJECT, jobs=10, calls=1, output_tokens=70, cached_percent=50)
    assert experience_of(past[1:], Source.PROJECT) is None
