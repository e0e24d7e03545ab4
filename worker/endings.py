"""What a call came to, in the ledger's words, and the outcomes that no gateway gave."""

from patchmill.budget.ledger import Spent
from patchmill.call.reply import Answered, CallOutcome, CallTimings, Rejected, Unknown, Usage
from patchmill.job.failure import Failure, FailureClass
from patchmill.store import ledger

_NO_TIME = CallTimings(first_token_ms=None, total_ms=0)


def not_sent(message: str) -> Rejected:
    """Give the outcome of a call that never left: it is not billed."""
    failure = Failure(failure=FailureClass.NOT_SENT, message=message)
    return Rejected(failure=failure, code=None, timings=_NO_TIME)


def broken_off(message: str) -> Unknown:
    """Give the outcome of a call that this process gave up while it ran: it may be billed."""
    failure = Failure(failure=FailureClass.CANCELLED, message=message)
    return Unknown(failure=failure, partial="", timings=_NO_TIME)


def ending_of(outcome: CallOutcome) -> ledger.Ending:
    """Say in the ledger's words how a call ended."""
    values = {
        "queue_ms": outcome.timings.queue_ms,
        "first_token_ms": outcome.timings.first_token_ms,
        "total_ms": outcome.timings.total_ms,
        "status": outcome.status,
        "returned_model": outcome.returned_model,
        "gateway_request_id": outcome.gateway_request_id,
        "fingerprint": outcome.system_fingerprint,
        "stand_in": outcome.stand_in,
        "anomalies": list(outcome.anomalies),
        "usage": outcome.raw_usage,
        "reasoning_tokens": 0 if outcome.usage is None else outcome.usage.reasoning_tokens,
    }
    failure = outcome.fault if isinstance(outcome, Answered) else outcome.failure
    if failure is not None:
        values |= {"failure": failure.failure, "message": failure.message}
    if isinstance(outcome, Answered):
        values |= {"reply": outcome.text, "finish_reason": outcome.finish_reason}
        return ledger.Ending(billed=True, phase="answered", spent=_spent(outcome.usage), values=values)
    if isinstance(outcome, Rejected):
        return ledger.Ending(billed=False, phase="rejected", spent=None, values=values)
    return ledger.Ending(billed=None, phase="unknown", spent=None, values=values)


def _spent(usage: Usage | None) -> Spent | None:
    if usage is None:
        return None
    return Spent(
        input_tokens=usage.input_tokens,
        cached_tokens=usage.cached_tokens,
        output_tokens=usage.output_tokens,
    )
