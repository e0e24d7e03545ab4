import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from patchmill.budget.models import capability_of
from patchmill.call.reply import Anomaly, Answered, CallOutcome, Quota, Rejected, ToolCall, Unknown
from patchmill.call.request import ChatRequest, JsonObject, Tool
from patchmill.job.failure import FailureClass
from tests.support.answers import (
    DONE,
    NOW,
    STREAM,
    USAGE,
    ask,
    delta,
    finish,
    plain,
    question,
    sse,
    usage_chunk,
)
from tests.support.raw_server import RawServer, Script, chunk, chunked_head, response

END = chunk(b"")
LOOK = Tool(name="look", description="Looks", parameters={"type": "object"})


def streamed(*frames: bytes, more: str = "") -> Script:
    return [chunked_head(more=more), *map(chunk, frames), END]


def asked(script: Script, request: ChatRequest | None = None) -> CallOutcome:
    with RawServer(script) as server:
        [outcome] = ask(server.url, stream=True, request=request)
    return outcome


def answered(script: Script, request: ChatRequest | None = None) -> Answered:
    outcome = asked(script, request)
    assert isinstance(outcome, Answered)
    return outcome


def offering(*tools: Tool) -> ChatRequest:
    return replace(question(stream=True), tools=tools)


def call_frames(arguments: str, *, reason: str = "tool_calls") -> list[bytes]:
    call = {"index": 0, "id": "c1", "function": {"name": "look", "arguments": arguments}}
    part = {"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}
    return [sse(part), sse(finish(reason)), sse(usage_chunk()), DONE]


QUOTA = (
    "X-RateLimit-Limit: 25.000000\r\nX-RateLimit-Remaining: 24.5\r\n"
    f"X-RateLimit-Reset: {int(NOW.timestamp()) + 60}\r\n"
    "X-Quota-Remaining-Credits: 100\r\nX-Org-Quota-Remaining-Credits: 0.000001\r\n"
)
READ = Quota(
    limit_usd=Decimal(25),
    remaining_usd=Decimal("24.5"),
    reset_at=NOW + timedelta(seconds=60),
    key_usd=Decimal(100),
    org_usd=Decimal("0.000001"),
)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(streamed(STREAM, more=QUOTA), id="an answer"),
        pytest.param([response(b"", status="429 X", more=QUOTA)], id="a refusal"),
        pytest.param(streamed(b"data: oops\n\n", more=QUOTA), id="a broken answer"),
    ],
)
def test_every_outcome_tells_status_and_quota(script: Script) -> None:
    outcome = asked(script)

    assert outcome.quota == READ
    assert outcome.status in {200, 429}


@pytest.mark.parametrize("value", ["", "NaN", "inf", "1e99", "soon", "9" * 99])
def test_a_quota_that_cannot_be_read_is_not_known(value: str) -> None:
    more = QUOTA.replace("24.5", value).replace(str(int(NOW.timestamp()) + 60), value)
    outcome = answered(streamed(STREAM, more=more))

    assert outcome.quota == replace(READ, remaining_usd=None, reset_at=None)


def test_without_any_header_nothing_is_known_of_the_quota() -> None:
    assert answered(streamed(STREAM)).quota == Quota()


def test_a_tool_call_is_decoded_at_the_end() -> None:
    outcome = answered(streamed(*call_frames('{"place": "Bern"}')), offering(LOOK))

    assert outcome.tool_calls == (ToolCall(id="c1", name="look", arguments={"place": "Bern"}),)
    assert (outcome.fault, outcome.text, outcome.anomalies) == (None, "", ())
    assert outcome.timings.first_token_ms is not None


def test_c6_stop_with_tool_calls_is_taken_and_noted() -> None:
    outcome = answered(streamed(*call_frames("{}", reason="stop")), offering(LOOK))

    assert outcome.fault is None
    assert [call.name for call in outcome.tool_calls] == ["look"]
    assert outcome.anomalies == (Anomaly.FINISH_DIFFERS,)


