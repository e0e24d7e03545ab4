"""What `/openapi.json` says beyond what FastAPI finds out: bodies, examples, and every problem."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from itertools import chain
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.account_shapes import DecisionBody
from api.budget_shapes import BudgetChange, BudgetRequest
from api.gateway_shapes import ProjectChange
from api.operator_shapes import BulkRequest, PauseRequest
from api.price_shapes import PriceRequest
from api.problems import MEDIA_TYPE
from api.requests import JobRequest, KeyRequest
from api.run_requests import RunRequest
from api.schemas import Problem
from api.webhook_shapes import ReplayRequest, WebhookChange, WebhookRequest
from patchmill import __version__
from patchmill.errors import (
    Forbidden,
    InvalidFields,
    InvalidJson,
    PatchmillError,
    TooLarge,
    Unauthenticated,
    Unavailable,
    UnsupportedMediaType,
)

_REFERENCE = "#/components/schemas/{model}"
_EVERYWHERE: tuple[type[PatchmillError], ...] = (Unauthenticated, Forbidden, PatchmillError, Unavailable)
# What is answered to a body that cannot be taken.
BODY_PROBLEMS: tuple[type[PatchmillError], ...] = (InvalidJson, TooLarge, UnsupportedMediaType, InvalidFields)
_REQUESTS = (
    JobRequest,
    RunRequest,
    BudgetRequest,
    BudgetChange,
    PriceRequest,
    KeyRequest,
    ProjectChange,
    DecisionBody,
    PauseRequest,
    BulkRequest,
    WebhookRequest,
    WebhookChange,
    ReplayRequest,
)
_DESCRIPTION = """\
Submit a file with what is wrong with it, and read back verified suggestions.

Every answer carries `X-Request-Id`; every error is a problem document (RFC 9457), whose `type` leads to what
it means. HEAD is answered wherever GET is. Times are RFC 3339 in UTC, money is a decimal string of dollars.
Lines are 1-based and both ends belong; columns are 1-based Unicode code points, and the end does not belong.
Only LF, CRLF and CR end a line, and after a final line end the file's end counts as one more line, as tools
count it.
"""


def takes_either(models: Sequence[type[BaseModel]], examples: Mapping[str, Any]) -> dict[str, Any]:
    """Describe an operation's JSON body that is one of several, with named examples of each."""
    described = takes(models[0], examples)
    content = described["requestBody"]["content"]["application/json"]
    content["schema"] = {"anyOf": [{"$ref": _REFERENCE.format(model=each.__name__)} for each in models]}
    return described


def takes(
    model: type[BaseModel], examples: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Describe an operation's JSON body, with named examples, and its optional headers."""
    return {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": _REFERENCE.format(model=model.__name__)},
                    "examples": {name: {"value": value} for name, value in examples.items()},
                }
            },
        },
        "parameters": [
            {
                "name": name,
                "in": "header",
                "required": False,
                "description": text,
                "schema": {"type": "string"},
            }
            for name, text in (headers or {}).items()
        ],
    }


def answers(
    status: HTTPStatus, model: type[BaseModel], example: Any, description: str
) -> dict[int | str, dict[str, Any]]:
    """Describe a successful answer, with an example."""
    content = {"application/json": {"example": example}}
    return {int(status): {"model": model, "description": description, "content": content}}


def problems(
    *errors: type[PatchmillError], everywhere: Sequence[type[PatchmillError]] = _EVERYWHERE
) -> dict[int | str, dict[str, Any]]:
    """Describe the problems of an operation; those that every one with a key may have are added."""
    described: dict[int | str, dict[str, Any]] = {}
    for error in (*errors, *everywhere):
        entry = described.setdefault(
            error.status,
            {
                "description": error.title,
                "content": {
                    MEDIA_TYPE: {
                        "schema": {"$ref": _REFERENCE.format(model=Problem.__name__)},
                        "examples": {},
                    }
                },
            },
        )
        entry["content"][MEDIA_TYPE]["examples"][error.code] = {"value": _example(error)}
    return described


def install(app: FastAPI, routers: Sequence[APIRouter]) -> None:
    """Let the application describe itself, once and on demand."""

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _describe(app, routers)
        return app.openapi_schema

    app.openapi = describe  # type: ignore[method-assign]  # the way that FastAPI documents


def _describe(app: FastAPI, routers: Sequence[APIRouter]) -> dict[str, Any]:
    document = get_openapi(
        title="Patchmill", version=__version__, description=_DESCRIPTION, routes=app.routes
    )
    requests = [(model, "validation") for model in _REQUESTS]
    _, described = models_json_schema(
        [*requests, (Problem, "serialization")],  # type: ignore[list-item]  # the modes are literals
        ref_template=_REFERENCE,
    )
    document["components"]["schemas"].update(described["$defs"])
    for route in chain.from_iterable(router.routes for router in routers):
        if isinstance(route, APIRoute) and route.include_in_schema:
            for method in route.methods or ():
                _restore_examples(route, document["paths"][route.path_format][method.lower()])
    return document


def _restore_examples(route: APIRoute, operation: dict[str, Any]) -> None:
    """Put the examples back whole: FastAPI drops every null in them."""
    for status, response in route.responses.items():
        for media_type, content in response["content"].items():
            shown = operation["responses"][str(status)]["content"][media_type]
            shown.update({name: content[name] for name in ("example", "examples") if name in content})
    body = (route.openapi_extra or {}).get("requestBody")
    if body is not None:
        operation["requestBody"] = body


def _example(error: type[PatchmillError]) -> dict[str, Any]:
    return {
        "type": f"/problems/{error.code}",
        "title": error.title,
        "status": error.status,
        "code": error.code,
        "detail": error.__doc__,
        "instance": "/v1/jobs",
        "request_id": "req_019ab3f0c2d87e15a4b6c8d0e2f40617",
        "errors": [],
    }
