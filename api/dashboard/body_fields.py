"""The fields of a body, read from its schema in `/openapi.json`: one row each, inner ones by their path."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_REFERENCE = "#/components/schemas/"


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyField:
    """One field: its path such as `findings[].rule`, its type in words, and what it means."""

    name: str
    type: str
    required: bool
    description: str


def body_fields(document: Mapping[str, Any], body: Mapping[str, Any]) -> list[BodyField]:
    """Give the fields of a request body of an OpenAPI document; none where it has no JSON body.

    One that is a choice of several bodies has none of its own: each is told where it belongs.
    """
    schema = body.get("content", {}).get("application/json", {}).get("schema", {})
    if "anyOf" in schema:
        return []
    return list(_fields(document["components"]["schemas"], schema, ""))


def _fields(schemas: Mapping[str, Any], schema: Mapping[str, Any], before: str) -> Iterator[BodyField]:
    schema = _resolved(schemas, schema)
    required = schema.get("required", ())
    for name, told in schema.get("properties", {}).items():
        yield BodyField(
            name=before + name,
            type=_type(schemas, told),
            required=name in required,
            description=told.get("description", ""),
        )
        inner, path = _resolved(schemas, told), f"{before}{name}"
        if inner.get("type") == "array":
            inner, path = _resolved(schemas, inner["items"]), f"{path}[]"
        yield from _fields(schemas, inner, f"{path}.")


def _resolved(schemas: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a reference, and leave out that the value may be null."""
    if "anyOf" in schema:
        schema = next(each for each in schema["anyOf"] if each.get("type") != "null")
    if "$ref" in schema:
        found: Mapping[str, Any] = schemas[schema["$ref"].removeprefix(_REFERENCE)]
        return found
    return schema


def _type(schemas: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """Say a type in a few words."""
    if "anyOf" in schema:
        return " or ".join(_type(schemas, each) for each in schema["anyOf"])
    told = _resolved(schemas, schema)
    if "const" in told:
        return str(told["const"])
    if "enum" in told:
        return ", ".join(map(str, told["enum"]))
    if told.get("type") == "array":
        return f"list of {_type(schemas, told['items'])}"
    return str(told.get("type", "any"))
