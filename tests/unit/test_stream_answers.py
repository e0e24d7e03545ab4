import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchmill.call.stream import AnswerBuilder, MalformedAnswer
from patchmill.call.usage import usage_of
from tests.support.answers import DONE, STREAM, USAGE, built, delta, finish, plain, sse, usage_chunk


def test_a_stream_adds_up_to_its_text_finish_reason_and_usage() -> None:
    answer = built(STREAM)

    assert (answer.text, answer.finish_reason, answer.complete) == ("Hello", "stop", True)
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (100, 20)
    assert answer.usage.raw == USAGE
    assert answer.request_id == "chat-1"


OTHER = {"prompt_tokens": 7, "completion_tokens": 3}
ZERO = {"prompt_tokens": 0, "completion_tokens": 0}


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        pytest.param([finish(), usage_chunk()], (100, 20), id="C1 in a chunk without choices"),
        pytest.param([finish(usage=USAGE)], (100, 20), id="C1 on the chunk that finishes"),
        pytest.param([finish(usage=OTHER), usage_chunk()], (100, 20), id="C1 both: the last wins"),
        pytest.param([finish(usage=USAGE), delta("", usage=None)], (100, 20), id="C1 null says nothing"),
        pytest.param(
            [finish(usage=USAGE), delta("", usage={})], (100, 20), id="C1 an empty one says nothing"
        ),
        pytest.param([delta("a", usage=OTHER), finish(usage=USAGE)], (100, 20), id="C1 running totals"),
        pytest.param([finish(), {"choices": None, "usage": USAGE}], (100, 20), id="C1 choices null"),
        pytest.param([finish(), {"usage": USAGE}], (100, 20), id="C1 choices absent"),
        pytest.param([finish()], None, id="C2 no usage at all"),
        pytest.param([finish(usage=ZERO)], (0, 0), id="C3 explicit zeros"),
        pytest.param([finish(usage=USAGE), usage_chunk(ZERO)], (0, 0), id="C3 zeros replace numbers"),
    ],
)
def test_the_last_usage_that_was_said_counts(
    chunks: list[dict[str, Any]], expected: tuple[int, int] | None
) -> None:
    answer = built(*map(sse, chunks), DONE)

    assert answer.complete
    usage = answer.usage
    assert (usage and (usage.input_tokens, usage.output_tokens)) == expected