MARKUP = "<\uff5cDSML\uff5cfunction_calls>"
FAULTS: dict[str, tuple[Script, ChatRequest, FailureClass]] = {
    "C9 arguments cut off": (streamed(*call_frames('{"place": ')), offering(LOOK), FailureClass.PROTOCOL),
    "C6 tool_calls without any": (
        streamed(sse(delta("x")), sse(finish("tool_calls")), DONE),
        offering(LOOK),
        FailureClass.PROTOCOL,
    ),
    "tools that were not offered": (streamed(*call_frames("{}")), offering(), FailureClass.PROTOCOL),
    "C6 an unknown finish reason": (
        streamed(sse(delta("x")), sse(finish("never_heard_of")), DONE),
        offering(),
        FailureClass.PROTOCOL,
    ),
    "C6 function_call": (
        streamed(sse(delta("x")), sse(finish("function_call")), DONE),
        offering(),
        FailureClass.PROTOCOL,
    ),
    "C7 no content": (streamed(sse(finish()), DONE), offering(), FailureClass.EMPTY),
    "C7 blanks": (streamed(sse(delta(" \n \n")), sse(finish()), DONE), offering(), FailureClass.EMPTY),
    "C8 reasoning alone": (
        streamed(
            sse({"choices": [{"delta": {"reasoning_content": "Hm."}}]}),
            sse(finish()),
            sse(usage_chunk()),
            DONE,
        ),
        offering(),
        FailureClass.EMPTY,
    ),
    "C10 markup": (
        streamed(sse(delta(f"{MARKUP}x")), sse(finish()), DONE),
        offering(),
        FailureClass.PROTOCOL,
    ),
    "C10 older markup": (
        streamed(sse(delta("<\uff5ctool\u2581calls\u2581begin\uff5c>")), sse(finish()), DONE),
        offering(),
        FailureClass.PROTOCOL,
    ),
}


@pytest.mark.parametrize(("script", "request_", "expected"), FAULTS.values(), ids=FAULTS)
def test_a_complete_answer_of_no_use_is_paid_for_and_says_why(
    script: Script, request_: ChatRequest, expected: FailureClass
) -> None:
    outcome = answered(script, request_)

    assert outcome.fault is not None
    assert outcome.fault.failure is expected


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param("cut", "length", id="C6 length says it itself"),
        pytest.param("", "length", id="C6 length without content"),
        pytest.param("", "content_filter", id="C6 content_filter says it itself"),
        pytest.param(f"Mends it\n```python\n{MARKUP}\n```\n", "stop", id="C10 markup that is code"),
    ],
)
def test_what_its_finish_reason_explains_has_no_fault(content: str, reason: str) -> None:
    outcome = answered(streamed(sse(delta(content)), sse(finish(reason)), sse(usage_chunk()), DONE))

    assert (outcome.fault, outcome.finish_reason, outcome.text) == (None, reason, content)


@pytest.mark.parametrize("reason", ["insufficient_system_resource", "error"])
def test_c6_a_model_that_breaks_off_may_be_billed(reason: str) -> None:
    outcome = asked(streamed(sse(delta("Hel")), sse(finish(reason)), sse(usage_chunk()), DONE))

    assert isinstance(outcome, Unknown)
    assert outcome.failure.failure is FailureClass.INTERRUPTED
    assert outcome.partial == "Hel"
    assert outcome.usage is not None
    assert outcome.usage.raw == USAGE


def test_c8_reasoning_is_kept_apart() -> None:
    thoughts = [
        {"reasoning_content": ""},
        {"reasoning_content": "Hm, "},
        {"content": "Yes", "reasoning": "so."},
    ]
    frames = [sse({"choices": [{"index": 0, "delta": part}]}) for part in thoughts]
    outcome = answered(streamed(*frames, sse(finish()), sse(usage_chunk()), DONE))

    assert (outcome.text, outcome.reasoning) == ("Yes", "Hm, so.")


def test_c14_reasoning_goes_back_with_the_tool_calls_it_led_to() -> None:
    thought = sse({"choices": [{"index": 0, "delta": {"reasoning_content": "Hm."}}]})
    with_tools = answered(streamed(thought, *call_frames('{"place": "Bern"}')), offering(LOOK))
    without = answered(streamed(thought, STREAM))

    assert with_tools.as_message() == {
        "role": "assistant",
        "content": "",
        "reasoning_content": "Hm.",
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"place":"Bern"}'}}
        ],
    }
    assert without.as_message() == {"role": "assistant", "content": "Hello"}


