"""The reference of the API: what `/openapi.json` says, as a page that needs nothing from other hosts.

The pages' origin is where people are signed in, so no script of anybody else's may run on it, here neither.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response

from api.dashboard.body_fields import BodyField, body_fields
from api.dashboard.page_route import PageRoute
from api.dashboard.rendering import page

router = APIRouter(route_class=PageRoute)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter: its name, where it goes, and what it means."""

    name: str
    place: str
    required: bool
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One answer: its status, what it says, and examples by their names."""

    status: str
    description: str
    examples: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path, with examples as indented JSON."""

    name: str
    method: str
    path: str
    tag: str
    summary: str
    description: str
    parameters: list[Parameter]
    fields: list[BodyField]
    bodies: Mapping[str, str]
    answers: list[Answered]


@router.get("/docs")
def show_reference(request: Request) -> Response:
    """Show every route of the API."""
    document = request.app.openapi()
    by_tag: dict[str, list[Operation]] = {}
    for operation in operations(document):
        by_tag.setdefault(operation.tag, []).append(operation)
    return page(request, "reference", {"by_tag": by_tag, "about": document["info"].get("description", "")})


def operations(document: Mapping[str, Any]) -> Iterator[Operation]:
    """Read the operations of an OpenAPI document, in its order."""
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            yield Operation(
                name=told["operationId"],
                method=method.upper(),
                path=path,
                tag=(told.get("tags") or ["other"])[0],
                summary=told.get("summary", ""),
                description=told.get("description", ""),
                parameters=[
                    Parameter(
                        name=each["name"],
                        place=each["in"],
                        required=each.get("required", False),
                        description=each.get("description") or each.get("schema", {}).get("description", ""),
                    )
                    for each in told.get("parameters", ())
                ],
                fields=body_fields(document, told.get("requestBody", {})),
                bodies=_examples(told.get("requestBody", {})),
                answers=[
                    Answered(
                        status=status, description=answer.get("description", ""), examples=_examples(answer)
                    )
                    for status, answer in told.get("responses", {}).items()
                ],
            )


def _examples(told: Mapping[str, Any]) -> dict[str, str]:
    """Give the examples of a body; a single one goes by the name of its media type."""
    found: dict[str, str] = {}
    for media_type, content in told.get("content", {}).items():
        for name, example in content.get("examples", {}).items():
            found[name] = _written(example["value"])
        if "example" in content:
            found[media_type] = _written(content["example"])
    return found


def _written(example: Any) -> str:
    return example if isinstance(example, str) else json.dumps(example, indent=2, ensure_ascii=False)
