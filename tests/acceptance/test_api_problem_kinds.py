import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.problem_kinds import KINDS
from patchmill.errors import PatchmillError
from tests.support.api import Api, User

DOCS = Path(__file__).parents[2] / "docs" / "problems.md"


def raised(error: type[PatchmillError] = PatchmillError) -> Iterator[type[PatchmillError]]:
    yield error
    for each in error.__subclasses__():
        yield from raised(each)


@pytest.mark.parametrize("code", KINDS)
def test_the_type_of_every_problem_leads_to_what_it_means(api: Api, code: str) -> None:
    with api.client() as http:
        answer = http.get(f"/problems/{code}")
        page = http.get(f"/problems/{code}", headers={"Accept": "text/html,*/*;q=0.8"})

    told = answer.json()
    assert (answer.status_code, told["type"], told["code"]) == (200, f"/problems/{code}", code)
    assert told["title"]
    assert told["meaning"].endswith(".")
    assert told["remedy"].endswith(".")
    assert (page.status_code, page.headers["vary"]) == (200, "Accept")
    assert f"<h1>{told['title']}</h1>" in page.text
    assert f"<code>{code}</code>" in page.text
    assert "content-security-policy" in page.headers


def test_every_problem_that_can_be_answered_is_known() -> None:
    answered = {error.code: error.status for error in raised() if error.status < 500 or error.status == 503}

    assert answered.items() <= {code: kind.status for code, kind in KINDS.items()}.items()
    assert all(error.title == KINDS[error.code].title for error in raised() if error.code in answered)


def test_every_problem_that_the_reference_shows_has_a_type_that_leads_somewhere(api: Api) -> None:
    with api.client() as http:
        shown = set(re.findall(r"/problems/(\w+)", json.dumps(http.get("/openapi.json").json())))

    assert {"invalid_field", "below_minimum_hold", "internal"} <= shown <= {*KINDS}


def test_a_real_problem_leads_to_its_meaning(user: User) -> None:
    problem: dict[str, Any] = user.http.get("/v1/jobs?limit=0").json()

    assert user.http.get(problem["type"]).json()["status"] == problem["status"] == 422


def test_what_is_no_problem_is_not_found(api: Api) -> None:
    with api.client() as http:
        answer = http.get("/problems/tiredness")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "invalid_field" in answer.json()["detail"]


def test_the_page_of_the_documentation_is_the_same_table() -> None:
    rows = [
        f"| `{code}` | {kind.status} | {kind.meaning} | {kind.remedy} | {'yes' if kind.retryable else ''} |"
        for code, kind in KINDS.items()
    ]

    written = DOCS.read_text(encoding="utf-8").splitlines()
    assert [line for line in written if line.startswith("| `")] == rows
