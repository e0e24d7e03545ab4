from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchmill.call.excerpts import WHOLE_FILE_LINES
from patchmill.call.fitting import WIDENED_BYTES, Prompt, Question, TooLong, fitted, refused_twice
from patchmill.call.tokens import count_tokens
from patchmill.edit.formats import EDIT_FORMATS
from patchmill.job.record import ContextFile, ErrorCode, Finding, KindName, Task
from patchmill.kinds import ANNOTATE, FIX

FUNCTION = "def target(a=[]):\n" + "    a.append('word')\n" * 30 + "    return a\n"
FILLER = "filler = 1\n" * (WHOLE_FILE_LINES + 10)
LONG = f"import os\n\n\n{FUNCTION}\n\n{FILLER}"
CONTEXT = tuple(ContextFile(path=f"c{number}.py", content=f"name{number} = 1\n" * 200) for number in range(2))
WANTED = 1_024
COUNT = cache(count_tokens)


def finding(line: int = 4, end: int | None = None) -> Finding:
    return Finding(
        index=0,
        tool="ruff",
        rule="B006",
        message="no",
        severity="warning",
        start_line=line,
        end_line=end or line,
    )


def question(source: str = LONG, **more: Any) -> Question:
    task = Task(kind=KindName.FIX, path="a.py", language="python", source=source, findings=(finding(),))
    return Question(task=replace(task, **more), kind=FIX, edit_format=EDIT_FORMATS["search_replace"])


def fit(asked: Question, context_tokens: int | None, wanted: int = WANTED, **more: Any) -> Prompt:
    found = fitted(asked, context_tokens=context_tokens, max_tokens=wanted, **{"count": COUNT, **more})
    assert isinstance(found, Prompt), found
    return found


def too_long(asked: Question, context_tokens: int, wanted: int = WANTED, **more: Any) -> TooLong:
    found = fitted(asked, context_tokens=context_tokens, max_tokens=wanted, **{"count": COUNT, **more})
    assert isinstance(found, TooLong)
    return found


def text(prompt: Prompt) -> str:
    return "".join(message["content"] for message in prompt.messages)


def tokens(prompt: Prompt) -> int:
    return sum(COUNT(message["content"]) for message in prompt.messages)


def never(_: str) -> int:
    pytest.fail("nothing needs to be counted")


def test_what_fits_by_its_bytes_is_not_counted() -> None:
    prompt = fit(question(), 65_536, count=never)

    assert (prompt.max_tokens, prompt.estimated_tokens) == (WANTED, None)


def test_without_a_known_context_anything_fits() -> None:
    assert fit(question("a = 1\n" * 10**5), None, count=never).max_tokens == WANTED


def test_a_prompt_shrinks_step_by_step_until_it_fits() -> None:
    asked = question(source=f"import os\n\n\n{FUNCTION}", context=CONTEXT)
    shown: list[str] = []
    for room in range(8_000, 100, -50):
        found = fitted(asked, context_tokens=room, max_tokens=10, count=COUNT)
        if isinstance(found, TooLong):
            break
        if str(found.question) not in shown:
            shown.append(str(found.question))
        assert found.estimated_tokens is None or found.estimated_tokens + 10 <= room
        assert tokens(found) + 10 <= room

    assert shown == [
        "the whole file and 2 of 2 context files",
        "the imports and the enclosing functions and 1 of 2 context files",
        "the imports and the enclosing functions and 0 of 2 context files",
        "the lines around what is asked for and 0 of 2 context files",
    ]


def test_the_last_context_file_goes_first() -> None:
    whole = fit(question(context=CONTEXT), 65_536)

    prompt = fit(question(context=CONTEXT), tokens(whole))

    assert "c0.py" in text(prompt)
    assert "c1.py" not in text(prompt)


@settings(deadline=None, max_examples=60)
@given(st.integers(300, 9_000), st.integers(1, 5_000), st.sampled_from([FUNCTION, LONG]), st.integers(0, 2))
def test_what_is_given_fits_and_keeps_the_end_of_the_prompt(
    room: int, wanted: int, source: str, answers: int
) -> None:
    asked = question(source, context=CONTEXT)
    for _ in range(answers):
        asked = asked.repaired("an answer", "not_found")

    found = fitted(asked, context_tokens=room, max_tokens=wanted, count=COUNT)

    if isinstance(found, TooLong):
        assert found.estimated_tokens + min(FIX.floor_tokens, wanted) > room
    else:
        assert tokens(found) + found.max_tokens <= room
        assert min(FIX.floor_tokens, wanted) <= found.max_tokens <= wanted
        assert "Findings to fix:" in text(found)
        assert (found.messages[-1]["content"].endswith("in the same form.")) == bool(answers)


