"""What a client must make of each wire case: the outcome, why, the text, and what it may know of the bill."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from patchmill.call.reply import Anomaly
from patchmill.job.failure import FailureClass as Class

ANSWER = "an answer of several words, which takes several chunks, and has a ü and a € in it"
ARGUMENTS: Mapping[str, Any] = {"path": "app.py", "first_line": 1}
TOOL_NAME = "read_file"

# What a row asks for that no server's behaviour can show: the test that shows it, and why it stands there.
ELSEWHERE: Mapping[str, tuple[str, str]] = {
    "H10 refused connections": ("test_h10_a_refused_connection_sent_nothing", "no server is reached"),
    "H10 TLS": ("test_h10_a_failed_tls_handshake_sent_nothing", "the request never leaves"),
    "C14 replaying": ("test_c14_reasoning_goes_back_with_the_tool_calls_it_led_to", "it is what we send"),
    "C15 dropping a field": ("test_c15_a_field_is_dropped_once_and_the_request_passes", "it takes two calls"),
    "C17 user_id": ("test_c17_no_user_is_ever_named", "it is what we do not send"),
}


class Outcome(StrEnum):
    """The three outcomes of a call, by what they mean for the bill."""

    ANSWERED = "answered"  # billed
    REJECTED = "rejected"  # not billed
    UNKNOWN = "unknown"  # may be billed


class Knows(StrEnum):
    """What an answer tells of its bill."""

    TRUE = "true"  # what was billed
    NOTHING = "nothing"  # no usage, or none that can be true
    BUT_CACHED = "but_cached"  # what was billed, but for how much of the input was cached


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What must come of a case.

    `failure` is the class of a failure, or of the fault of a complete answer. `text` is the whole text of an
    answer, or what must have been kept of a broken one; None: it does not matter. `retry_after_s` is the
    least and the most that a refusal asks to wait. With `either`, the bytes break HTTP around an answer that
    is whole, so taking it is right too.
    """

    outcome: Outcome
    failure: Class | None = None
    text: str | None = ANSWER
    finish: str | None = None
    usage: Knows = Knows.TRUE
    anomalies: frozenset[Anomaly] = frozenset()
    tools: Sequence[Mapping[str, Any]] = ()
    reasoning: bool = False
    parameter: str | None = None
    retry_after_s: tuple[float, float] | None = None
    either: bool = False


def _answered(text: str | None = ANSWER, *odd: Anomaly, finish: str = "stop", **more: Any) -> Expected:
    return Expected(outcome=Outcome.ANSWERED, text=text, finish=finish, anomalies=frozenset(odd), **more)


def _spoilt(fault: Class, text: str | None = ANSWER, *odd: Anomaly, finish: str = "stop") -> Expected:
    return replace(_answered(text, *odd, finish=finish), failure=fault)


def _rejected(failure: Class, *wait_s: float, parameter: str | None = None) -> Expected:
    wait = (min(wait_s), max(wait_s)) if wait_s else None
    return Expected(
        outcome=Outcome.REJECTED, failure=failure, text=None, parameter=parameter, retry_after_s=wait
    )


def _unknown(failure: Class = Class.BROKEN, text: str | None = "") -> Expected:
    return Expected(outcome=Outcome.UNKNOWN, failure=failure, text=text, usage=Knows.NOTHING)


def _called(*calls: Mapping[str, Any], text: str = "", finish: str = "tool_calls", **more: Any) -> Expected:
    return replace(_answered(text, finish=finish, **more), tools=calls)


_HALF = "an answer of several words, which takes several "
FINE = _answered()
_ODD = Anomaly

