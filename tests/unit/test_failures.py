from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchmill.call.failures import (
    Report,
    clean,
    failure_of_frame,
    failure_of_status,
    read_report,
    retry_after_s,
)
from patchmill.job.failure import FailureClass as Class

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
KEY = "sk-byts-0123456789abcdef"


def report(code: str | None = None, kind: str | None = None) -> Report:
    return Report(code=code, type=kind, message="")


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "invalid_param", Class.REQUEST),
        (400, "model_not_found", Class.MODEL),
        (400, "context_length_exceeded", Class.CONTEXT_TOO_LONG),
        (400, None, Class.REQUEST),
        (401, "invalid_api_key", Class.ACCOUNT),
        (401, None, Class.ACCOUNT),
        (402, "insufficient_balance", Class.ACCOUNT),
        (402, "quota_exceeded", Class.ACCOUNT),
        (403, "permission_denied", Class.ACCOUNT),
        (403, "model_not_in_group", Class.MODEL),
        (404, "not_found", Class.REQUEST),
        (413, "request_too_large", Class.REQUEST),
        (422, None, Class.REQUEST),
        (429, "rate_limit_error", Class.SPEND_CAP),
        (429, "concurrency_limit", Class.CONCURRENCY),
        (429, "never_heard_of", Class.SPEND_CAP),
        (429, None, Class.SPEND_CAP),
        *((status, None, Class.SERVER) for status in (500, 502, 503, 504, *range(520, 530), 599)),
        (500, "invalid_param", Class.SERVER),
        (408, None, Class.BROKEN),
        (408, "concurrency_limit", Class.BROKEN),
        (409, None, Class.SERVER),
        (425, None, Class.SERVER),
        (418, None, Class.REQUEST),
        (301, None, Class.SERVER),
        (307, "invalid_param", Class.SERVER),
    ],
)
def test_status_and_code_decide_the_class(status: int, code: str | None, expected: Class) -> None:
    assert failure_of_status(status, report(code), {}, now=NOW).failure is expected


def test_the_code_wins_over_the_type() -> None:
    said = report("concurrency_limit", "rate_limit_error")

    assert failure_of_status(429, said, {}, now=NOW).failure is Class.CONCURRENCY


def test_the_type_counts_where_the_code_says_nothing() -> None:
    said = report(None, "context_length_exceeded")

    assert failure_of_status(400, said, {}, now=NOW).failure is Class.CONTEXT_TOO_LONG


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"code": "concurrency_limit"}, Class.CONCURRENCY),
        ({"type": "rate_limit_error"}, Class.SPEND_CAP),
        ({"code": 429}, Class.SPEND_CAP),
        ({"code": 502, "message": "upstream"}, Class.SERVER),
        ({"code": 400}, Class.REQUEST),
        ({"code": "upstream_timeout"}, Class.SERVER),
        ({"code": True}, Class.SERVER),
        pytest.param({"code": 10**5000}, Class.SERVER, id="a code of 5,000 digits"),
        ("overloaded", Class.SERVER),
        ([1], Class.SERVER),
    ],
    ids=repr,
)
def test_an_error_within_a_stream_is_classified_by_its_code(error: object, expected: Class) -> None:
    assert failure_of_frame(read_report(error, secret=KEY)).failure is expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param({"retry-after": "7"}, 7.0, id="H5 integer"),
        pytest.param({"retry-after": "1.5"}, 1.5, id="H5 float"),
        pytest.param({"retry-after": "Sun, 22 Nov 2026 12:01:00 GMT"}, 60.0, id="H5 date"),
        pytest.param({"retry-after": "Sun, 22 Nov 2026 11:59:00 GMT"}, None, id="H5 date in the past"),
        pytest.param({"retry-after": "Sun, 22 Nov 2026 12:01:00 -0000"}, 60.0, id="H5 date without a zone"),
        pytest.param({"retry-after-ms": "250"}, 0.25, id="H5 milliseconds"),
        pytest.param({"x-ms-retry-after-ms": "250"}, 0.25, id="H5 other milliseconds"),
        pytest.param({"retry-after-ms": "250", "retry-after": "9"}, 0.25, id="H5 milliseconds win"),
        pytest.param({"retry-after-ms": "soon", "retry-after": "9"}, 9.0, id="H5 unreadable milliseconds"),
        pytest.param({"retry-after": "0"}, None, id="H5 zero"),
        pytest.param({"retry-after": "-3"}, None, id="H5 negative"),
        pytest.param({"retry-after": "NaN"}, None, id="H5 not a number"),
        pytest.param({"retry-after": "inf"}, None, id="H5 infinite"),
        pytest.param({"retry-after": "99999999"}, 3600.0, id="H5 absurd"),
        pytest.param({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, 3600.0, id="H5 absurd date"),
        pytest.param({"retry-after": "tomorrow"}, None, id="H5 unreadable"),
        pytest.param({"retry-after": ""}, None, id="H5 empty"),
        pytest.param({}, None, id="H5 absent"),
    ],
)
def test_retry_after_is_read_in_all_its_forms(headers: Mapping[str, str], expected: float | None) -> None:
    assert retry_after_s(headers, now=NOW) == expected


