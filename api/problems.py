"""Errors as RFC 9457 problem documents: one shape for every answer that is not what was asked for."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, get_args

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from api.schemas import Problem, ProblemField
from patchmill.errors import FieldError, InvalidFields, PatchmillError, RateLimited, Unavailable

MAX_ERRORS = 100  # listed in one problem; who makes more is helped by these
MEDIA_TYPE = "application/problem+json"

# What FastAPI and Starlette answer by themselves.
_PLAIN_CODES = {
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
}

# What is wrong with a field, in the words of the API.
FIELD_CODES = frozenset(
    {
        *("missing", "unknown_field", "wrong_type", "not_allowed"),
        *("out_of_range", "too_short", "too_long", "too_large"),
    }
)
# pydantic's many error types in these words; one that is neither here nor of our own is not allowed.
_CODES = {
    "extra_forbidden": "unknown_field",
    "literal_error": "not_allowed",
    "enum": "not_allowed",
    "string_too_short": "too_short",
    "string_too_long": "too_long",
    "greater_than": "out_of_range",
    "greater_than_equal": "out_of_range",
    "less_than": "out_of_range",
    "less_than_equal": "out_of_range",
    "finite_number": "out_of_range",
    "datetime_from_date_parsing": "wrong_type",
}
# What a value of JSON must be, where pydantic speaks of Python.
_IN_JSON = {
    "string_type": "must be text in quotes",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "dict_type": "must be an object",
    "list_type": "must be a list",
}
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# What pydantic says of how many there are, in terms of how it goes about it.
_HOW_MANY = re.compile(r"\w+ should have (at (?:least|most) \d+ items?) after validation, not .*")
_WRONG_TYPE_ENDINGS = ("_type", "_parsing", "_from_float", "_parsing_size")


def answer(
    *,
    status: int,
    code: str,
    title: str,
    detail: str,
    instance: str,
    request_id: str,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Build the answer that carries a problem."""
    problem = Problem(
        type=f"/problems/{code}",
        title=title,
        status=status,
        code=code,
        detail=detail,
        instance=instance,
        request_id=request_id,
        errors=[
            ProblemField(pointer=_written(error.pointer), code=error.code, detail=_written(error.detail))
            for error in errors[:MAX_ERRORS]
        ],
    )
    return Response(problem.model_dump_json(), status_code=status, media_type=MEDIA_TYPE, headers=headers)


def install(app: FastAPI) -> None:
    """Let the application answer every error with a problem."""
    app.add_exception_handler(PatchmillError, _own)
    app.add_exception_handler(RequestValidationError, _parameters)
    app.add_exception_handler(HTTPException, _plain)


async def _own(request: Request, error: Exception) -> Response:
    if not isinstance(error, PatchmillError):
        raise error
    headers = {}
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, Unavailable):
        headers["Retry-After"] = "1"
    if isinstance(error, RateLimited):
        headers["Retry-After"] = str(error.retry_after_s)
    errors: Sequence[FieldError] = getattr(error, "errors", ())
    detail = str(error)
    if isinstance(error, InvalidFields) and errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        detail = f"{errors[0].pointer or 'the body'}: {errors[0].detail}{more}"
    return answer(
        status=error.status,
        code=error.code,
        title=error.title,
        detail=_written(detail) or error.title,
        instance=request.url.path,
        request_id=request.state.request_id,
        errors=errors,
        headers=headers,
    )


async def _parameters(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    return await _own(request, InvalidFields([field_error(detail) for detail in error.errors()]))


async def _plain(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    status = HTTPStatus(error.status_code)
    detail = {
        HTTPStatus.NOT_FOUND: f"there is no {request.url.path}",
        HTTPStatus.METHOD_NOT_ALLOWED: f"{request.method} is not possible on {request.url.path}",
    }.get(status, str(error.detail))
    headers = error.headers
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers = {"Allow": ", ".join(_methods(request))}
    return answer(
        status=status,
        code=_PLAIN_CODES.get(status, "internal"),
        title=status.phrase.capitalize(),
        detail=_written(detail),
        instance=request.url.path,
        request_id=request.state.request_id,
        headers=headers,
    )


def _methods(request: Request) -> list[str]:
    """Give the methods of a path; each is a route of its own, and the first alone would be told."""
    asked = [{**request.scope, "method": method} for method in _METHODS]
    found = [
        scope["method"]
        for scope in asked
        if any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)
    ]
    return ["GET", "HEAD", *found[1:]] if "GET" in found else found


def field_error(detail: ErrorDetails, model: type[BaseModel] | None = None) -> FieldError:
    """Turn one of pydantic's errors into ours; `model` lets an unknown field name its nearest known one."""
    kind, location = detail["type"], detail["loc"]
    message = detail["msg"][:1].lower() + detail["msg"][1:]
    if kind == "extra_forbidden":
        known = [] if model is None else _fields_at(model, location[:-1])
        message = f"there is no such field{nearest(str(location[-1]), known)}"
    message = _IN_JSON.get(kind, _HOW_MANY.sub(r"must have \1", message))
    return FieldError(pointer=pointer(location), code=_code(kind), detail=message)


def _code(kind: str) -> str:
    """Give the API's word for one of pydantic's types, or for one of our own."""
    if kind in FIELD_CODES:
        return kind
    return _CODES.get(kind, "wrong_type" if kind.endswith(_WRONG_TYPE_ENDINGS) else "not_allowed")


def pointer(location: Sequence[int | str]) -> str:
    """Write a place as a JSON pointer; that of a mapping's key is the entry's."""
    steps = location[:-1] if location and location[-1] == "[key]" else location
    if steps and steps[0] == "body":
        steps = steps[1:]
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in steps)


def nearest(name: str, known: Iterable[str]) -> str:
    """Give a hint at the known name that was probably meant, or at all of them; empty without any."""
    names = sorted(known)
    close = difflib.get_close_matches(name[:100], names, n=1)
    if close:
        return f"; did you mean `{close[0]}`?"
    return f"; known: {', '.join(names)}" if names else ""


def _fields_at(model: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """The names of the fields of the object at a place inside of the model."""
    current: type[BaseModel] | None = model
    for step in location:
        if isinstance(step, str) and current is not None:
            field = current.model_fields.get(step)
            current = None if field is None else _model_in(field.annotation)
    return [] if current is None else list(current.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that an annotation such as `list[Model] | None` speaks of."""
    parts = get_args(annotation)
    if not parts:
        return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
    return next((found for part in parts if (found := _model_in(part)) is not None), None)


def _written(text: str) -> str:
    """A text that UTF-8 can carry: a lone surrogate, quoted from a request, is shown as its escape."""
    return text.encode("utf-8", "backslashreplace").decode()
