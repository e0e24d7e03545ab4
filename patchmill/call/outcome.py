"""What a call came to, decided from how far it got rather than from what broke it."""

import json
import logging
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import httpx

from patchmill.budget.tokens import input_bound
from patchmill.call.exchange import Exchange
from patchmill.call.failures import (
    clean,
    error_in,
    failure_of_frame,
    failure_of_status,
    parameter_named,
    read_report,
)
from patchmill.call.headers import quota_of
from patchmill.call.reply import Anomaly, Answered, CallOutcome, Rejected, ToolCall, Unknown
from patchmill.call.request import request_document
from patchmill.call.storable import storable
from patchmill.call.stream import LONGEST_NAME
from patchmill.call.tool_calls import BadToolCall
from patchmill.call.usage import anomalies_of
from patchmill.job.failure import Failure, FailureClass

# Finish reasons with which an answer is whole, or says itself why it is not.
_FINISHED = {"stop", "length", "tool_calls", "content_filter"}
# Those with which the model broke off; what it had produced may be billed.
_BROKEN_OFF = {"insufficient_system_resource", "error"}
# How DeepSeek's models write a tool call to themselves. A server that lets this through did not parse it.
_MARKUP = re.compile(r"</?[|\uff5c]+\s*(?:DSML\b|tool[_ \u2581](?:call|sep|output))|[|\uff5c]DSML[|\uff5c]")
_FENCE = re.compile(r"\s{0,3}(`{3,}|~{3,})")

_log = logging.getLogger(__name__)


class Judge:
    """Turns exchanges into outcomes.

    It knows the key, so that no message repeats it, and asks the wall clock `now`, aware, only for the resets
    of refusals.
    """

    def __init__(self, *, secret: str, now: Callable[[], datetime]) -> None:
        self._secret = secret
        self._now = now

    def outcome(self, exchange: Exchange, failure: Failure | None, *, loop_time: float) -> CallOutcome:
        """Decide; `failure` is what ended the reading early."""
        seen = _seen(exchange, loop_time)
        if not exchange.sent:
            message = failure.message if failure else "the request was not sent"
            never = Failure(failure=FailureClass.CONNECT, message=message)
            return Rejected(failure=never, code=None, **seen)
        if exchange.status is not None and not httpx.codes.is_success(exchange.status):
            return self._refused(exchange, exchange.status, seen)
        if exchange.answer.error is not None:
            return self._error_in_answer(exchange, failure, seen)
        if exchange.answer.complete:
            return self._complete(exchange, seen)
        if failure is None:
            kind = clean(exchange.content_type, secret=self._secret) or "no content type"
            message = f"the answer ended before it was complete ({kind})"
            failure = Failure(failure=FailureClass.BROKEN, message=message)
        return Unknown(failure=failure, partial=exchange.answer.text, **seen)

    def broken(self, error: Exception) -> Failure:
        """Put what broke the connection, or the protocol, into words."""
        message = clean(str(error), secret=self._secret) or type(error).__name__
        return Failure(failure=FailureClass.BROKEN, message=message)

    def _complete(self, exchange: Exchange, seen: dict[str, Any]) -> CallOutcome:
        answer = exchange.answer
        finish = answer.finish_reason or ""
        if finish in _BROKEN_OFF:
            message = f"the model broke off ({clean(finish, secret=self._secret)})"
            failure = Failure(failure=FailureClass.INTERRUPTED, message=message)
            return Unknown(failure=failure, partial=answer.text, **seen)
        calls: tuple[ToolCall, ...] = ()
        text, fault = answer.text, None
        try:
            calls = answer.tool_calls.built()
        except BadToolCall as error:
            fault = Failure(failure=FailureClass.PROTOCOL, message=str(error))
        fault = fault or _fault(exchange, text, calls, finish)
        anomalies = (*seen.pop("anomalies"), *_oddities(exchange, calls))
        if Anomaly.USAGE_IMPOSSIBLE in anomalies:
            report = clean(json.dumps(answer.raw_usage), secret=self._secret)
            _log.warning("the gateway's usage report cannot be true: %s", report)
        return Answered(
            text=text,
            finish_reason=finish,
            fault=fault,
            tool_calls=calls,
            called=answer.tool_calls.written(),
            anomalies=anomalies,
            **seen,
        )

    def _refused(self, exchange: Exchange, status: int, seen: dict[str, Any]) -> CallOutcome:
        """An answer other than 2xx is never billed, however its body ended; 408 alone is not believed."""
        report = read_report(error_in(bytes(exchange.error_body)), secret=self._secret)
        failure = failure_of_status(status, report, exchange.headers, now=self._now())
        if failure.failure is FailureClass.BROKEN:
            return Unknown(failure=failure, partial="", **seen)
        named = None
        if failure.failure is FailureClass.REQUEST:
            named = parameter_named(report, request_document(exchange.request))
        return Rejected(failure=failure, code=report.code or report.type, parameter=named, **seen)

    def _error_in_answer(
        self, exchange: Exchange, failure: Failure | None, seen: dict[str, Any]
    ) -> CallOutcome:
        """An error that ends a stream is not billed; within a plain 200, or before more chunks, it may be."""
        answer = exchange.answer
        report = read_report(answer.error, secret=self._secret)
        reported = failure_of_frame(report)
        if exchange.ended and exchange.reader.streamed and answer.error_is_last:
            return Rejected(failure=reported, code=report.code or report.type, **seen)
        broken = failure or replace(reported, failure=FailureClass.BROKEN)
        return Unknown(failure=broken, partial=answer.text, **seen)