@given(st.text(max_size=40))
def test_any_retry_after_is_a_sane_wait_or_none(text: str) -> None:
    wait_s = retry_after_s({"retry-after": text}, now=NOW)

    assert wait_s is None or 0 < wait_s <= 3600


@pytest.mark.parametrize(
    ("reset", "retry_after", "expected"),
    [
        pytest.param(NOW.timestamp() + 5 * 3600, None, 5 * 3600.0, id="H2 the reset is exact"),
        pytest.param(NOW.timestamp() + 60, "5", 60.0, id="H2 the reset wins over Retry-After"),
        pytest.param(NOW.timestamp() - 60, "5", 5.0, id="H2 a reset in the past"),
        pytest.param(NOW.timestamp() * 1000, "5", 5.0, id="H2 a reset that is no Unix time"),
        pytest.param("soon", None, None, id="H2 an unreadable reset"),
    ],
)
def test_a_spend_cap_waits_for_its_reset(reset: object, retry_after: str | None, expected: float) -> None:
    headers = {"x-ratelimit-reset": str(reset)} | ({"retry-after": retry_after} if retry_after else {})

    assert failure_of_status(429, report(), headers, now=NOW).retry_after_s == expected


@pytest.mark.parametrize(
    ("left", "code", "expected"),
    [
        pytest.param("12.5", None, Class.CONCURRENCY, id="money is left: it is no spend cap"),
        pytest.param("0.000000", None, Class.SPEND_CAP, id="nothing is left"),
        pytest.param("12.5", "rate_limit_error", Class.SPEND_CAP, id="the code knows better"),
    ],
)
def test_h2_a_429_without_a_code_is_told_by_what_is_left(
    left: str, code: str | None, expected: Class
) -> None:
    headers = {"x-ratelimit-remaining": left, "x-ratelimit-reset": str(NOW.timestamp() + 60)}
    failure = failure_of_status(429, report(code), headers, now=NOW)

    assert failure.failure is expected
    assert failure.retry_after_s == (60.0 if expected is Class.SPEND_CAP else None)


def test_the_reset_says_nothing_about_concurrency() -> None:
    headers = {"x-ratelimit-reset": str(NOW.timestamp() + 60), "retry-after": "2"}

    assert failure_of_status(429, report("concurrency_limit"), headers, now=NOW).retry_after_s == 2.0


@pytest.mark.parametrize("status", [400, 401, 404, 422])
def test_what_is_never_retried_asks_for_no_wait(status: int) -> None:
    assert failure_of_status(status, report(), {"retry-after": "5"}, now=NOW).retry_after_s is None


def test_a_message_is_one_short_line_without_control_characters() -> None:
    message = clean("a\x1b[31m\r\nb\u202e\0" + "x" * 5000, secret=KEY)

    assert message.startswith("a [31m b x")
    assert message.isprintable()
    assert len(message) == 300


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"key {KEY} is unknown", id="in full"),
        pytest.param("x" * 290 + KEY, id="where the message is cut"),
        pytest.param(" " * 2390 + KEY, id="where reading ends"),
        pytest.param("key sk-byts-01234567… is unknown", id="its beginning"),
    ],
)
def test_a_message_never_holds_the_key(text: str) -> None:
    assert "0123" not in clean(text, secret=KEY)


def test_a_key_of_another_shape_is_removed_too() -> None:
    assert clean("bad key hunter2", secret="hunter2") == "bad key [key]"


@given(st.none() | st.text() | st.integers() | st.floats() | st.lists(st.text(), max_size=2))
def test_any_error_value_gives_a_printable_report(error: object) -> None:
    said = read_report({"code": error, "type": error, "message": error}, secret=KEY)

    assert said.message.isprintable()
    assert all(part is None or len(part) <= 64 for part in (said.code, said.type))
