"""The whole service with a real small model, which annotates badly: nothing that it says gets by unproven.

Run by `make test-real`.
"""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete

from patchmill.budget.models import UNKNOWN, with_learned
from patchmill.budget.prices import Price, Rates
from patchmill.call.reply import Answered
from patchmill.call.request import ChatRequest
from patchmill.edit.span import split_lines
from patchmill.job.record import Annotation
from patchmill.store import models
from patchmill.store.engine import open_engine
from patchmill.store.prices import add_prices_if_none
from patchmill.store.tables import prices
from patchmill.verify.proof.prove import Proof, prove
from tests.support.answers import ask
from tests.support.prices import changeable_prices
from tests.support.real_server import MODEL, real_server
from tests.support.requests import annotate
from tests.support.stack import Stack, until
from tests.support.untyped import SOURCES, only_adds_hints_and_docstrings

pytestmark = [pytest.mark.real_server, pytest.mark.timeout(400)]

CONTEXT_TOKENS = 2_048
ANSWER_TOKENS = 128  # so that the whole group ends within minutes
GROUP_S = 300.0
WHOLE_TOKENS = 120
FORMATS = ("search_replace", "json")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with real_server(context_tokens=CONTEXT_TOKENS) as url:
        yield url


@pytest.fixture
def real(stack: Stack, url: str) -> Stack:
    """The service with the real model as its only one, at a price."""
    stack.gateway_url = url
    stack.settings = {
        "PATCHMILL_MODEL": MODEL,
        "PATCHMILL_ESCALATION_MODEL": MODEL,
        "PATCHMILL_FALLBACK_MODEL": MODEL,
        "PATCHMILL_GATEWAY_CONCURRENCY": "1",
        "PATCHMILL_CALL_DEADLINE_S": "60",
        "PATCHMILL_LEASE_TTL_S": "10",
    }
    rates = Rates(input_picos=1_000, cached_picos=100, output_picos=2_000)
    price = Price(model=MODEL, rates=rates, valid_from=datetime(2026, 1, 1, tzinfo=UTC))
    engine = open_engine(stack.database_url, pool_size=1)
    with changeable_prices(engine) as connection:
        connection.execute(delete(prices))
        add_prices_if_none(connection, [price], "test")
    engine.dispose()
    stack.start_api()
    return stack


def doctor(stack: Stack) -> str:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("patchmill")), "doctor", "--gateway"],
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("PATCHMILL_")},
            **stack.environment(),
            "PATCHMILL_SERVER_URL": stack.api_url,
            "PATCHMILL_SERVER_KEY": stack.key,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_doctor_finds_out_what_the_server_takes(real: Stack) -> None:
    said = doctor(real)

    assert f"{MODEL} keeps to it" in said
    assert f"{MODEL} tells its usage" in said
    assert "warn account    cannot be read" in said
    engine = open_engine(real.database_url, pool_size=1)
    with engine.begin() as connection:
        row = models.learned(connection)[MODEL]
    engine.dispose()
    able = with_learned(UNKNOWN, row.capability, row.dropped)
    assert able.streams
    assert able.takes("stream_options")
    assert able.json_schema


def offered(source: str, job: dict[str, Any]) -> str:
    """Give the source with everything that a job offers."""
    lines = split_lines(source)
    for each in sorted(job["suggestions"], key=lambda each: each["start_line"], reverse=True):
        lines[each["start_line"] - 1 : each["end_line"]] = [each["replacement"]]
    return "".join(lines)


def ended_job(stack: Stack, job_id: str) -> dict[str, Any] | None:
    """Give a job's document once it has ended; several wait for the one slot, in no order."""
    with stack.http() as http:
        job: dict[str, Any] = http.get(f"/v1/jobs/{job_id}", params={"wait": "10"}).json()
    return job if job["finished_at"] else None


