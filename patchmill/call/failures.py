"""What a refusal of the gateway means: status, code and headers become one `Failure`, by one table."""

import json
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from patchmill.budget.models import OPTIONAL_FIELDS
from patchmill.job.failure import Failure, FailureClass

LONGEST_MESSAGE = 300
LONGEST_CODE = 64
LARGEST_CODE = 999_999
LONGEST_RETRY_AFTER_S = 3600.0
# The longest spend window of the gateway; a reset beyond it is not believed.
LONGEST_RESET_S = 7 * 24 * 3600.0

# What each documented code means, whatever status it came with.
_BY_CODE = {
    "invalid_param": FailureClass.REQUEST,
    "model_not_found": FailureClass.MODEL,
    "context_length_exceeded": FailureClass.CONTEXT_TOO_LONG,
    "invalid_api_key": FailureClass.ACCOUNT,
    "insufficient_balance": FailureClass.ACCOUNT,
    "quota_exceeded": FailureClass.ACCOUNT,
    "permission_denied": FailureClass.ACCOUNT,
    "model_not_in_group": FailureClass.MODEL,
    "not_found": FailureClass.REQUEST,
    "request_too_large": FailureClass.REQUEST,
    "concurrency_limit": FailureClass.CONCURRENCY,
    "rate_limit_error": FailureClass.SPEND_CAP,
    # Not of this gateway: what others say of a spent account, and of a prompt that is too long.
    "insufficient_quota": FailureClass.ACCOUNT,
    "exceed_context_size_error": FailureClass.CONTEXT_TOO_LONG,
}

# What a status means when its code says nothing: 408 may come from a box between us and a gateway that is
# still serving the call; 409 and 425 ask for another try.
_BY_STATUS = {
    401: FailureClass.ACCOUNT,
    402: FailureClass.ACCOUNT,
    403: FailureClass.ACCOUNT,
    408: FailureClass.BROKEN,
    409: FailureClass.SERVER,
    425: FailureClass.SERVER,
    429: FailureClass.SPEND_CAP,
}

