"""The gateway's refusals: status, code, and the error envelope."""

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

_TYPES = {
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.PAYMENT_REQUIRED: "billing_error",
    HTTPStatus.FORBIDDEN: "permission_error",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
}


@dataclass(kw_only=True, eq=False)
class Refusal(Exception):
    """A response other than 2xx; `param` names the field at fault, `headers` override the usual ones."""

    status: int
    code: str
    message: str
    param: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def envelope(self) -> dict[str, Any]:
        """The body: `{"error": {"type", "code", "message", "param"}}`."""
        return error_envelope(self.status, self.code, self.message, self.param)


def error_envelope(status: int, code: str, message: str, param: str | None = None) -> dict[str, Any]:
    """The OpenAI error envelope for a status and code."""
    default = "api_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"
    kind = next((name for known, name in _TYPES.items() if known == status), default)
    return {"error": {"type": kind, "code": code, "message": message, "param": param}}


def invalid_param(param: str, message: str) -> Refusal:
    """400 for a request field of the wrong type or value."""
    return Refusal(status=400, code="invalid_param", message=message, param=param)


def invalid_api_key() -> Refusal:
    """401: the key is missing or not accepted."""
    return Refusal(status=401, code="invalid_api_key", message="The API key is missing or not valid.")


def concurrency_limit(limit: int) -> Refusal:
    """429 at once: the account has its limit of requests in flight."""
    message = f"The account already has {limit} requests in flight, which is its limit."
    return Refusal(status=429, code="concurrency_limit", message=message)