def usage(**more: object) -> bytes:
    return sse(usage_chunk({**USAGE, **more}))


ODD: dict[str, tuple[list[bytes], set[Anomaly]]] = {
    "nothing": ([usage()], set()),
    "both spellings alike": (
        [usage(prompt_cache_hit_tokens=64, prompt_tokens_details={"cached_tokens": 64})],
        set(),
    ),
    "no usage": ([], {Anomaly.USAGE_MISSING}),
    "usage that cannot be": ([usage(prompt_tokens=-1)], {Anomaly.USAGE_IMPOSSIBLE}),
    "two counts of cached tokens": (
        [usage(prompt_cache_hit_tokens=64, prompt_tokens_details={"cached_tokens": 32})],
        {Anomaly.CACHED_DIFFER},
    ),
    "hit and miss are not the prompt": (
        [usage(prompt_cache_hit_tokens=64, prompt_cache_miss_tokens=64)],
        {Anomaly.CACHED_DIFFER},
    ),
    "more cached than sent": ([usage(prompt_cache_hit_tokens=101)], {Anomaly.CACHED_OVER_INPUT}),
    "more reasoning than output": (
        [usage(completion_tokens_details={"reasoning_tokens": 21})],
        {Anomaly.REASONING_OVER_OUTPUT},
    ),
    "a total of its own": ([usage(total_tokens=121)], {Anomaly.TOTAL_DIFFERS}),
    "a total that is text": ([usage(total_tokens="120")], {Anomaly.TOTAL_DIFFERS}),
    "more output than was asked for": (
        [usage(completion_tokens=65, total_tokens=165)],
        {Anomaly.OUTPUT_OVER_MAX},
    ),
    "more input than was sent": (
        [usage(prompt_tokens=9000, total_tokens=9020)],
        {Anomaly.INPUT_OVER_BOUND},
    ),
    "another model": ([sse(delta("", model="deepseek-v4-flash-0901")), usage()], {Anomaly.MODEL_DIFFERS}),
    "another choice": ([sse({"choices": [{"index": 1, "delta": {}}]}), usage()], {Anomaly.MORE_CHOICES}),
}


@pytest.mark.parametrize(("frames", "expected"), ODD.values(), ids=ODD)
def test_what_is_odd_about_an_answer_is_listed(frames: list[bytes], expected: set[Anomaly]) -> None:
    outcome = answered(streamed(sse(delta("Hello")), sse(finish()), *frames, DONE))

    assert set(outcome.anomalies) == expected
    assert outcome.fault is None


def test_an_impossible_report_is_kept_as_it_was_sent() -> None:
    report = {**USAGE, "prompt_tokens": "many", "note": None}
    outcome = answered(streamed(sse(delta("Hello")), sse(finish()), sse(usage_chunk(report)), DONE))

    assert outcome.usage is None
    assert outcome.raw_usage == report


def test_s7_a_stream_that_ends_in_an_error_keeps_the_usage_it_told() -> None:
    outcome = asked(streamed(sse(delta("Hel")), sse({"error": {"code": "x"}, "usage": USAGE})))

    assert isinstance(outcome, Rejected)
    assert outcome.usage is not None
    assert outcome.raw_usage == USAGE