_STATUSES: Mapping[str, Expected] = {
    "H1_400_invalid_param": _rejected(Class.REQUEST),
    "H1_400_model_not_found": _rejected(Class.MODEL),
    "H1_400_unknown_field": _rejected(Class.REQUEST, parameter="stream_options"),
    "H1_401_invalid_api_key": _rejected(Class.ACCOUNT),
    "H1_402_insufficient_balance": _rejected(Class.ACCOUNT),
    "H1_402_quota_exceeded": _rejected(Class.ACCOUNT),
    "H1_403_permission_denied": _rejected(Class.ACCOUNT),
    "H1_403_model_not_in_group": _rejected(Class.MODEL),
    "H1_404_not_found": _rejected(Class.REQUEST),
    "H1_413_request_too_large": _rejected(Class.REQUEST),
    "H1_422_unprocessable": _rejected(Class.REQUEST),
    "H1_400_context_length_exceeded": _rejected(Class.CONTEXT_TOO_LONG),
    "H1_400_max_tokens_range": _rejected(Class.REQUEST),
    "H1_400_error_is_text": _rejected(Class.REQUEST),
    "H1_401_empty_body": _rejected(Class.ACCOUNT),
    "H1_422_detail_list": _rejected(Class.REQUEST),
    "H2_429_concurrency": _rejected(Class.CONCURRENCY),
    "H2_429_insufficient_quota": _rejected(Class.ACCOUNT),
    "H2_429_spend_cap": _rejected(Class.SPEND_CAP, 1.0, 5.0),
    "H2_429_empty_body": _rejected(Class.CONCURRENCY),
    "H3_500_internal_error": _rejected(Class.SERVER),
    "H3_502_upstream_error": _rejected(Class.SERVER),
    "H3_503_no_capacity": _rejected(Class.SERVER),
    "H3_504_upstream_timeout": _rejected(Class.SERVER),
    "H3_529_overloaded": _rejected(Class.SERVER),
    "H3_502_html": _rejected(Class.SERVER),
    "H3_503_empty_body": _rejected(Class.SERVER),
    "H3_524_text": _rejected(Class.SERVER),
    "H4_408_request_timeout": _unknown(),
    "H4_409_conflict": _rejected(Class.SERVER),
    "H4_425_too_early": _rejected(Class.SERVER),
    "H5_retry_after_seconds": _rejected(Class.CONCURRENCY, 2.0),
    "H5_retry_after_fraction": _rejected(Class.CONCURRENCY, 0.5),
    "H5_retry_after_date": _rejected(Class.SERVER, 0.1, 2.0),
    "H5_retry_after_past_date": _rejected(Class.SERVER),
    "H5_retry_after_zero": _rejected(Class.CONCURRENCY),
    "H5_retry_after_negative": _rejected(Class.CONCURRENCY),
    "H5_retry_after_nan": _rejected(Class.CONCURRENCY),
    "H5_retry_after_infinite": _rejected(Class.CONCURRENCY),
    "H5_retry_after_years": _rejected(Class.SERVER, 3600.0),
    "H5_retry_after_words": _rejected(Class.SERVER),
    "H5_retry_after_ms": _rejected(Class.CONCURRENCY, 0.3),
    "H5_x_ms_retry_after_ms": _rejected(Class.CONCURRENCY, 0.3),
    "H6_should_retry_false": _rejected(Class.REQUEST),
    "H6_should_retry_true": _rejected(Class.SERVER),
    "C14_reasoning_not_replayed": _rejected(Class.REQUEST),
    "C15_strict_tools_unknown": _rejected(Class.REQUEST, parameter="tools"),
    "C15_thinking_field_unknown": _rejected(Class.REQUEST),
}

