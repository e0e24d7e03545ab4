import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruff import find_ruff_bin
from sqlalchemy import create_engine, text

from tests.support.requests import SOURCE, annotate, mutable_default, unique
from tests.support.stack import Stack, until

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(autouse=True)
def plain_stand_in(service: Stack) -> Iterator[None]:
    service.behave()
    yield
    service.release()
    service.behave()


def answer(search: str, replace: str) -> str:
    return f"A title\n\nWhy.\n\n```python\n<<<<<<< SEARCH\n{search}=======\n{replace}>>>>>>> REPLACE\n```\n"


def scripted(service: Stack, *contents: str) -> None:
    service.behave(script=[{"match": None, "content": content, "times": 1} for content in contents])


RIGHT = answer(
    'def collect(item, into=[]):\n    """Collect items."""\n',
    'def collect(item, into=None):\n    """Collect items."""\n    if into is None:\n        into = []\n',
)


def applied(patch: str, path: str, source: str, folder: Path) -> str:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(source)
    for arguments in (["--check"], []):
        subprocess.run(
            ["git", "apply", *arguments],  # noqa: S607 - git is a stated need
            cwd=folder,
            input=patch,
            text=True,
            check=True,
            env={"PATH": "/usr/bin:/bin", "GIT_CEILING_DIRECTORIES": str(folder.parent)},
        )
    return target.read_text()


def ruff_reports(source: str, rule: str) -> bool:
    done = subprocess.run(
        [find_ruff_bin(), "check", "--isolated", "--no-cache", "--quiet", "--select", rule, "-"],
        input=source,
        text=True,
        capture_output=True,
        check=False,
    )
    return done.returncode == 1


def results(suggestion: dict[str, Any]) -> dict[str, str]:
    return {check["check"]: check["result"] for check in suggestion["evidence"]}


def test_a_finding_comes_out_as_a_verified_suggestion_and_a_patch_that_mends_it(
    service: Stack, tmp_path: Path
) -> None:
    body = mutable_default(unique())

    job = service.run(body)

    assert (job["state"], job["outcome"]) == ("succeeded", "verified")
    (suggestion,) = job["suggestions"]
    assert (suggestion["status"], suggestion["source"], suggestion["committable"]) == (
        "verified",
        "stand-in",
        True,
    )
    passed = {"applies", "parses", "reproduced", "finding_gone", "nothing_new", "in_scope", "no_suppression"}
    assert {name for name, result in results(suggestion).items() if result == "passed"} >= passed
    assert job["findings"][0]["suggestions"] == [suggestion["id"]]
    assert job["usage"]["calls"] == 1
    assert float(job["usage"]["cost_usd"]) > 0
    assert job["timings"]["total_ms"] >= job["timings"]["model_ms"]
    source = body["file"]["content"]
    mended = applied(service.patch(job["id"]), body["file"]["path"], source, tmp_path)
    assert ruff_reports(source, "B006")
    assert not ruff_reports(mended, "B006")


def test_a_tools_own_safe_fix_is_used_first_and_costs_nothing(service: Stack, tmp_path: Path) -> None:
    source = f"import os\n\nNUMBER = {unique()}\n"
    fix = {
        "safe": True,
        "edits": [{"start_line": 1, "start_column": 1, "end_line": 2, "end_column": 1, "text": ""}],
    }
    body = {
        "kind": "fix",
        "file": {"path": "a.py", "content": source},
        "findings": [
            {
                "tool": "ruff",
                "rule": "F401",
                "message": "`os` imported but unused",
                "start_line": 1,
                "end_line": 1,
                "fixes": [fix],
            }
        ],
    }

    job = service.run(body)

    assert (job["outcome"], job["usage"]["calls"], job["usage"]["cost_usd"]) == ("verified", 0, "0")
    assert [(each["source"], each["safety"]) for each in job["suggestions"]] == [("tool", "safe")]
    assert "import os" not in applied(service.patch(job["id"]), "a.py", source, tmp_path)


def test_a_failed_edit_goes_back_with_the_reason_and_the_second_answer_counts(service: Stack) -> None:
    scripted(service, answer("def absent():\n", "def present():\n"), RIGHT)

    job = service.run(mutable_default(unique()))

    assert (job["outcome"], job["usage"]["calls"]) == ("verified", 2)


