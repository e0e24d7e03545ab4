import uuid
from collections.abc import Sequence

import pytest

from patchmill.job.record import FindingStatus
from patchmill.store.ids import new_id
from patchmill.store.results import CheckRow, Found, SuggestionRow
from tests.support.api import User, finding, fix_request

SOURCE = "import os\nimport re\n\nx = 1\n"


def suggestion(
    start: int, end: int, original: str, replacement: str, findings: Sequence[int]
) -> SuggestionRow:
    return SuggestionRow(
        id=new_id(),
        path="a.py",
        start_line=start,
        end_line=end,
        original=original,
        replacement=replacement,
        title="Remove the unused import",
        explanation="",
        status="verified",
        source="model",
        safety="safe",
        requires=(),
        committable=True,
        findings=tuple(findings),
    )


@pytest.fixture
def offered(user: User) -> tuple[str, list[uuid.UUID]]:
    places = [finding(start_line=line, end_line=line, start_column=8, end_column=10) for line in (1, 2)]
    job = user.submit(fix_request(file={"path": "a.py", "content": SOURCE}, findings=places))["id"]
    rows = [suggestion(1, 1, "import os\n", "", [0]), suggestion(2, 2, "import re\n", "", [1])]
    user.run(job)
    evidence = [
        CheckRow(
            suggestion_id=row.id, call_id=None, check="finding_gone", result="passed", detail="ruff F401"
        )
        for row in rows
    ]
    fates = dict.fromkeys(range(2), (FindingStatus.VERIFIED, None))
    user.succeed(job, found=Found(offered=rows, evidence=evidence, fates=fates))
    return job, [row.id for row in rows]


def test_an_ended_job_shows_suggestions_with_evidence_and_what_they_mend(
    user: User, offered: tuple[str, list[uuid.UUID]]
) -> None:
    job, rows = offered

    document = user.http.get(f"/v1/jobs/{job}").json()

    ids = [f"sug_{row.hex}" for row in rows]
    assert [item["id"] for item in document["suggestions"]] == ids
    assert [item["suggestions"] for item in document["findings"]] == [[ids[0]], [ids[1]]]
    assert [item["status"] for item in document["findings"]] == ["verified", "verified"]
    assert document["suggestions"][0]["evidence"] == [
        {"check": "finding_gone", "result": "passed", "detail": "ruff F401"}
    ]
    assert user.http.get("/v1/jobs").json()["data"] == [document]


def test_the_json_format_is_the_list_of_the_job_document(
    user: User, offered: tuple[str, list[uuid.UUID]]
) -> None:
    job, _ = offered

    response = user.http.get(f"/v1/jobs/{job}/suggestions")

    assert response.headers["content-type"] == "application/json"
    assert response.json() == {"data": user.http.get(f"/v1/jobs/{job}").json()["suggestions"]}
    assert user.http.get(f"/v1/jobs/{job}/suggestions", params={"format": "json"}).json() == response.json()


def test_the_patch_applies_all_suggestions(user: User, offered: tuple[str, list[uuid.UUID]]) -> None:
    job, _ = offered

    response = user.http.get(f"/v1/jobs/{job}/suggestions", params={"format": "patch"})

    assert response.headers["content-type"] == "text/x-patch; charset=utf-8"
    assert response.text == (
        "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n"
        "@@ -1,4 +1,2 @@\n-import os\n-import re\n \n x = 1\n"
    )


@pytest.mark.parametrize(
    ("name", "media_type", "key"),
    [
        ("github", "application/vnd.github+json", "comments"),
        ("gitlab", "application/vnd.gitlab+json", "discussions"),
        ("sarif", "application/sarif+json", "runs"),
        ("rdjson", "application/vnd.reviewdog+json", "diagnostics"),
    ],
)
def test_other_formats_are_documents_of_their_own(
    user: User, offered: tuple[str, list[uuid.UUID]], name: str, media_type: str, key: str
) -> None:
    job, _ = offered

    response = user.http.get(f"/v1/jobs/{job}/suggestions", params={"format": name})

    assert response.headers["content-type"] == media_type
    assert isinstance(response.json()[key], list)
    assert "import os" in response.text or "F401" in response.text


def test_there_is_no_suggestion_before_the_end(user: User) -> None:
    job = user.submit()["id"]
    user.run(job)

    assert user.http.get(f"/v1/jobs/{job}").json()["suggestions"] == []
    assert user.http.get(f"/v1/jobs/{job}/suggestions").json() == {"data": []}
    assert user.http.get(f"/v1/jobs/{job}/suggestions", params={"format": "patch"}).text == ""


@pytest.mark.parametrize("name", ["gitea", "PATCH", "", "x" * 1000, "\0"])
def test_another_format_is_answered_with_those_that_there_are(user: User, name: str) -> None:
    job = user.submit()["id"]

    response = user.http.get(f"/v1/jobs/{job}/suggestions", params={"format": name})

    if name == "\0":
        assert response.status_code == 422
    else:
        assert (response.status_code, response.json()["code"]) == (406, "not_acceptable")
        assert response.json()["detail"].endswith("there are json, patch, github, gitlab, sarif, rdjson")
