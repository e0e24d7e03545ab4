"""Our client against a real model server, llama.cpp, with a small real model: run by `make test-real`.

The model's words are of no use; what is shown is the protocol as a server speaks it that nobody wrote for us.
"""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from patchmill.budget.models import ModelCapability
from patchmill.call.account import AccountClient, AccountUnavailable
from patchmill.call.reply import Anomaly, Answered, Rejected
from patchmill.call.request import ChatRequest, JsonObject, JsonSchema
from patchmill.job.failure import FailureClass
from tests.support.answers import KEY, NOW, ask
from tests.support.real_server import MODEL, real_server

pytestmark = pytest.mark.real_server

CONTEXT_TOKENS = 512
ABLE = ModelCapability(
    context_tokens=CONTEXT_TOKENS,
    output_tokens=256,
    fields=frozenset({"stream", "stream_options", "response_format", "temperature", "seed"}),
    json_object=True,
    json_schema=True,
)
QUESTION = ChatRequest(
    model=MODEL,
    messages=[{"role": "user", "content": "Say hello."}],
    max_tokens=24,
    stream=True,
    temperature=0.0,
    seed=7,
    capability=ABLE,
)
SCHEMA = {
    "type": "object",
    "properties": {"answer": {"enum": ["yes", "no"]}},
    "required": ["answer"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with real_server(context_tokens=CONTEXT_TOKENS) as url:
        yield url


def answered(url: str, request: ChatRequest) -> Answered:
    [outcome] = ask(url, request=request, deadline_s=60)
    assert isinstance(outcome, Answered), outcome
    assert outcome.fault is None
    return outcome


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
def test_an_answer_comes_whole_with_its_usage(url: str, *, stream: bool) -> None:
    outcome = answered(url, replace(QUESTION, stream=stream))

    assert outcome.text.strip()
    assert outcome.finish_reason in {"stop", "length"}
    assert outcome.usage is not None
    assert 0 < outcome.usage.output_tokens <= 24
    assert 0 <= outcome.usage.cached_tokens <= outcome.usage.input_tokens
    assert outcome.anomalies == ()
    assert outcome.returned_model == MODEL
    assert (outcome.timings.first_token_ms is not None) is stream
    assert not outcome.stand_in


def test_an_answer_that_fills_its_room_says_so(url: str) -> None:
    outcome = answered(url, replace(QUESTION, max_tokens=2))

    assert outcome.finish_reason == "length"
    assert outcome.usage is not None
    assert outcome.usage.output_tokens == 2


def test_a_schema_is_followed(url: str) -> None:
    wished = JsonSchema(name="answer", schema=SCHEMA)
    outcome = answered(url, replace(QUESTION, max_tokens=128, response_format=wished))

    assert json.loads(outcome.text)["answer"] in {"yes", "no"}


def test_json_mode_answers_json_or_is_cut(url: str) -> None:
    outcome = answered(url, replace(QUESTION, max_tokens=64, response_format=JsonObject()))

    if outcome.finish_reason == "stop":
        assert isinstance(json.loads(outcome.text), dict)


def test_a_prompt_that_is_too_long_is_refused_as_such(url: str) -> None:
    messages = [{"role": "user", "content": "word " * 3 * CONTEXT_TOKENS}]
    [outcome] = ask(url, request=replace(QUESTION, messages=messages), deadline_s=60)

    assert isinstance(outcome, Rejected)
    assert outcome.failure.failure is FailureClass.CONTEXT_TOO_LONG
    assert outcome.status == 400


def test_a_schema_that_cannot_be_is_a_refusal(url: str) -> None:
    wrong = replace(QUESTION, response_format=JsonSchema(name="answer", schema={"type": "nonsense"}))
    [outcome] = ask(url, request=wrong, deadline_s=60)

    assert isinstance(outcome, Rejected)
    assert outcome.status == 400
    assert outcome.failure.failure is FailureClass.REQUEST


def test_a_stream_whose_usage_was_not_asked_for_lacks_it(url: str) -> None:
    able = replace(ABLE, dropped=frozenset({"stream_options"}))
    outcome = answered(url, replace(QUESTION, capability=able))

    assert outcome.usage is None
    assert outcome.anomalies == (Anomaly.USAGE_MISSING,)


def test_its_models_are_listed_and_it_has_no_account(url: str) -> None:
    with AccountClient(base_url=url, api_key=KEY, now=lambda: NOW) as client:
        assert MODEL in {model.model for model in client.models()}
        with pytest.raises(AccountUnavailable) as refused:
            client.account()

    assert refused.value.failure.failure is FailureClass.REQUEST
    assert refused.value.http_status == 404