EVERYTHING = replace(
    question(stream=True),
    model="deepseek-v4-pro",
    tools=[LOOK],
    response_format=JsonObject(),
    reasoning=True,
    temperature=0.0,
)
NAMED: dict[str, tuple[dict[str, Any], str | None]] = {
    "param": ({"error": {"message": "no", "param": "stream_options"}}, "stream_options"),
    "a part of it": ({"error": {"message": "no", "param": "stream_options.include_usage"}}, "stream_options"),
    "an item of it": ({"error": {"message": "no", "param": "tools[0].function.strict"}}, "tools"),
    "message": ({"error": {"message": "Unrecognized request argument: stream_options"}}, "stream_options"),
    "message in quotes": ({"error": {"message": "Unknown name 'reasoning': cannot find"}}, "reasoning"),
    "message with a colon": ({"error": {"message": "temperature: must be 1"}}, "temperature"),
    "parameter tools": ({"error": {"message": "Unsupported parameter: tools"}}, "tools"),
    "the first of two": (
        {"error": {"message": "`reasoning` cannot be used with `temperature`"}},
        "reasoning",
    ),
    "a list of details": (
        {"detail": [{"loc": ["body", "response_format"], "msg": "Extra inputs are not permitted"}]},
        "response_format",
    ),
    "a field that must stay": ({"error": {"message": "messages: too short", "param": "messages"}}, None),
    "a field that was not sent": ({"error": {"message": "no", "param": "seed"}}, None),
    "an ordinary word": ({"error": {"message": "The reasoning of your tools is unclear"}}, None),
    "nothing": ({"error": {"message": "no"}}, None),
    "a string": ({"error": "no"}, None),
}


@pytest.mark.parametrize("status", ["400 Bad Request", "422 Unprocessable"])
@pytest.mark.parametrize(("body", "expected"), NAMED.values(), ids=NAMED)
def test_h1_a_refusal_that_names_an_optional_field_says_which(
    body: dict[str, Any], expected: str | None, status: str
) -> None:
    outcome = asked([response(json.dumps(body).encode(), status=status)], EVERYTHING)

    assert isinstance(outcome, Rejected)
    assert outcome.failure.failure is FailureClass.REQUEST
    assert outcome.parameter == expected


def test_c15_a_field_is_dropped_once_and_the_request_passes() -> None:
    refusal = response(b'{"error": {"param": "reasoning", "message": "unknown"}}', status="400 X")
    with RawServer([refusal], streamed(STREAM)) as server:
        [first] = ask(server.url, request=EVERYTHING)
        assert isinstance(first, Rejected)
        assert first.parameter is not None
        able = capability_of(EVERYTHING.model).without(first.parameter)
        [second] = ask(server.url, request=replace(EVERYTHING, capability=able))
        sent = [json.loads(received.body) for received in server.requests]

    assert isinstance(second, Answered)
    assert ["reasoning" in body for body in sent] == [True, False]


@pytest.mark.parametrize(
    "error",
    [
        {"code": "context_length_exceeded", "message": "too long"},
        {"type": "exceed_context_size_error", "message": "too long", "code": 400},
        {
            "code": "invalid_request_error",
            "message": "This model's maximum context length is 65536 tokens. However, you requested 70000",
        },
        {"message": "the request exceeds the available context size"},
    ],
    ids=["this gateway", "llama.cpp", "DeepSeek", "by its message alone"],
)
def test_h1_a_prompt_that_is_too_long_is_known_whoever_says_so(error: dict[str, Any]) -> None:
    outcome = asked([response(json.dumps({"error": error}).encode(), status="400 X")])

    assert isinstance(outcome, Rejected)
    assert outcome.failure.failure is FailureClass.CONTEXT_TOO_LONG
    assert outcome.parameter is None


@pytest.mark.parametrize(
    ("status", "value", "expected"),
    [
        pytest.param("503 X", "false", FailureClass.REQUEST, id="H6 never again"),
        pytest.param("400 X", "true", FailureClass.SERVER, id="H6 again"),
        pytest.param("401 X", "true", FailureClass.ACCOUNT, id="H6 says nothing of the account"),
        pytest.param("503 X", "perhaps", FailureClass.SERVER, id="H6 unreadable"),
    ],
)
def test_h6_the_gateway_may_say_whether_to_try_again(status: str, value: str, expected: FailureClass) -> None:
    outcome = asked([response(b"", status=status, more=f"X-Should-Retry: {value}\r\n")])

    assert isinstance(outcome, Rejected)
    assert outcome.failure.failure is expected


def test_the_stand_in_is_told_by_its_fingerprint_alone() -> None:
    outcome = answered([response(plain(system_fingerprint="stand-in"))])

    assert outcome.stand_in
    assert outcome.system_fingerprint == "stand-in"
