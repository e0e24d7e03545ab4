import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.edit_answers import lines_of
from tests.support.requests import annotate, mutable_default, unique
from tests.support.stack import Stack

pytestmark = pytest.mark.timeout(240)

JSON = {"options": {"edit_format": "json"}}
SEARCH = 'def collect(item, into=[]):\n    """Collect items."""\n'
REPLACE = 'def collect(item, into=None):\n    """Collect items."""\n    if into is None:\n        into = []\n'


@pytest.fixture(autouse=True)
def plain_stand_in(service: Stack) -> Iterator[None]:
    service.behave()
    yield
    service.behave()


def scripted(service: Stack, *contents: str) -> None:
    service.behave(script=[{"match": None, "content": content, "times": 1} for content in contents])


def written(search: str, replace: str) -> str:
    edit = {"search": lines_of(search), "replace": lines_of(replace)}
    return json.dumps({"title": "A title", "explanation": "Why.", "edits": [edit], "no_change": None})


def replies(service: Stack, job: dict[str, Any]) -> list[str]:
    with service.http() as http:
        calls = http.get(f"/v1/jobs/{job['id']}/calls").json()["data"]
    return [call["reply"] for call in calls]


def test_a_finding_is_mended_by_an_answer_in_json(service: Stack) -> None:
    job = service.run(mutable_default(unique(), **JSON))

    assert (job["state"], job["outcome"]) == ("succeeded", "verified")
    (reply,) = replies(service, job)
    # The stand-in writes JSON only where the request asks for it, not merely the prompt.
    assert json.loads(reply)["edits"]
    (suggestion,) = job["suggestions"]
    assert suggestion["title"] == json.loads(reply)["title"]


def test_annotations_and_instructions_come_as_json_too(service: Stack) -> None:
    source = f'"""Module {unique()}."""\n\n\ndef f(a=1):\n    return "x"\n'
    instruction = mutable_default(unique(), instruction="rename into to target", **JSON) | {"findings": []}

    annotated, instructed = service.run(annotate(source, **JSON)), service.run(instruction)

    assert (annotated["outcome"], instructed["outcome"]) == ("verified", "unchecked")
    assert all(
        json.loads(reply)["edits"] for job in (annotated, instructed) for reply in replies(service, job)
    )


def test_a_model_that_finds_nothing_to_change_declines_by_its_reason(service: Stack) -> None:
    scripted(service, json.dumps({"title": "No", "explanation": "", "edits": [], "no_change": "as intended"}))

    job = service.run(mutable_default(unique(), **JSON))

    assert job["error"]["code"] == "model_declined"
    assert "as intended" in job["error"]["message"]


@pytest.mark.parametrize(
    "first",
    [
        " \n" * 40,
        "{",
        "I would rather say it in prose.",
        written("absent\n", ""),
        '{"edits": [{"search": [5]}]}',
    ],
    ids=["blank", "cut", "prose", "not in the file", "wrong types"],
)
def test_what_cannot_be_used_is_told_to_the_model_which_then_mends_it(service: Stack, first: str) -> None:
    scripted(service, first, f"```json\n{written(SEARCH, REPLACE)}\n```")

    job = service.run(mutable_default(unique(), **JSON))

    assert (job["outcome"], job["usage"]["calls"]) == ("verified", 2)