def _seen(exchange: Exchange, loop_time: float) -> dict[str, Any]:
    """Gather what every outcome tells."""
    answer, headers = exchange.answer, exchange.headers
    request_id = headers.get("x-request-id")
    reported = answer.raw_usage
    anomalies: tuple[Anomaly, ...] = ()
    if reported is not None or answer.complete:
        request = exchange.request
        bound = input_bound(
            len(exchange.body), len(request.messages), request.able, structured=request.structured
        )
        odd = anomalies_of(answer.usage, reported, max_tokens=request.max_tokens, bound=bound)
        anomalies = tuple(odd)
    return {
        "timings": exchange.timings(loop_time),
        "status": exchange.status,
        "usage": answer.usage,
        "raw_usage": reported,
        "returned_model": answer.returned_model,
        "system_fingerprint": answer.fingerprint,
        "gateway_request_id": storable(request_id)[:LONGEST_NAME] if request_id else answer.request_id,
        "quota": quota_of(headers),
        "reasoning": answer.reasoning,
        "anomalies": anomalies,
    }


def _fault(exchange: Exchange, text: str, calls: tuple[ToolCall, ...], finish: str) -> Failure | None:
    """Say why a complete answer is of no use; `length` and `content_filter` say so themselves."""
    message = None
    if finish not in _FINISHED:
        message = "the answer ended for a reason that the protocol does not know"
    elif calls and not exchange.request.tools:
        message = "the answer calls tools, and none were offered"
    elif finish == "tool_calls" and not calls:
        message = "the answer ended to call tools, and calls none"
    elif _has_markup(text):
        message = "the markup of a tool call leaked into the text"
    if message is not None:
        return Failure(failure=FailureClass.PROTOCOL, message=message)
    if finish == "stop" and not calls and not text.strip():
        return Failure(failure=FailureClass.EMPTY, message="the answer is blank")
    return None


def _oddities(exchange: Exchange, calls: tuple[ToolCall, ...]) -> list[Anomaly]:
    answer = exchange.answer
    returned = answer.returned_model
    odd = {
        Anomaly.NO_DONE: not answer.ended,
        Anomaly.MODEL_DIFFERS: returned is not None and returned != exchange.request.model,
        Anomaly.MORE_CHOICES: answer.more_choices,
        Anomaly.FINISH_DIFFERS: bool(calls) and answer.finish_reason == "stop",
    }
    return [anomaly for anomaly, found in odd.items() if found]


def _has_markup(text: str) -> bool:
    """Whether tool markup stands in the text; within fences it is code that somebody edits."""
    if _MARKUP.search(text) is None:
        return False
    fence = None
    for line in text.split("\n"):
        match = _FENCE.match(line)
        if fence is None:
            if _MARKUP.search(line):
                return True
            fence = match[1] if match else None
        elif match and match[1].startswith(fence) and not line.strip(" `~"):
            fence = None
    return False