_HTTP: Mapping[str, Expected] = {
    "H7_html_before_gateway": _unknown(),
    "H7_html_for_answer": _unknown(),
    "H7_html_as_stream": _unknown(),
    "H7_text": _unknown(),
    "H7_empty_body": _unknown(),
    "H7_blank_body": _unknown(),
    "H7_null_body": _unknown(),
    "H7_cut_json": _unknown(),
    "H7_no_content_type": FINE,
    "H7_wrong_content_type": FINE,
    "H7_no_quota_headers": FINE,
    "H7_plain_for_stream": FINE,
    "H7_stream_for_plain": FINE,
    "H8_blank_lines_before_json": FINE,
    "H8_blank_lines_before_events": FINE,
    "H8_blank_lines_forever": _unknown(Class.STALLED),
    "H9_error_in_200": _unknown(),
    "H9_error_as_text_in_200": _unknown(),
    "H9_choices_empty": _unknown(),
    "H9_choices_absent": _unknown(),
    "H9_choices_null": _unknown(),
    "H10_closed_before_answer": _unknown(),
    "H10_reset_before_answer": _unknown(),
    "H10_reset_after_answer": _unknown(),
    "H10_cut_in_headers": _unknown(),
    "H11_redirect_same_host": _rejected(Class.SERVER),
    "H11_redirect_other_host": _rejected(Class.SERVER),
    "H11_gzip": FINE,
    "H11_deflate": FINE,
    "H11_gzip_by_event": FINE,
    "H11_gzip_cut": _unknown(text=None),
    "H11_not_gzip": _unknown(),
    "H11_reset_after_headers": _unknown(),
    "H11_reset_in_stream": _unknown(text=None),
    "H11_length_not_reached": _unknown(text=None),
    "H11_more_than_length": replace(_unknown(), either=True),
    "H11_no_framing": FINE,
    "H11_no_last_chunk": FINE,
    "H11_bad_chunk_size": _unknown(text=None),
    "H11_short_chunk": FINE,
    "H11_odd_chunks": FINE,
    "H11_early_hints": FINE,
}

_STREAMS: Mapping[str, Expected] = {
    "S1_comment_first": FINE,
    "S1_comments_between": FINE,
    "S1_comment_in_event": FINE,
    "S1_comments_forever": _unknown(Class.STALLED),
    "S2_lf": FINE,
    "S2_crlf": FINE,
    "S2_cr": FINE,
    "S2_crlf_split": FINE,
    "S2_bom": FINE,
    "S2_character_split": FINE,
    "S2_byte_by_byte": FINE,
    "S2_one_segment": FINE,
    "S2_events_in_one_chunk": FINE,
    "S3_unicode_separators": FINE,
    "S3_control_characters": _unknown(text=_HALF),
    "S4_no_space": FINE,
    "S4_several_data_lines": FINE,
    "S4_other_fields": FINE,
    "S4_event_without_data": FINE,
    "S4_empty_data": FINE,
    "S4_extra_blank_lines": FINE,
    "S5_done_without_space": FINE,
    "S5_done_with_blanks": FINE,
    "S5_done_without_blank_line": FINE,
    "S5_done_without_line_end": FINE,
    "S5_data_after_done": FINE,
    "S5_open_after_done": FINE,
    "S6_no_done": _answered(ANSWER, _ODD.NO_DONE),
    "S6_no_done_no_usage": _unknown(text=ANSWER),
    "S6_no_finish": _unknown(text=_HALF),
    "S6_no_finish_but_done": _unknown(text=_HALF),
    "S6_no_finish_but_usage": _unknown(text=ANSWER),
    "S6_ends_in_event": _unknown(text=None),
    "S6_cut_in_event": _unknown(text=None),
    "S6_cut_between_events": _unknown(text=_HALF),
    "S6_cut_after_headers": _unknown(),
    "S6_cut_after_finish": _unknown(text=ANSWER),
    "S6_no_events": _unknown(),
    "S6_done_only": _unknown(),
    "S7_error_first": _rejected(Class.SERVER),
    "S7_error_after_content": _rejected(Class.SERVER),
    "S7_error_then_done": _rejected(Class.SERVER),
    "S7_error_is_text": _rejected(Class.SERVER),
    "S7_error_with_number": _rejected(Class.SERVER),
    "S7_error_event": _rejected(Class.SERVER),
    "S7_error_with_usage": _rejected(Class.SERVER),
    "S7_error_beside_choices": _rejected(Class.SERVER),
    "S7_error_null": FINE,
    "S8_not_json": _unknown(text=_HALF),
    "S8_plain_text": FINE,
    "S8_html": FINE,
    "S8_not_an_object": _unknown(text=_HALF),
    "S8_not_utf8": FINE,
    "S8_text_then_end": _unknown(text=_HALF),
    "S9_stall_after_headers": _unknown(Class.STALLED),
    "S9_stall_in_stream": _unknown(Class.STALLED, _HALF),
    "S9_stall_with_comments": _unknown(Class.STALLED, _HALF),
    "S9_stall_before_done": _answered(ANSWER, _ODD.NO_DONE),
    "S9_stall_before_headers": _unknown(Class.STALLED),
    "S9_slow": FINE,
    "S10_large_event": FINE,
    "S10_large_comment": FINE,
    "S10_long_line": _unknown(),
}