def test_the_stronger_model_is_asked_last_and_only_when_allowed(service: Stack) -> None:
    useless = "I would rather not say."
    scripted(service, useless, useless, RIGHT)
    climbed = service.run(mutable_default(unique()))
    scripted(service, useless, useless, RIGHT)
    stayed = service.run(mutable_default(unique(), options={"escalate": False}))

    assert (climbed["outcome"], climbed["usage"]["calls"]) == ("verified", 3)
    assert (stayed["state"], stayed["error"]["code"], stayed["usage"]["calls"]) == ("failed", "unverified", 2)
    assert stayed["findings"][0]["status"] == "unresolved"


def test_an_answer_cut_short_is_asked_for_again_with_more_room(service: Stack) -> None:
    scripted(service, "word " * 3_000, RIGHT)

    job = service.run(mutable_default(unique()))

    assert (job["outcome"], job["usage"]["calls"]) == ("verified", 2)


def test_a_model_that_declines_fails_a_fix_and_changes_nothing_in_an_annotate_job(service: Stack) -> None:
    scripted(service, "NO CHANGE: it is right as it is")
    fix = service.run(mutable_default(unique()))
    scripted(service, "NO CHANGE: it is complete")
    annotated = service.run(annotate(f"x = {unique()}\n"))

    assert (fix["state"], fix["error"]["code"]) == ("failed", "model_declined")
    assert (annotated["state"], annotated["outcome"]) == ("succeeded", "no_change")


@pytest.mark.parametrize(
    ("replacement", "check"),
    [
        ("def collect(item, into=[]):  # noqa: B006\n", "unverified"),
        ("def collect(item, into=[:\n", "unverified"),
        ("def collect(item, into=undefined):\n", "unverified"),
    ],
)
def test_a_silenced_broken_or_worse_answer_is_never_offered(
    service: Stack, replacement: str, check: str
) -> None:
    wrong = answer("def collect(item, into=[]):\n", replacement)
    scripted(service, wrong, wrong, wrong)

    job = service.run(mutable_default(unique()))

    assert (job["state"], job["error"]["code"], job["suggestions"]) == ("failed", check, [])


def test_a_finding_that_the_settings_do_not_reproduce_is_unchecked_and_never_verified(service: Stack) -> None:
    scripted(service, RIGHT)

    job = service.run(mutable_default(unique(), checkers={"ruff": {"select": ["E"]}}))

    assert job["outcome"] == "unchecked"
    assert (job["findings"][0]["status"], job["findings"][0]["reason"]) == ("unchecked", "not_reproduced")
    assert [each["status"] for each in job["suggestions"]] == ["unchecked"]


def test_what_is_verified_is_kept_when_the_rest_cannot_be_mended(service: Stack) -> None:
    body = mutable_default(unique())
    body["findings"].append(
        {"tool": "ruff", "rule": "D100", "message": "never there", "start_line": 7, "end_line": 7}
    )
    scripted(service, RIGHT, RIGHT, RIGHT)

    job = service.run(body)

    assert job["outcome"] == "partial"
    assert [each["status"] for each in job["findings"]] == ["verified", "unchecked"]
    assert (len(job["suggestions"]), job["usage"]["calls"]) == (1, 1)


def test_a_tools_fix_beside_what_only_the_model_can_mend_comes_after_it(service: Stack) -> None:
    body = mutable_default(unique())
    body["file"]["content"] = body["file"]["content"].replace("into=[]):", "into=[]): ")
    edit = {"start_line": 4, "start_column": 28, "end_line": 4, "end_column": 29, "text": ""}
    body["findings"].append(
        {
            "tool": "ruff",
            "rule": "W291",
            "message": "Trailing whitespace",
            "start_line": 4,
            "end_line": 4,
            "fixes": [{"safe": True, "edits": [edit]}],
        }
    )
    scripted(service, RIGHT)

    job = service.run(body)

    assert (job["outcome"], job["usage"]["calls"]) == ("verified", 1)


def test_a_file_whose_name_tells_no_language_is_checked_as_the_one_that_is_named(service: Stack) -> None:
    body = mutable_default(unique())
    body["file"] |= {"path": "bin/tool", "language": "python"}
    scripted(service, RIGHT)

    assert service.run(body)["outcome"] == "verified"


def test_source_that_cannot_be_parsed_is_not_worth_a_call_for_annotations(service: Stack) -> None:
    job = service.run(annotate(f"def broken(:\n    return {unique()}\n"))

    assert (job["state"], job["error"]["code"], job["usage"]["calls"]) == ("failed", "invalid_source", 0)


def test_a_refused_annotation_is_not_forgotten_when_the_model_gives_up(service: Stack) -> None:
    source = f"def f(x):\n    return {unique()}\n"
    scripted(service, answer("def f(x):\n", "def f(x: type(1)):\n"), "NO CHANGE: I give up")

    job = service.run(annotate(source))

    assert (job["state"], job["error"]["code"]) == ("failed", "unverified")