_WAITING = {FailureClass.CONCURRENCY, FailureClass.SPEND_CAP, FailureClass.SERVER, FailureClass.BROKEN}
_CONTEXT = re.compile(r"(?i)\b(?:maximum context length|context (?:length|window|size))\b")
_LOOKED_AT = 8 * LONGEST_MESSAGE
_KEY_SHAPE = re.compile(r"\bsk-[A-Za-z0-9_*.-]{4,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the gateway said about an error, cleaned: its code (or else its type) and its message.

    `parameter` is the field of the request that it named.
    """

    code: str | None
    type: str | None
    message: str
    parameter: str | None = None


def error_in(body: bytes) -> object:
    """Find the error in a refusal's body: its `error`, or what other servers write in its place."""
    try:
        document = json.loads(body.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    if document.get("error") is not None:
        return document["error"]
    return document if isinstance(document.get("message"), str) else _detail(document.get("detail"))


def read_report(error: object, *, secret: str) -> Report:
    """Read the value of an `error` field of whatever shape: an object, a string, or anything else."""
    if isinstance(error, str):
        return Report(code=None, type=None, message=clean(error, secret=secret))
    if not isinstance(error, Mapping):
        return Report(code=None, type=None, message="")
    code, kind, message = error.get("code"), error.get("type"), error.get("message")
    parameter = error.get("param")
    return Report(
        code=_short(code, secret) if isinstance(code, str | int) and not isinstance(code, bool) else None,
        type=_short(kind, secret) if isinstance(kind, str) else None,
        message=clean(message, secret=secret) if isinstance(message, str) else "",
        parameter=_short(parameter, secret) if isinstance(parameter, str) else None,
    )


def parameter_named(report: Report, sent: Collection[str]) -> str | None:
    """Find the optional field, among those that were `sent`, that a refusal names.

    Its `param` decides, such as `stream_options.include_usage`; else the message, where a plain English word
    counts only if it is marked as a name.
    """
    candidates = [name for name in OPTIONAL_FIELDS if name in sent]
    if report.parameter is not None:
        named = re.split(r"[.\[]", report.parameter.removeprefix("body."))[0]
        return named if named in candidates else None
    found = [
        (match.start(), name)
        for name in candidates
        if (match := re.search(_name_pattern(name), report.message)) is not None
    ]
    return min(found)[1] if found else None


def _name_pattern(name: str) -> str:
    if "_" in name:
        return rf"\b{name}\b"
    marked = rf"[`'\"]{name}\b|\b{name}[`'\"]|^{name}\s*[:.\[]|\bbody\.{name}\b"
    return rf"{marked}|(?i:\b(?:parameter|argument|field|property)s?:?\s+){name}\b"


def failure_of_status(status: int, report: Report, headers: Mapping[str, str], *, now: datetime) -> Failure:
    """Classify a response other than 2xx; BROKEN (408 alone) means that it may be billed all the same.

    `headers` is looked up by lower-case name; `now` is aware and is compared with `X-RateLimit-Reset`.
    """
    failure = _as_asked(_class_of_status(status, report), headers)
    if status == HTTPStatus.TOO_MANY_REQUESTS and _class_of_code(report) is None:
        failure = _without_code(headers)
    wait_s = None
    if failure is FailureClass.SPEND_CAP:
        wait_s = _until_reset_s(headers, now=now)
    if wait_s is None and failure in _WAITING:
        wait_s = retry_after_s(headers, now=now)
    message = report.message or f"HTTP {status}"
    return Failure(failure=failure, message=message, retry_after_s=wait_s, quoted=True)


def failure_of_frame(report: Report) -> Failure:
    """Classify an error that the gateway reported within a stream; an unlisted code is the server's fault."""
    failure = _class_of_code(report)
    if failure is None and report.code is not None and re.fullmatch(r"[345]\d\d", report.code):
        failure = _class_of_status(int(report.code), report)
    message = report.message or "the gateway reported an error in the stream"
    return Failure(failure=failure or FailureClass.SERVER, message=message, quoted=bool(report.message))


def retry_after_s(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Read the wait that the headers ask for, in seconds, at most an hour; None if they ask for none.

    The milliseconds' spellings win over `Retry-After`, which is a number of seconds or an HTTP date. What is
    not positive, not finite or not readable asks for nothing.
    """
    for name, unit_s in (("retry-after-ms", 0.001), ("x-ms-retry-after-ms", 0.001), ("retry-after", 1.0)):
        seconds = _positive(headers.get(name), unit_s)
        if seconds is not None:
            return min(seconds, LONGEST_RETRY_AFTER_S)
    try:
        at = parsedate_to_datetime(headers.get("retry-after", ""))
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    wait_s = (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds()
    return min(wait_s, LONGEST_RETRY_AFTER_S) if wait_s > 0 else None


def clean(text: str, *, secret: str) -> str:
    """Make foreign text fit to store and to show: one line, no control characters, no key, at most 300."""
    # Only the beginning is looked at: the rest could be megabytes, and none of it would be kept.
    visible = "".join(c if c.isprintable() else " " for c in text[:_LOOKED_AT])
    # The key goes before the text is shortened, or half of it could be left at the end.
    if secret:
        visible = visible.replace(secret, "[key]")
        if len(text) > _LOOKED_AT:
            visible = visible[: -len(secret)]
    line = " ".join(_KEY_SHAPE.sub("[key]", visible).split())
    return line if len(line) <= LONGEST_MESSAGE else line[: LONGEST_MESSAGE - 1] + "…"


def _without_code(headers: Mapping[str, str]) -> FailureClass:
    """Say what a 429 means whose code says nothing: while money is left to spend, it is no spend cap."""
    left = _positive(headers.get("x-ratelimit-remaining"), 1.0)
    return FailureClass.SPEND_CAP if left is None else FailureClass.CONCURRENCY


def _as_asked(failure: FailureClass, headers: Mapping[str, str]) -> FailureClass:
    """Obey `x-should-retry` where it settles nothing but whether the same request may pass later."""
    asked = headers.get("x-should-retry", "").strip().lower()
    if asked == "false" and failure is FailureClass.SERVER:
        return FailureClass.REQUEST
    if asked == "true" and failure is FailureClass.REQUEST:
        return FailureClass.SERVER
    return failure


def _class_of_status(status: int, report: Report) -> FailureClass:
    if not HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return FailureClass.SERVER
    # A middle box may put any text into a 408; its code settles nothing about the bill.
    by_code = None if status == HTTPStatus.REQUEST_TIMEOUT else _class_of_code(report)
    if status == HTTPStatus.BAD_REQUEST and by_code in {None, FailureClass.REQUEST}:
        # Upstreams say this with any code, and name both numbers in the message.
        by_code = FailureClass.CONTEXT_TOO_LONG if _CONTEXT.search(report.message) else by_code
    return by_code or _BY_STATUS.get(status, FailureClass.REQUEST)


def _class_of_code(report: Report) -> FailureClass | None:
    return _BY_CODE.get(report.code or "") or _BY_CODE.get(report.type or "")


def _until_reset_s(headers: Mapping[str, str], *, now: datetime) -> float | None:
    reset_at = _positive(headers.get("x-ratelimit-reset"), 1.0)
    if reset_at is None:
        return None
    wait_s = reset_at - now.timestamp()
    return wait_s if 0 < wait_s <= LONGEST_RESET_S else None


def _positive(text: str | None, unit: float) -> float | None:
    try:
        value = float(text or "") * unit
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


def _short(value: str | int, secret: str) -> str | None:
    # A whole number of thousands of digits cannot be printed, and is no code.
    if isinstance(value, int) and abs(value) > LARGEST_CODE:
        return None
    return clean(str(value), secret=secret)[:LONGEST_CODE] or None


def _detail(detail: object) -> object:
    """Read the refusal of a server that checks bodies by a schema: where it went wrong, and why."""
    first = detail[0] if isinstance(detail, list) and detail else detail
    if not isinstance(first, dict):
        return first if isinstance(first, str) else None
    where = first.get("loc")
    names = [part for part in where if isinstance(part, str)] if isinstance(where, list) else []
    named = next((name for name in names if name != "body"), None)
    return {"message": first.get("msg"), "param": named}