_IMPOSSIBLE = _answered(ANSWER, _ODD.USAGE_IMPOSSIBLE, usage=Knows.NOTHING)
_MISSING = _answered(ANSWER, _ODD.USAGE_MISSING, usage=Knows.NOTHING)
_USAGE: Mapping[str, Expected] = {
    "C1_usage_in_last_chunk": FINE,
    "C1_usage_on_finish": FINE,
    "C1_usage_on_content": FINE,
    "C1_usage_twice": FINE,
    "C1_usage_null_elsewhere": FINE,
    "C1_usage_so_far": FINE,
    "C1_usage_without_choices": FINE,
    "C1_usage_after_done": _MISSING,
    "C2_usage_absent": _MISSING,
    "C2_usage_null": _MISSING,
    "C2_usage_empty": _MISSING,
    "C2_usage_half": _IMPOSSIBLE,
    "C3_no_output": _spoilt(Class.EMPTY, ""),
    "C3_zeros": FINE,
    "C4_hit_and_miss": FINE,
    "C4_details": FINE,
    "C4_none": replace(FINE, usage=Knows.BUT_CACHED),
    "C4_details_null": FINE,
    "C4_differ": _answered(ANSWER, _ODD.CACHED_DIFFER),
    "C4_hit_past_prompt": _answered(
        ANSWER, _ODD.CACHED_DIFFER, _ODD.CACHED_OVER_INPUT, usage=Knows.BUT_CACHED
    ),
    "C4_miss_short": _answered(ANSWER, _ODD.CACHED_DIFFER),
    "C5_reasoning_tokens": replace(FINE, reasoning=True),
    "C5_total_wrong": _answered(ANSWER, _ODD.TOTAL_DIFFERS),
    "C5_huge": _IMPOSSIBLE,
    "C5_negative": _IMPOSSIBLE,
    "C5_fractions": _IMPOSSIBLE,
    "C5_texts": _IMPOSSIBLE,
    "C5_booleans": _IMPOSSIBLE,
    "C13_reasoning_unasked": replace(FINE, reasoning=True),
    "C13_reasoning_takes_all": replace(_answered("", finish="length"), reasoning=True),
    "C13_past_max_tokens": replace(_answered(None, _ODD.OUTPUT_OVER_MAX), finish=None),
    "C17_nothing_cached": FINE,
}