def test_only_as_many_calls_are_bought_as_the_job_allows(service: Stack) -> None:
    useless = "I would rather not say."
    scripted(service, useless, RIGHT)

    job = service.run(mutable_default(unique(), options={"max_calls": 1}))

    assert (job["state"], job["error"]["code"], job["usage"]["calls"]) == ("failed", "unverified", 1)


def test_annotations_are_added_with_the_proof_as_evidence(service: Stack, tmp_path: Path) -> None:
    source = f"def scale(value=1.5, times=2):\n    return {unique()}\n\n\ndef stop():\n    print(1)\n"

    job = service.run(annotate(source))

    assert (job["state"], job["outcome"]) == ("succeeded", "verified")
    assert all(results(each)["same_behaviour"] == "passed" for each in job["suggestions"])
    assert all(each["safety"] == "safe" for each in job["suggestions"])
    annotated = applied(service.patch(job["id"]), "src/shape.py", source, tmp_path)
    assert "value: float = 1.5" in annotated
    assert "def stop() -> None:" in annotated


REFUSED = [
    (
        "def f(x):\n    return x\n\n\nclass Later:\n    pass\n",
        "def f(x):\n",
        "def f(x: Later):\n",
        "name_not_bound",
    ),
    ("def f(x):\n    return x\n", "def f(x):\n", "def f(x: type(1)):\n", "hint_not_plain"),
    ("def f(x):\n    return x\n", "def f(x):\n", "def f(x: 'A' | None):\n", "string_union"),
    (
        "def f(x):\n    y = x\n    return y\n",
        "    y = x\n",
        "    y: int\n    y = x\n",
        "bare_annotation_in_function",
    ),
    (
        "import dataclasses\n\n\n@dataclasses.dataclass\nclass D:\n    x = 1\n",
        "    x = 1\n",
        "    x: int = 1\n",
        "class_level_annotation",
    ),
    (
        (
            "import functools\n\n\n@functools.singledispatch\ndef f(x):\n    return x\n"
            "\n\n@f.register\ndef _(x):\n    return x\n"
        ),
        "@f.register\ndef _(x):\n",
        "@f.register\ndef _(x: int):\n",
        "decorated_parameter_hint",
    ),
    (
        "def f(x):  # type: ignore\n    return x\n",
        "def f(x):  # type: ignore\n",
        "def f(x: int):\n",
        "comment_changed",
    ),
]


@pytest.mark.parametrize(("source", "search", "replace", "rule"), REFUSED, ids=[case[3] for case in REFUSED])
def test_a_harmful_annotation_is_refused_by_the_name_of_its_rule(
    service: Stack, source: str, search: str, replace: str, rule: str
) -> None:
    wrong = answer(search, replace)
    scripted(service, wrong, wrong, wrong)

    job = service.run(annotate(f"# {unique()}\n{source}"))

    assert (job["state"], job["error"]["code"], job["suggestions"]) == ("failed", "unverified", [])
    assert rule in str(job["error"]["details"])


def test_a_busy_gateway_is_waited_for_and_the_wait_costs_no_attempt(service: Stack) -> None:
    service.behave(faults=[{"fault": "429_concurrency", "times": 1}])

    job = service.run(mutable_default(unique()))

    assert (job["outcome"], job["attempt"], job["usage"]["calls"]) == ("verified", 2, 2)


def test_server_errors_are_retried_and_not_billed(service: Stack) -> None:
    service.behave(faults=[{"fault": "503", "times": 2}])

    job = service.run(mutable_default(unique()))

    assert (job["outcome"], job["attempt"]) == ("verified", 3)
    assert job["usage"]["uncertain_usd"] == "0"


def test_a_broken_stream_is_never_taken_for_an_answer_and_its_money_is_uncertain(service: Stack) -> None:
    service.behave(faults=[{"fault": "truncate", "times": 1}])

    job = service.run(mutable_default(unique()))

    assert (job["outcome"], job["usage"]["calls"]) == ("verified", 2)
    assert float(job["usage"]["uncertain_usd"]) > 0


def test_a_request_that_the_gateway_rejects_fails_the_job_with_its_words(service: Stack) -> None:
    service.behave(faults=[{"fault": "400", "times": 1}])

    job = service.run(mutable_default(unique()))

    assert (job["state"], job["error"]["code"]) == ("failed", "gateway_rejected")
    assert job["error"]["message"].startswith("the gateway said: ")


