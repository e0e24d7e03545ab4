"""What the API says when it refuses: an RFC 9457 problem, as an exception."""

from collections.abc import Mapping
from typing import Any

from patchmill.errors import FieldError


class ApiError(Exception):
    """The API refused a request.

    `status` is HTTP's; `code` says what is wrong in one word, `errors` where in the request. `code` is
    `unexpected_answer` when the answer was no problem document, so hardly from Patchmill.
    """

    def __init__(self, problem: Mapping[str, Any], *, status: int) -> None:
        self.problem = dict(problem)
        self.status = status
        self.code = str(problem.get("code", "unexpected_answer"))
        self.detail = str(problem.get("detail") or problem.get("title") or f"HTTP status {status}")
        self.request_id = str(problem.get("request_id", ""))
        self.errors = [_field_error(error) for error in problem.get("errors") or []]
        super().__init__(self._sentence())

    @property
    def pointers(self) -> list[str]:
        """Where in the request the mistakes are, as JSON pointers."""
        return [error.pointer for error in self.errors]

    def _sentence(self) -> str:
        places = "; ".join(f"{error.pointer}: {error.detail}" for error in self.errors)
        return f"{self.detail} ({places})" if places and places not in self.detail else self.detail


def _field_error(error: Mapping[str, Any]) -> FieldError:
    return FieldError(
        pointer=str(error.get("pointer", "")),
        code=str(error.get("code", "")),
        detail=str(error.get("detail", "")),
    )