def test_an_answer_may_be_shorter_before_a_job_is_given_up() -> None:
    annotate = replace(question(kind=KindName.ANNOTATE, findings=()), kind=ANNOTATE)
    size = tokens(fit(annotate, 65_536))

    prompt = fit(annotate, size + ANNOTATE.floor_tokens + 200, ANNOTATE.max_tokens)

    assert ANNOTATE.floor_tokens <= prompt.max_tokens <= ANNOTATE.floor_tokens + 200
    assert LONG in text(prompt)


def test_annotations_of_a_file_that_does_not_fit_end_with_the_figures() -> None:
    annotate = replace(question("a = 1\n" * 30_000, kind=KindName.ANNOTATE, findings=()), kind=ANNOTATE)

    found = too_long(annotate, 65_536, ANNOTATE.max_tokens)

    fail = found.fail()
    assert fail.code is ErrorCode.CONTEXT_TOO_LONG
    assert not fail.retryable
    assert fail.details["estimated_tokens"] > 65_536
    assert fail.details["max_tokens"] == ANNOTATE.floor_tokens
    assert fail.details["context_tokens"] == 65_536
    assert fail.details["tried"] == [
        f"the whole file and 0 of 0 context files: about {found.estimated_tokens} tokens"
    ]


def test_a_finding_over_more_lines_than_fit_ends_with_every_form_that_was_tried() -> None:
    found = too_long(question("a = 1\n" * 30_000, findings=(finding(1, 30_000),), context=CONTEXT), 65_536)

    assert len(found.tried) == 5


def test_after_a_failed_answer_the_whole_file_comes_and_the_beginning_stays() -> None:
    first = fit(question(), 65_536)

    second = fit(first.question.repaired("one", "not_found"), 65_536)
    third = fit(second.question.repaired("two", "still there"), 65_536)

    assert second.messages[: len(first.messages)] == first.messages
    assert third.messages[: len(second.messages)] == second.messages
    assert text(first).count("filler") == 0
    assert text(second).count(FILLER) == text(third).count(FILLER) == 1


@pytest.mark.parametrize(
    ("source", "shown"),
    [(FUNCTION, "the whole file was shown"), (LONG + "# x\n" * WIDENED_BYTES, "the file is large")],
)
def test_the_whole_file_does_not_come_when(source: str, shown: str) -> None:
    repaired = fit(question(source).repaired("one", "not_found"), 65_536)

    assert repaired.messages[-1]["content"].count("File `a.py`") == 0, shown


def test_the_whole_file_stays_away_where_only_the_rest_fits() -> None:
    first = fit(question(), 65_536)
    narrow = tokens(first) + WANTED + 150

    repaired = fit(first.question.repaired("one", "not_found"), narrow)
    again = fit(repaired.question.repaired("two", "not_found"), 65_536)

    assert "filler" not in text(again)
    assert again.messages[: len(repaired.messages)] == repaired.messages


def test_after_a_refusal_the_prompt_is_smaller_by_a_quarter() -> None:
    first = fit(question(context=CONTEXT), 65_536)

    second = fit(question(context=CONTEXT), 65_536, refused=first)

    assert tokens(second) <= tokens(first) * 3 // 4


def test_a_prompt_refused_in_its_smallest_form_ends_with_the_figures() -> None:
    first = fit(question("a = 1\n", kind=KindName.ANNOTATE, findings=()), 65_536)

    found = too_long(first.question, 65_536, refused=first)

    assert found.estimated_tokens > 0
    assert [line.endswith("refused by the gateway") for line in found.tried] == [True]


def test_two_refusals_are_both_told() -> None:
    first = fit(question(context=CONTEXT), 65_536)
    second = fit(question(context=CONTEXT), 65_536, refused=first)

    fail = refused_twice(first, second).fail()

    assert fail.code is ErrorCode.CONTEXT_TOO_LONG
    assert len(fail.details["tried"]) == 2
    assert "what the gateway takes" in fail.message


def test_a_schema_counts_towards_the_prompt() -> None:
    asked = question("a = 1\n")
    in_json = replace(asked, edit_format=EDIT_FORMATS["json"])
    needed = tokens(fit(in_json, 65_536))

    assert isinstance(fitted(in_json, context_tokens=needed + 100, max_tokens=1), TooLong)