def test_a_wrong_gateway_key_makes_jobs_wait_for_the_account(service: Stack) -> None:
    service.behave(faults=[{"fault": "401", "times": 1}])
    with service.http() as http:
        job_id = http.post("/v1/jobs", json=mutable_default(unique())).json()["id"]

        def waits() -> bool:
            job = http.get(f"/v1/jobs/{job_id}").json()
            return bool(job["wait_reason"] == "gateway_account" and job["run_at"])

        until(waits, "the job waiting for the account")
        cancelled = http.post(f"/v1/jobs/{job_id}/cancel").json()
    service.resume()

    assert cancelled["state"] == "cancelled"


def test_a_running_job_is_cancelled_after_its_call_has_been_drained_and_settled(service: Stack) -> None:
    service.behave(faults=[{"fault": "hold", "times": 1}])
    with service.http() as http:
        job_id = http.post("/v1/jobs", json=mutable_default(unique())).json()["id"]
        until(lambda: service.truth()["in_flight"] >= 1, "the call on the wire")
        asked = http.post(f"/v1/jobs/{job_id}/cancel").json()
    service.release()

    job = service.ended(job_id)

    assert (asked["state"], asked["cancel_requested"]) == ("running", True)
    assert (job["state"], job["suggestions"]) == ("cancelled", [])
    assert (job["findings"][0]["status"], job["findings"][0]["reason"]) == ("unresolved", "cancelled")
    assert float(job["usage"]["cost_usd"]) > 0


def test_a_jobs_own_cap_ends_it_before_anything_is_spent(service: Stack) -> None:
    job = service.run(mutable_default(unique(), options={"max_cost_usd": "0.000001"}))

    assert (job["state"], job["error"]["code"], job["usage"]["cost_usd"]) == ("failed", "over_budget", "0")


def test_a_small_cap_makes_the_request_smaller_instead_of_refusing_it(service: Stack) -> None:
    job = service.run(mutable_default(unique(), options={"max_cost_usd": "0.0004"}))

    assert job["outcome"] == "verified"
    engine = create_engine(service.database_url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        asked = connection.scalar(
            text("SELECT max_tokens FROM calls WHERE job_id = :id"), {"id": uuid.UUID(job["id"][4:])}
        )
    engine.dispose()
    assert 256 <= asked < 1024


def test_a_model_without_a_price_is_never_called(service: Stack) -> None:
    job = service.run(mutable_default(unique(), options={"model": "model-of-tomorrow"}))

    assert (job["state"], job["error"]["code"]) == ("failed", "over_budget")
    assert "price" in job["error"]["message"]


def test_a_deadline_ends_a_job_that_the_gateway_keeps_waiting(service: Stack) -> None:
    service.behave(faults=[{"fault": "stall", "times": 4}])

    job = service.run(mutable_default(unique(), options={"deadline_s": 2}))

    assert (job["state"], job["error"]["code"]) == ("failed", "deadline_exceeded")


def test_what_is_verified_when_the_deadline_passes_is_offered(service: Stack) -> None:
    service.behave(faults=[{"fault": "stall", "times": 4}])
    body = mutable_default(number := unique())
    body["file"]["content"] = "import os\n" + SOURCE.format(number=number)
    body["findings"][0] |= {"start_line": 5, "end_line": 5}
    removal = {"start_line": 1, "start_column": 1, "end_line": 2, "end_column": 1, "text": ""}
    unused = {
        "tool": "ruff",
        "rule": "F401",
        "message": "`os` imported but unused",
        "start_line": 1,
        "end_line": 1,
        "fixes": [{"safe": True, "edits": [removal]}],
    }

    job = service.run({**body, "findings": [*body["findings"], unused], "options": {"deadline_s": 3}})

    assert (job["state"], job["outcome"], job["error"]) == ("succeeded", "partial", None)
    assert [(one["status"], one["reason"]) for one in job["findings"]] == [
        ("unresolved", "deadline_exceeded"),
        ("verified", None),
    ]
    assert [one["source"] for one in job["suggestions"]] == ["tool"]
    assert job["usage"]["uncertain_usd"] != "0"


def test_logs_never_carry_submitted_text_answers_or_secrets(service: Stack) -> None:
    marker = f"planted_{unique()}"
    service.run(mutable_default(unique(), file={"path": "a.py", "content": f"{marker} = 1\n" + SOURCE}))

    logs = "".join(path.read_text(errors="replace") for path in service.data_dir.glob("*.log"))

    assert "job_id" in logs
    for secret in (marker, service.key, "sk-byts-stand-in", "Collect items"):
        assert secret not in logs
