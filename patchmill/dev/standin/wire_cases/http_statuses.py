"""H1 to H6: statuses other than 200, their bodies and the headers that say when to come again."""

import time
from collections.abc import Callable, Iterator
from email.utils import formatdate

from patchmill.dev.standin.catalogue import CONTEXT_TOKENS
from patchmill.dev.standin.chat.wire import encode
from patchmill.dev.standin.wire_cases.case import Billed, Mode, WireCase
from patchmill.dev.standin.wire_cases.reply import HTML, Reply, Step, refused, sized

_RESET_S = 3
_PAGE = b"<!doctype html><title>Bad gateway</title><h1>Bad gateway</h1>"

# Name, status, code, message, parameter.
_REFUSALS: tuple[tuple[str, int, str, str, str | None], ...] = (
    ("H1_400_invalid_param", 400, "invalid_param", "messages: Input should be a valid list", "messages"),
    ("H1_400_model_not_found", 400, "model_not_found", "The model does not exist.", "model"),
    (
        "H1_400_unknown_field",
        400,
        "invalid_param",
        "Unrecognized parameter: stream_options",
        "stream_options",
    ),
    ("H1_401_invalid_api_key", 401, "invalid_api_key", "The API key is missing or not valid.", None),
    ("H1_402_insufficient_balance", 402, "insufficient_balance", "The wallet is empty.", None),
    ("H1_402_quota_exceeded", 402, "quota_exceeded", "The key's lifetime quota is used up.", None),
    ("H1_403_permission_denied", 403, "permission_denied", "This address is not allowed.", None),
    ("H1_403_model_not_in_group", 403, "model_not_in_group", "The key's group has not this model.", None),
    ("H1_404_not_found", 404, "not_found", "Not Found.", None),
    ("H1_413_request_too_large", 413, "request_too_large", "The body is too large.", None),
    ("H1_422_unprocessable", 422, "unprocessable_content", "The content cannot be processed.", None),
    ("H2_429_concurrency", 429, "concurrency_limit", "The account has its limit in flight.", None),
    ("H2_429_insufficient_quota", 429, "insufficient_quota", "You exceeded your current quota.", None),
    ("H3_500_internal_error", 500, "internal_error", "Something went wrong inside.", None),
    ("H3_502_upstream_error", 502, "upstream_error", "The upstream answered badly.", None),
    ("H3_503_no_capacity", 503, "no_capacity", "No capacity for this model now.", None),
    ("H3_504_upstream_timeout", 504, "upstream_timeout", "The upstream took too long.", None),
    ("H3_529_overloaded", 529, "overloaded", "Overloaded.", None),
    ("H4_408_request_timeout", 408, "request_timeout", "The request took too long to arrive.", None),
    ("H4_409_conflict", 409, "conflict", "Another request is being served.", None),
    ("H4_425_too_early", 425, "too_early", "The request came too early.", None),
    (
        "C14_reasoning_not_replayed",
        400,
        "invalid_param",
        "messages: reasoning_content is missing",
        "messages",
    ),
    ("C15_strict_tools_unknown", 400, "invalid_param", "tools.0.function.strict: not supported", "tools"),
    ("C15_thinking_field_unknown", 400, "invalid_param", "Unrecognized parameter: thinking", "thinking"),
)


def _case(
    name: str, summary: str, status: int, steps: Callable[[Reply], list[Step]], code: str | None = None
) -> WireCase:
    return WireCase(
        name=name,
        summary=summary,
        steps=steps,
        usage=Billed.NOTHING,
        mode=Mode.ANY,
        status=status,
        code=code,
        answers=False,
    )


def _refusals() -> Iterator[WireCase]:
    for name, status, code, message, param in _REFUSALS:

        def steps(
            reply: Reply, refusal: tuple[int, str, str] = (status, code, message), param: str | None = param
        ) -> list[Step]:
            return refused(reply, *refusal, param=param)

        yield _case(name, f"Refuses with {status} `{code}`: {message.rstrip('.')}.", status, steps, code)


def _too_long(reply: Reply) -> list[Step]:
    asked = reply.usage.input_tokens + reply.max_tokens
    message = (
        f"This model's maximum context length is {CONTEXT_TOKENS} tokens, and you requested {asked} tokens "
        f"({reply.usage.input_tokens} in the messages, {reply.max_tokens} in the completion)."
    )
    return refused(reply, 400, "context_length_exceeded", message, param="messages")


def _spend_cap(reply: Reply) -> list[Step]:
    # Rounded up, so that a client that waits until then has really waited.
    reset = int(time.time()) + 1 + _RESET_S
    headers = [("X-RateLimit-Remaining", "0.000000"), ("X-RateLimit-Reset", str(reset))]
    return refused(reply, 429, "rate_limit_error", "The key's spend cap is reached.", headers=headers)


