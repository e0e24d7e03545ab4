"""Every error that Patchmill raises on purpose: its code, its HTTP status, whether trying again can help.

PatchmillError
├── ConfigurationError      a setting is missing or cannot work (commands exit 2)
├── InvalidJson             400
├── Unauthenticated         401
├── Forbidden               403
├── NotFound                404
├── NotAcceptable           406
├── Conflict                409
│   └── IdempotencyConflict
├── TooLarge                413
├── UnsupportedMediaType    415
├── InvalidFields           422, one FieldError per mistake
├── BelowMinimumHold        422
├── RateLimited             429
├── Unavailable             503
├── LostClaim               a worker's claim of a job is no longer the current one
└── CancelRequested         somebody asked to stop the job

What can go wrong with a call, an edit or a check is not an exception but a typed value:
see `call.failures`, `edit.protocol` and `verify.evidence`.
"""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One mistake in a request: where (a JSON pointer), which kind, and what to do about it."""

    pointer: str
    code: str
    detail: str


class PatchmillError(Exception):
    """Something went wrong inside Patchmill."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    retryable: ClassVar[bool] = False


class ConfigurationError(PatchmillError):
    """A setting is missing or cannot work."""

    code = "configuration"
    title = "Configuration error"


class InvalidJson(PatchmillError):
    """The body is not valid JSON."""

    code = "invalid_json"
    status = 400
    title = "Invalid JSON"


class Unauthenticated(PatchmillError):
    """No valid key came with the request."""

    code = "unauthenticated"
    status = 401
    title = "Unauthenticated"


class Forbidden(PatchmillError):
    """The key lacks the scope that this needs."""

    code = "forbidden"
    status = 403
    title = "Forbidden"


class NotFound(PatchmillError):
    """There is no such thing, or it belongs to another project."""

    code = "not_found"
    status = 404
    title = "Not found"


class NotAcceptable(PatchmillError):
    """The answer cannot be given in the format that was asked for."""

    code = "not_acceptable"
    status = 406
    title = "Not acceptable"


class Conflict(PatchmillError):
    """The request contradicts what is stored."""

    code = "state_conflict"
    status = 409
    title = "Conflict"


class IdempotencyConflict(Conflict):
    """This Idempotency-Key came before with another body."""

    code = "idempotency_conflict"
    title = "Idempotency conflict"


class TooLarge(PatchmillError):
    """The body or the file is larger than the service accepts."""

    code = "too_large"
    status = 413
    title = "Too large"


class UnsupportedMediaType(PatchmillError):
    """The body's media type is not application/json."""

    code = "unsupported_media_type"
    status = 415
    title = "Unsupported media type"


class InvalidFields(PatchmillError):
    """One or more fields of the request are wrong."""

    code = "invalid_field"
    status = 422
    title = "Invalid field"

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__("; ".join(f"{error.pointer}: {error.detail}" for error in errors))
        self.errors = errors


class BelowMinimumHold(PatchmillError):
    """The limit is lower than the smallest hold that one call needs."""

    code = "below_minimum_hold"
    status = 422
    title = "Below the minimum hold"


class RateLimited(PatchmillError):
    """The project asks for more at once than its share; `retry_after_s` says when to ask again."""

    code = "rate_limited"
    status = 429
    title = "Rate limited"
    retryable = True

    def __init__(self, detail: str, *, retry_after_s: int) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class Unavailable(PatchmillError):
    """A service that this needs does not answer."""

    code = "unavailable"
    status = 503
    title = "Unavailable"
    retryable = True


class LostClaim(PatchmillError):
    """This worker's claim of the job is no longer the current one; what it would write is refused."""

    code = "lost_claim"
    title = "Lost claim"


class CancelRequested(PatchmillError):
    """Somebody asked to stop this job; it makes no further call."""

    code = "cancel_requested"
    title = "Cancel requested"
