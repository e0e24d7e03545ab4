from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchmill.dev.standin.chat.schema_example import UnsupportedSchema, smallest

NAMES = st.sampled_from(["a", "b", "c"])
INTEGERS = st.builds(
    lambda low, size: {"type": "integer", "minimum": low, "maximum": low + size},
    st.integers(-100, 100),
    st.integers(0, 5),
)
SIMPLE = st.one_of(
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.just({"type": "number", "exclusiveMinimum": 0}),
    st.just({"type": ["string", "null"]}),
    st.just({"enum": ["x", 1, None]}),
    st.just({"const": {"k": [1]}}),
    st.builds(lambda least: {"type": "string", "minLength": least}, st.integers(0, 5)),
    INTEGERS,
)


def deeper(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.builds(
            lambda item, least: {"type": "array", "items": item, "minItems": least}, inner, st.integers(0, 3)
        ),
        st.builds(
            lambda properties, wanted: {
                "type": "object",
                "properties": properties,
                "required": sorted(wanted & properties.keys()),
                "additionalProperties": False,
            },
            st.dictionaries(NAMES, inner, max_size=3),
            st.sets(NAMES),
        ),
        st.builds(lambda one, other: {"anyOf": [one, other]}, inner, inner),
    )


@given(st.recursive(SIMPLE, deeper, max_leaves=8))
def test_the_smallest_value_is_accepted_by_its_schema(schema: dict[str, Any]) -> None:
    jsonschema.validate(smallest(schema), schema)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({}, None),
        ({"properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"a": 0}),
        ({"type": "string", "format": "date"}, "2026-01-01"),
        ({"type": "array", "prefixItems": [{"const": 1}], "items": {"const": 2}, "minItems": 2}, [1, 2]),
        ({"type": "integer", "multipleOf": 7, "minimum": 8}, 14),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"type": "boolean"}}}, False),
        ({"allOf": [{"type": "object", "required": ["a"]}, {"properties": {"a": {"const": 3}}}]}, {"a": 3}),
        ({"anyOf": [{"type": "string", "pattern": "x"}, {"type": "null"}]}, None),
    ],
)
def test_the_smallest_value_is_small(schema: dict[str, Any], value: Any) -> None:
    assert smallest(schema) == value


@pytest.mark.parametrize(
    ("schema", "named"),
    [
        ({"type": "string", "pattern": "^x"}, "pattern"),
        ({"type": "wood"}, "wood"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "bounds"),
        ({"$ref": "#/nowhere"}, "nowhere"),
        ({"$ref": "https://example.org/x"}, "another document"),
        ({"$ref": "#"}, "deep"),
        ({"type": "object", "required": ["a"], "additionalProperties": False}, "object"),
    ],
)
def test_what_cannot_be_satisfied_is_named(schema: dict[str, Any], named: str) -> None:
    with pytest.raises(UnsupportedSchema, match=named):
        smallest(schema)