def _max_tokens(reply: Reply) -> list[Step]:
    message = "Invalid max_tokens value, the valid range of max_tokens is [1, 8192]"
    return refused(reply, 400, "invalid_param", message, param="max_tokens")


def _odd_bodies() -> Iterator[WireCase]:
    yield _case(
        "H1_400_context_length_exceeded",
        "Refuses with 400 and names the window and the tokens that were asked for.",
        400,
        _too_long,
        "context_length_exceeded",
    )
    yield _case(
        "H1_400_max_tokens_range", "Refuses with 400 and names the range.", 400, _max_tokens, "invalid_param"
    )
    yield _case(
        "H1_400_error_is_text",
        "Refuses with 400 and an `error` that is a string.",
        400,
        lambda reply: sized(reply, encode({"error": "bad request"}), status=400),
    )
    yield _case(
        "H1_401_empty_body",
        "Refuses with 401 and no body.",
        401,
        lambda reply: sized(reply, b"", status=401, content_type=None),
    )
    yield _case(
        "H1_422_detail_list",
        "Refuses with 422 and a `detail` list instead of the envelope.",
        422,
        lambda reply: sized(reply, encode({"detail": [{"loc": ["body"], "msg": "wrong"}]}), status=422),
    )
    yield _case(
        "H2_429_spend_cap",
        "Refuses with 429; X-RateLimit-Reset says when spending may go on.",
        429,
        _spend_cap,
        "rate_limit_error",
    )
    yield _case(
        "H2_429_empty_body",
        "Refuses with 429, no body, and no header that says how long.",
        429,
        lambda reply: sized(reply, b"", status=429, content_type=None),
    )
    yield _case(
        "H3_502_html",
        "Refuses with 502 and a page in HTML.",
        502,
        lambda reply: sized(reply, _PAGE, status=502, content_type=HTML),
    )
    yield _case(
        "H3_503_empty_body",
        "Refuses with 503 and no body.",
        503,
        lambda reply: sized(reply, b"", status=503, content_type=None),
    )
    yield _case(
        "H3_524_text",
        "Refuses with 524, which only proxies use, and a line of text.",
        524,
        lambda reply: sized(reply, b"error code: 524", status=524, content_type="text/plain"),
    )


def _date(seconds: float) -> str:
    return formatdate(time.time() + seconds, usegmt=True)


# Name, status, what the summary says, header, its value when it is sent.
_HEADERS: tuple[tuple[str, int, str, str, Callable[[], str]], ...] = (
    ("H5_retry_after_seconds", 429, "whole seconds", "Retry-After", lambda: "2"),
    ("H5_retry_after_fraction", 429, "seconds and a fraction", "Retry-After", lambda: "0.5"),
    ("H5_retry_after_date", 503, "an HTTP date 2 s ahead", "Retry-After", lambda: _date(2)),
    ("H5_retry_after_past_date", 503, "an HTTP date that is past", "Retry-After", lambda: _date(-60)),
    ("H5_retry_after_zero", 429, "zero", "Retry-After", lambda: "0"),
    ("H5_retry_after_negative", 429, "a negative number", "Retry-After", lambda: "-5"),
    ("H5_retry_after_nan", 429, "`NaN`", "Retry-After", lambda: "NaN"),
    ("H5_retry_after_infinite", 429, "`inf`", "Retry-After", lambda: "inf"),
    ("H5_retry_after_years", 503, "a number of some thirty years", "Retry-After", lambda: "999999999"),
    ("H5_retry_after_words", 503, "words", "Retry-After", lambda: "in a moment"),
    ("H5_retry_after_ms", 429, "milliseconds, in the header of that name", "retry-after-ms", lambda: "300"),
    ("H5_x_ms_retry_after_ms", 429, "milliseconds", "x-ms-retry-after-ms", lambda: "300"),
    ("H6_should_retry_false", 503, "`false`", "x-should-retry", lambda: "false"),
    ("H6_should_retry_true", 400, "`true`", "x-should-retry", lambda: "true"),
)
_CODES = {400: "invalid_param", 429: "concurrency_limit", 503: "no_capacity"}


def _with_header() -> Iterator[WireCase]:
    for name, status, says, header, value in _HEADERS:

        def steps(
            reply: Reply, status: int = status, header: str = header, value: Callable[[], str] = value
        ) -> list[Step]:
            return refused(reply, status, _CODES[status], "Refused.", headers=[(header, value())])

        yield _case(name, f"Refuses with {status}; {header} is {says}.", status, steps, _CODES[status])


HTTP_STATUSES = (*_refusals(), *_odd_bodies(), *_with_header())
