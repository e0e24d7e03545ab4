import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.requests import annotate, mutable_default, unique
from tests.support.stack import Stack

pytestmark = pytest.mark.timeout(240)


# The stand-in takes four bytes for a token; a run of one character is far fewer tokens by the vocabulary.
def rules(lines: int, width: int, indent: str = "") -> str:
    return "\n".join([f"{indent}# " + "=" * width] * lines)


BODY = '''"""Module {number}."""

{above}

def collect(item, into=[]):
    """Collect items."""
{inside}
    into.append(item)
    return into
'''


@pytest.fixture(autouse=True)
def plain_stand_in(service: Stack) -> Iterator[None]:
    service.behave()
    yield
    service.behave()


def request(*, above: str = "", inside: str = "", **more: Any) -> dict[str, Any]:
    body = mutable_default(unique(), **more)
    source = BODY.format(number=unique(), above=above, inside=inside)
    line = source.splitlines().index("def collect(item, into=[]):") + 1
    body["file"]["content"] = source
    body["findings"][0] |= {"start_line": line, "end_line": line}
    return body


def prompts(service: Stack, job: dict[str, Any]) -> list[str]:
    with service.http() as http:
        calls = http.get(f"/v1/jobs/{job['id']}/calls").json()["data"]
    return [json.dumps(call["messages"]) for call in calls]


def test_a_file_that_cannot_be_annotated_in_parts_ends_before_any_call_with_the_figures(
    service: Stack,
) -> None:
    source = f'"""Module {unique()}."""\n\n\ndef f(a=1):\n    return a\n' + "word = 1\n" * 30_000

    job = service.run(annotate(source))

    assert (job["state"], job["error"]["code"], job["error"]["retryable"]) == (
        "failed",
        "context_too_long",
        False,
    )
    details = job["error"]["details"]
    assert details["estimated_tokens"] + details["max_tokens"] > details["context_tokens"] == 65_536
    assert details["tried"] == [
        f"the whole file and 0 of 0 context files: about {details['estimated_tokens']} tokens"
    ]
    assert job["usage"]["calls"] == 0
    assert prompts(service, job) == []


def test_context_files_that_do_not_fit_are_left_out_from_the_last(service: Stack) -> None:
    context = [
        {"path": "small.py", "content": "a = 1\n"},
        {"path": "large.py", "content": "a = 1\n" * 30_000},
    ]

    job = service.run(request(context=context))

    assert job["outcome"] == "verified"
    (prompt,) = prompts(service, job)
    assert "small.py" in prompt
    assert "large.py" not in prompt


def test_what_the_gateway_finds_too_long_is_asked_once_more_with_less(service: Stack) -> None:
    job = service.run(request(above=rules(20, 14_300)))

    assert job["outcome"] == "verified"
    first, second = prompts(service, job)
    assert "whole:" in first
    assert "excerpts of" in second
    assert job["usage"]["input_tokens"] < 5_000


def test_what_the_gateway_finds_too_long_twice_ends_with_both_in_the_error(service: Stack) -> None:
    asked = service.truth()["requests"]

    job = service.run(request(above=rules(20, 20_000), inside=rules(3, 140_000, "    ")))

    error = job["error"]
    assert (error["code"], error["retryable"]) == ("context_too_long", False)
    assert [form.partition(" and 0 of")[0] for form in error["details"]["tried"]] == [
        "the whole file",
        "the imports and the enclosing functions",
    ]
    assert all(form.endswith("refused by the gateway") for form in error["details"]["tried"])
    assert job["usage"]["cost_usd"] == "0"
    assert service.truth()["requests"] - asked == 2


def test_an_answer_from_excerpts_that_fails_brings_the_whole_file_behind_what_was_said(
    service: Stack,
) -> None:
    service.behave(script=[{"match": None, "content": "I would have to see more.", "times": 1}])

    job = service.run(request(above="word = 1\n" * 200))

    assert (job["outcome"], job["usage"]["calls"]) == ("verified", 2)
    first, second = prompts(service, job)
    assert (first.count("word = 1"), second.count("word = 1")) == (0, 200)
    assert second.startswith(first.removesuffix("]"))