_CHOICES: Mapping[str, Expected] = {
    "C6_stop": FINE,
    "C6_length": _answered(finish="length"),
    "C6_content_filter": _answered(finish="content_filter"),
    "C6_insufficient_system_resource": _unknown(Class.INTERRUPTED, ANSWER),
    "C6_function_call": _spoilt(Class.PROTOCOL, finish="function_call"),
    "C6_tool_calls_without_calls": _spoilt(Class.PROTOCOL, finish="tool_calls"),
    "C6_error": _unknown(Class.INTERRUPTED, ANSWER),
    "C6_unknown": _spoilt(Class.PROTOCOL, finish="eos"),
    "C6_empty": _unknown(text=ANSWER),
    "C6_null": _unknown(text=ANSWER),
    "C6_twice": FINE,
    "C6_on_content": FINE,
    "C7_empty_content": _spoilt(Class.EMPTY, ""),
    "C7_blank_content": _spoilt(Class.EMPTY, " \n \n"),
    "C7_json_blank": _spoilt(Class.EMPTY, " " * 256),
    "C7_json_fenced": _answered('```json\n{"answer": "fenced"}\n```'),
    "C7_json_cut": _answered('{"answer": "cut in the mid', finish="length"),
    "C8_content_null": FINE,
    "C8_content_empty": FINE,
    "C8_content_absent": FINE,
    "C8_role_repeated": FINE,
    "C8_reasoning_empty": FINE,
    "C8_reasoning_null": FINE,
    "C8_reasoning_between": replace(FINE, reasoning=True),
    "C8_reasoning_only": replace(_spoilt(Class.EMPTY, ""), reasoning=True),
    "C8_reasoning_other_field": replace(FINE, reasoning=True),
    "C10_markup_in_content": _spoilt(Class.PROTOCOL, None),
    "C10_call_announced": _answered("Let me read the file first."),
    "C11_second_choice": _answered(ANSWER, _ODD.MORE_CHOICES),
    "C11_only_second_choice": _unknown(),
    "C11_ids_vary": FINE,
    "C11_other_version": _answered(ANSWER, _ODD.MODEL_DIFFERS),
    "C11_other_model": _answered(ANSWER, _ODD.MODEL_DIFFERS),
    "C11_fewest_fields": FINE,
    "C11_message_for_delta": FINE,
    "C12_logprobs": FINE,
    "C12_refusal_null": FINE,
    "C12_unknown_fields": FINE,
    "C16_format_ignored": _answered("Here is the answer: change line 1."),
}

_ONE = _called(ARGUMENTS)
_TWO = _called(ARGUMENTS, ARGUMENTS)
_TOOLS: Mapping[str, Expected] = {
    "C6_stop_with_tool_calls": replace(
        _called(ARGUMENTS, finish="stop"), anomalies=frozenset({_ODD.FINISH_DIFFERS})
    ),
    "C9_usual": _ONE,
    "C9_two_calls": _TWO,
    "C9_calls_interleaved": _TWO,
    "C9_index_absent": _ONE,
    "C9_index_null": _ONE,
    "C9_index_from_one": _ONE,
    "C9_index_always_zero": _TWO,
    "C9_index_always_zero_ids": _TWO,
    "C9_same_index_in_chunk": _TWO,
    "C9_id_in_each": _ONE,
    "C9_id_changes": _ONE,
    "C9_id_empty_later": _ONE,
    "C9_id_absent": _ONE,
    "C9_name_split": _ONE,
    "C9_name_in_each": _ONE,
    "C9_arguments_empty": _called({}),
    "C9_arguments_null": _called({}),
    "C9_arguments_object": _called({"path": "app.py"}),
    "C9_arguments_cut": _spoilt(Class.PROTOCOL, "", finish="tool_calls"),
    "C9_beside_content": _called(ARGUMENTS, text="I read the file."),
    "C9_function_call": _spoilt(Class.PROTOCOL, "", finish="function_call"),
}

EXPECTED: Mapping[str, Expected] = {**_STATUSES, **_HTTP, **_STREAMS, **_USAGE, **_CHOICES, **_TOOLS}

# Where a plain answer differs from a streamed one: no clock but the deadline runs before it begins, nothing
# of it counts until all has come, and it names no field of streams.
PLAIN: Mapping[str, Expected] = {
    "H1_400_unknown_field": _rejected(Class.REQUEST),
    "H8_blank_lines_forever": _unknown(Class.DEADLINE),
    "H11_short_chunk": _unknown(text=None),
}


def expected_of(name: str, *, stream: bool) -> Expected:
    """Give what is expected of a case, played to a request for a stream or for a plain answer."""
    return EXPECTED[name] if stream else PLAIN.get(name, EXPECTED[name])
