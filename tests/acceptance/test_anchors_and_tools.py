import json
from collections.abc import Iterator
from typing import Any

import pytest

from patchmill.edit.anchors import with_anchor
from tests.support.edit_answers import json_edits, one_call
from tests.support.requests import annotate, mutable_default, unique
from tests.support.stack import Stack

pytestmark = pytest.mark.timeout(240)

FORMATS = ("anchored_lines", "tool")
each_format = pytest.mark.parametrize("name", FORMATS)


@pytest.fixture(autouse=True)
def plain_stand_in(service: Stack) -> Iterator[None]:
    service.behave()
    yield
    service.behave()


def scripted(service: Stack, *contents: str) -> None:
    service.behave(script=[{"match": None, "content": content, "times": 1} for content in contents])


def calls(service: Stack, job: dict[str, Any]) -> list[dict[str, Any]]:
    with service.http() as http:
        listed: list[dict[str, Any]] = http.get(f"/v1/jobs/{job['id']}/calls").json()["data"]
    return listed


@each_format
def test_a_finding_annotations_and_an_instruction_are_served(service: Stack, name: str) -> None:
    options = {"options": {"edit_format": name}}
    source = f'"""Module {unique()}."""\n\n\ndef f(a=1):\n    return "x"\n'
    instruction = mutable_default(unique(), instruction="rename into to target", **options) | {"findings": []}

    mended = service.run(mutable_default(unique(), **options))
    annotated, instructed = service.run(annotate(source, **options)), service.run(instruction)

    assert [job["outcome"] for job in (mended, annotated, instructed)] == [
        "verified",
        "verified",
        "unchecked",
    ]
    for job in (mended, annotated, instructed):
        (call,) = calls(service, job)
        assert call["prompt_version"].split("/")[1] == name
        if name == "tool":
            assert call["finish_reason"] == "tool_calls"
            assert json.loads(call["reply"])["tool_calls"][0]["name"] == "propose_edits"
        else:
            assert "@@ replace " in call["reply"]


def test_a_prompt_shows_the_anchors_of_the_lines(service: Stack) -> None:
    request = mutable_default(unique(), options={"edit_format": "anchored_lines"})

    (call,) = calls(service, service.run(request))

    lines = request["file"]["content"].splitlines(keepends=True)
    shown = "".join(with_anchor(number, line) for number, line in enumerate(lines, start=1))
    assert f"```\n{shown}```" in call["messages"][1]["content"]


def test_a_wrong_anchor_is_told_to_the_model_which_then_mends_it(service: Stack) -> None:
    scripted(service, "Title\n\n@@ replace 1zz\nx = 1\n@@ end\n")

    job = service.run(mutable_default(unique(), options={"edit_format": "anchored_lines"}))

    assert (job["outcome"], job["usage"]["calls"]) == ("verified", 2)
    first, second = calls(service, job)
    assert first["rejected"][0]["detail"].startswith("not_found: 1zz is no line of the file: line 1 is 1")
    assert [message["role"] for message in second["messages"]] == ["system", "user", "assistant", "user"]


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (one_call("{}", name="run_shell"), "unknown_tool"),
        (one_call('{"edits": []}'), None),
        (one_call(json_edits("T", []).replace("[]", '[{"search": ["absent"], "replace": []}]')), "not_found"),
    ],
    ids=["unknown function", "no edits", "not in the file"],
)
def test_a_call_that_is_refused_is_answered_as_a_tool_answers(
    service: Stack, reply: str, reason: str | None
) -> None:
    scripted(service, reply)

    job = service.run(mutable_default(unique(), options={"edit_format": "tool"}))

    assert (job["outcome"], job["usage"]["calls"]) == ("verified", 2)
    first, second = calls(service, job)
    assert [one["detail"].partition(":")[0] for one in first["rejected"]] == ([reason] if reason else [])
    assert [message["role"] for message in second["messages"]] == ["system", "user", "assistant", "tool"]
    assert json.loads(second["messages"][2]["content"]) == json.loads(reply)


@pytest.mark.parametrize("arguments", ['{"edits": [{"search"', "[]"])
def test_arguments_that_are_no_object_go_back_as_words(service: Stack, arguments: str) -> None:
    scripted(service, one_call(arguments))

    job = service.run(mutable_default(unique(), options={"edit_format": "tool"}))

    assert (job["outcome"], job["usage"]["calls"]) == ("verified", 2)
    first, second = calls(service, job)
    assert first["rejected"][0]["detail"].startswith("unterminated: ")
    assert second["messages"][2:3] == [{"role": "assistant", "content": arguments}]