def test_no_answer_is_accepted_unless_it_adds_hints_and_docstrings_alone(
    real: Stack, record_property: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    able = {
        "context_tokens": CONTEXT_TOKENS,
        "output_tokens": ANSWER_TOKENS,
        "fields": ["response_format", "stream", "stream_options"],
        "json_object": True,
        "json_schema": True,
    }
    engine = open_engine(real.database_url, pool_size=1)
    with engine.begin() as connection:
        models.store_capability(connection, MODEL, able)
    engine.dispose()
    with real.http() as http:
        project = http.get("/v1/projects").json()["data"][0]["id"]
        # One answer for each file: a second turn would double the time and show the same.
        http.patch(f"/v1/projects/{project}", json={"policy": {"repairs": 0}}).raise_for_status()
        submitted = [
            http.post(
                "/v1/jobs",
                json=annotate(source, options={"edit_format": FORMATS[number % 2], "escalate": False}),
            ).json()["id"]
            for number, source in enumerate(SOURCES)
        ]
    real.start("worker")

    outcomes: Counter[str] = Counter()
    said: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for job_id, source in zip(submitted, SOURCES, strict=True):
        job = until(partial(ended_job, real, job_id), f"{job_id} ended", GROUP_S)
        outcomes[job["outcome"] or job["error"]["code"]] += 1
        with real.http() as http:
            calls = http.get(f"/v1/jobs/{job_id}/calls").json()["data"]
        said.update(call["outcome"] for call in calls)
        refused.update(
            f"{each['check']}: {each['detail'].partition(':')[0]}"
            for call in calls
            for each in call["rejected"]
        )
        assert [call["model"] for call in calls] == [MODEL] * len(calls)
        if job["suggestions"]:
            result = offered(source, job)
            assert result != source
            assert only_adds_hints_and_docstrings(source, result), result
            evidence = {each["check"]: each["result"] for each in job["suggestions"][0]["evidence"]}
            assert evidence["same_behaviour"] == "passed"

    figure = (
        f"{sum(said.values())} calls ({dict(said)}) for {len(SOURCES)} files; jobs: {dict(outcomes)}; "
        f"edits refused: {dict(refused)}"
    )
    record_property("figure", figure)
    with capsys.disabled():
        print(f"\n{figure}")  # noqa: T201 - the figure of this group
    assert said["answered"] >= len(SOURCES)
    assert set(outcomes) <= {"verified", "partial", "no_change", "unverified", "model_declined"}


def rewritten(url: str, source: str) -> str:
    """Let the model write a file anew with hints; give the code of its answer."""
    content = f"Add type hints to this Python code. Answer with the code only.\n\n```python\n{source}```"
    request = ChatRequest(
        model=MODEL,
        messages=[{"role": "user", "content": content}],
        max_tokens=WHOLE_TOKENS,
        stream=True,
    )
    [outcome] = ask(url, request=request, deadline_s=60)
    assert isinstance(outcome, Answered), outcome
    code = outcome.text.partition("```python\n")[2].partition("```")[0] or outcome.text
    return code.rstrip("\n") + "\n"


def same_meaning(source: str, result: str) -> bool:
    try:
        return only_adds_hints_and_docstrings(source, result)
    except (SyntaxError, ValueError):
        return False


def test_what_the_model_writes_anew_is_proven_only_if_it_adds_hints_and_docstrings_alone(
    url: str, record_property: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: Counter[str] = Counter()
    for source in SOURCES:
        result = rewritten(url, source)
        proofs = prove(
            source,
            [result],
            path="app.py",
            what=frozenset({Annotation.TYPES, Annotation.DOCSTRINGS}),
            target=None,
        )
        assert isinstance(proofs, list)
        [proof] = proofs
        seen[_word(proof, changed=not same_meaning(source, result))] += 1
        if proof.parsed and not proof.refusals:
            assert only_adds_hints_and_docstrings(source, result), result

    record_property("figure", dict(seen))
    with capsys.disabled():
        print(f"\n{len(SOURCES)} files written anew: {dict(seen)}")  # noqa: T201 - the figure of this group
    assert sum(seen.values()) == len(SOURCES)
    assert seen["refused: changes more"] > 0  # else this shows nothing


def _word(proof: Proof, *, changed: bool) -> str:
    if not proof.parsed:
        return "refused: not Python"
    if proof.refusals:
        return "refused: changes more" if changed else "refused: hints that are not safe"
    return "proven" if proof.gain else "proven: adds nothing"
