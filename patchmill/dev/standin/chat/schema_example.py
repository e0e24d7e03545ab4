"""The smallest value that a JSON schema accepts, for structured answers and the arguments of tool calls."""

from collections.abc import Mapping
from typing import Any

_DEEPEST = 16
_FORMATS = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "email": "a@example.org",
    "uri": "https://example.org/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "hostname": "example.org",
}
_REFUSED = ("pattern", "not", "if", "patternProperties", "dependentRequired", "contains", "propertyNames")


class UnsupportedSchema(ValueError):
    """The schema uses what the stand-in cannot satisfy by rule; the message names it."""


def smallest(schema: Any, root: Any = None, depth: int = 0) -> Any:
    """A value that the schema accepts: required properties only, shortest strings, fewest items.

    Raises:
        UnsupportedSchema: a keyword cannot be satisfied by rule, or the schema accepts nothing.
    """
    root = schema if root is None else root
    if schema is True:
        return None
    if not isinstance(schema, Mapping):
        raise UnsupportedSchema("a schema must be an object")
    if depth > _DEEPEST:
        raise UnsupportedSchema(f"it nests more than {_DEEPEST} deep")
    refused = [keyword for keyword in _REFUSED if keyword in schema]
    if refused:
        raise UnsupportedSchema(f"`{refused[0]}` is not supported")
    if "const" in schema or schema.get("enum"):
        return schema["const"] if "const" in schema else schema["enum"][0]
    if "$ref" in schema or schema.get("allOf"):
        other = _resolve(str(schema["$ref"]), root) if "$ref" in schema else _merged(schema, root)
        return smallest(other, root, depth + 1)
    alternatives = schema.get("anyOf") or schema.get("oneOf")
    return _first_possible(alternatives, root, depth) if alternatives else _of_type(schema, root, depth)


def _first_possible(alternatives: list[Any], root: Any, depth: int) -> Any:
    reason: UnsupportedSchema | None = None
    for alternative in alternatives:
        try:
            return smallest(alternative, root, depth + 1)
        except UnsupportedSchema as error:
            reason = reason or error
    raise reason or UnsupportedSchema("it has no alternative")


def _of_type(schema: Mapping[str, Any], root: Any, depth: int) -> Any:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = "null" if "null" in kind else kind[0] if kind else None
    if kind is None:
        kind = "object" if "properties" in schema or "required" in schema else "null"
    if kind == "object":
        return _object(schema, root, depth)
    if kind == "array":
        prefix = schema.get("prefixItems", [])
        count = max(int(schema.get("minItems", 0)), 0)
        if schema.get("uniqueItems") and count > 1:
            raise UnsupportedSchema("`uniqueItems` is not supported")
        parts = [*prefix[:count], *[schema.get("items", True)] * max(0, count - len(prefix))]
        return [smallest(part, root, depth + 1) for part in parts]
    if kind == "string":
        text = _FORMATS.get(str(schema.get("format")), "")
        return text + "x" * max(0, int(schema.get("minLength", 0)) - len(text))
    if kind in {"integer", "number"}:
        return _number(schema, whole=kind == "integer")
    if kind in {"boolean", "null"}:
        return False if kind == "boolean" else None
    raise UnsupportedSchema(f"the type {kind!r} is not known")


def _object(schema: Mapping[str, Any], root: Any, depth: int) -> dict[str, Any]:
    properties = schema.get("properties", {})
    rest = schema.get("additionalProperties", True)
    made = {
        name: smallest(properties.get(name, rest), root, depth + 1) for name in schema.get("required", [])
    }
    if len(made) < int(schema.get("minProperties", 0)):
        raise UnsupportedSchema("`minProperties` is not supported")
    return made


def _number(schema: Mapping[str, Any], *, whole: bool) -> int | float:
    step = schema.get("multipleOf", 1)
    if not step > 0:
        raise UnsupportedSchema("`multipleOf` must be above zero")
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")

    def accepted(value: float) -> bool:
        return (
            (low is None or value >= low)
            and (high is None or value <= high)
            and (above is None or value > above)
            and (below is None or value < below)
        )

    nearest = next((bound for bound in (low, above, high, below) if bound is not None), 0)
    start = int(nearest // step)
    for count in (0, start, start + 1, start + 2, start - 1):
        value = count * step
        if accepted(value) and (not whole or value == int(value)):
            return int(value) if whole else value
    if not whole and low is not None and "multipleOf" not in schema and accepted(low):
        return float(low)
    raise UnsupportedSchema("its bounds leave no simple number")


def _resolve(reference: str, root: Any) -> Any:
    if not reference.startswith("#"):
        raise UnsupportedSchema("`$ref` to another document is not supported")
    found = root
    for part in reference.removeprefix("#").split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, Mapping) or name not in found:
            raise UnsupportedSchema(f"`$ref` {reference} leads nowhere")
        found = found[name]
    return found


def _merged(schema: Mapping[str, Any], root: Any) -> dict[str, Any]:
    """The parts of `allOf` in one schema; properties and required names add up, other keywords replace."""
    merged: dict[str, Any] = {}
    for part in [{key: value for key, value in schema.items() if key != "allOf"}, *schema["allOf"]]:
        whole = _resolve(str(part["$ref"]), root) if isinstance(part, Mapping) and "$ref" in part else part
        if not isinstance(whole, Mapping):
            raise UnsupportedSchema("a schema must be an object")
        properties = {**merged.get("properties", {}), **whole.get("properties", {})}
        required = list(dict.fromkeys([*merged.get("required", []), *whole.get("required", [])]))
        merged = {**merged, **whole}
        if properties:
            merged["properties"] = properties
        if required:
            merged["required"] = required
    return merged