@pytest.mark.parametrize(
    ("more", "cached"),
    [
        pytest.param({"prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36}, 64, id="C4 DeepSeek"),
        pytest.param({"prompt_tokens_details": {"cached_tokens": 64}}, 64, id="C4 OpenAI"),
        pytest.param({}, 0, id="C4 neither"),
        pytest.param({"prompt_tokens_details": None, "prompt_cache_hit_tokens": None}, 0, id="C4 null"),
        pytest.param({"prompt_tokens_details": {"audio_tokens": 1}}, 0, id="C4 details about other things"),
        pytest.param(
            {"prompt_cache_hit_tokens": 64, "prompt_tokens_details": {"cached_tokens": 32}},
            32,
            id="C4 both differ: the dearer counts",
        ),
        pytest.param({"prompt_cache_hit_tokens": 0, "prompt_tokens_details": {}}, 0, id="C4 zero"),
        pytest.param({"prompt_cache_hit_tokens": 101}, 0, id="C4 more than the prompt is not believed"),
    ],
)
def test_cached_tokens_are_read_in_either_spelling(more: dict[str, Any], cached: int) -> None:
    usage = usage_of({**USAGE, **more})

    assert usage is not None
    assert usage.cached_tokens == cached


def test_c5_reasoning_tokens_are_a_part_of_the_output() -> None:
    usage = usage_of({**USAGE, "completion_tokens_details": {"reasoning_tokens": 21}, "total_tokens": 9})

    assert usage is not None
    assert (usage.output_tokens, usage.reasoning_tokens) == (20, 20)


@pytest.mark.parametrize(
    "wrong",
    [-1, 1.0, 12.5, "100", True, 10**12, [], {}, 1e999],
    ids=lambda value: f"C5 {value!r}",
)
@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens", "prompt_cache_hit_tokens"])
def test_numbers_that_cannot_be_true_refuse_the_report_and_keep_it_raw(name: str, wrong: object) -> None:
    answer = built(sse(finish(usage={**USAGE, name: wrong})), DONE)

    assert answer.complete
    assert answer.usage is None
    assert isinstance(answer.raw_usage, dict)
    assert answer.raw_usage["total_tokens"] == 120


@pytest.mark.parametrize("report", [{"prompt_tokens": 1}, {"completion_tokens": 1}, "12", [1], 5])
def test_a_report_without_both_counts_is_no_usage(report: object) -> None:
    assert usage_of(report) is None


@given(st.dictionaries(st.sampled_from(sorted(USAGE)), st.integers() | st.floats() | st.none()))
def test_usage_never_counts_below_zero_or_beyond_what_is_believed(report: dict[str, Any]) -> None:
    usage = usage_of(report)

    if usage is not None:
        assert 0 <= usage.cached_tokens <= usage.input_tokens <= 100_000_000
        assert 0 <= usage.reasoning_tokens <= usage.output_tokens <= 100_000_000


@pytest.mark.parametrize(
    "reason",
    ["stop", "length", "tool_calls", "content_filter", "insufficient_system_resource", "never_heard_of"],
)
def test_c6_the_finish_reason_is_given_as_it_came(reason: str) -> None:
    assert built(sse(finish(reason)), DONE).finish_reason == reason


@pytest.mark.parametrize("reason", [None, "", 5])
def test_c6_an_answer_without_a_finish_reason_is_not_complete(reason: object) -> None:
    answer = AnswerBuilder()
    answer.add_body(plain(reason=reason))

    assert not answer.complete


@pytest.mark.parametrize("content", ["", "  \n", None], ids=["C7 empty", "C7 JSON mode's blanks", "C8 null"])
def test_blank_content_is_an_answer(content: str | None) -> None:
    answer = AnswerBuilder()
    answer.add_body(plain(content))

    assert answer.complete
    assert answer.text == (content or "")


def test_c8_reasoning_is_never_mixed_into_the_content() -> None:
    parts: list[dict[str, Any]] = [
        {"role": "assistant", "content": None, "reasoning_content": ""},
        {"reasoning_content": "thinking"},
        {"content": "Hel", "reasoning_content": "more"},
        {"role": "assistant", "content": "lo", "refusal": None, "annotations": []},
        {},
    ]
    chunks = [{"choices": [{"index": 0, "delta": part, "logprobs": None}]} for part in parts]

    assert built(*map(sse, chunks), sse(finish()), DONE).text == "Hello"


def test_c11_choice_zero_alone_counts() -> None:
    both = {
        "choices": [
            {"index": 1, "delta": {"content": "other"}, "finish_reason": "length"},
            {"index": 0, "delta": {"content": "mine"}},
        ]
    }
    other = {"choices": [{"index": 1, "delta": {"content": "other"}, "finish_reason": "length"}]}

    answer = built(sse(both), sse(other), sse(finish()), DONE)

    assert (answer.text, answer.finish_reason) == ("mine", "stop")


def test_c11_the_first_names_of_model_and_answer_are_kept() -> None:
    answer = built(
        sse(delta("a", model="asked-v2", system_fingerprint="stand-in")),
        sse(finish(model="other", id="chat-2")),
        DONE,
    )

    assert (answer.returned_model, answer.request_id, answer.fingerprint) == (
        "asked-v2",
        "chat-1",
        "stand-in",
    )


def test_c12_unknown_fields_and_numbers_that_are_not_json_are_tolerated() -> None:
    answer = AnswerBuilder()
    answer.add_body(plain(extra=[{"logprob": float("-inf")}], service_tier="x"))

    assert answer.complete


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param(b"data: upstream broke\n\n", id="S8 plain text"),
        pytest.param(b"data: {\n\n", id="S8 half a document"),
        pytest.param(b"data: null\n\n", id="S8 null"),
        pytest.param(b'data: "text"\n\n', id="S8 a string"),
        pytest.param(b"data: " + b"[" * 100_000 + b"\n\n", id="S8 nested too deeply"),
        pytest.param(sse({"choices": {}}), id="choices of another shape"),
        pytest.param(sse({"choices": ["x"]}), id="a choice of another shape"),
        pytest.param(sse({"choices": [{"delta": "x"}]}), id="a delta of another shape"),
        pytest.param(sse(delta(["x"])), id="content of another shape"),
    ],
)
def test_a_chunk_of_another_shape_is_malformed(chunks: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        built(chunks)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(body, id=f"H7 {name}")
        for name, body in {
            "empty": b"",
            "white space": b" \n\n ",
            "null": b"null",
            "HTML": b"<html><body>Bad gateway</body></html>",
            "truncated": plain()[:-10],
        }.items()
    ]
    + [
        pytest.param(json.dumps({"usage": USAGE}).encode(), id="H9 no choices"),
        pytest.param(json.dumps({"choices": []}).encode(), id="H9 empty choices"),
    ],
)
def test_a_body_that_is_no_answer_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        AnswerBuilder().add_body(body)


def test_h8_blank_lines_before_a_body_are_ignored() -> None:
    answer = AnswerBuilder()
    answer.add_body(b"\n\n \r\n" * 50 + plain())

    assert answer.complete


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        pytest.param(("\ud83d", "\ude00"), "😀", id="a pair split over two chunks"),
        pytest.param(("a\ud83d", "b"), "a\ufffdb", id="a lone half"),
        pytest.param(("a\0", "b"), "a\ufffdb", id="a NUL"),
    ],
)
def test_text_can_always_be_stored(pieces: tuple[str, str], expected: str) -> None:
    chunks = [b"data: " + json.dumps(delta(piece)).encode() + b"\n\n" for piece in pieces]

    assert built(*chunks).text == expected


def test_a_raw_report_can_always_be_stored() -> None:
    usage = usage_of({**USAGE, "note\0": ["\ud83d", float("inf"), {"deep": [[[[[[[[1]]]]]]]]}]})

    assert usage is not None
    json.dumps(usage.raw, allow_nan=False, ensure_ascii=False).encode()
    assert "\0" not in str(dict(usage.raw))


@pytest.mark.parametrize(
    ("frames", "last"),
    [
        pytest.param(sse({"error": {"code": "x"}}), True, id="S7 before any content"),
        pytest.param(
            sse(delta("a")) + sse({"error": "overloaded"}) + DONE, True, id="S7 a string, after some"
        ),
        pytest.param(b"event: error\ndata: overloaded\n\n", True, id="S7 an event named error"),
        pytest.param(
            sse({"error": {"code": "x"}}) + sse(finish(usage=USAGE)) + DONE, False, id="S7 not last"
        ),
    ],
)
def test_a_stream_with_an_error_is_never_complete(frames: bytes, last: bool) -> None:  # noqa: FBT001 - a column
    answer = built(frames)

    assert not answer.complete
    assert answer.error is not None
    assert answer.error_is_last is last


def test_s7_usage_beside_an_error_is_kept() -> None:
    answer = built(sse(delta("a")), sse({"error": {"code": "x"}, "usage": USAGE}))

    assert answer.usage is not None
