import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchmill.call.tool_calls import BadToolCall, ToolCallBuilder

Calls = list[tuple[str, dict[str, Any]]]
ARGUMENTS = {"city": "Bern", "days": 3}
WRITTEN = json.dumps(ARGUMENTS)


def part(arguments: object = None, *, name: str | None = None, **more: object) -> dict[str, Any]:
    """Build one fragment; `more` are its id and index."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return {**more, "function": function}


def built(*deltas: list[dict[str, Any]], whole: bool = False) -> Calls:
    builder = ToolCallBuilder()
    for delta in deltas:
        builder.add(delta, whole=whole)
    return [(call.name, dict(call.arguments)) for call in builder.built()]


ONE: Calls = [("look", {"a": 1})]
TWO: Calls = [("look", {"a": 1}), ("find", {"b": 2})]


@pytest.mark.parametrize(
    ("deltas", "expected"),
    [
        pytest.param(
            [[part("", name="look", id="1", index=0)], [part('{"a"', index=0)], [part(": 1}", index=0)]],
            ONE,
            id="the id first, then the index",
        ),
        pytest.param(
            [[part("", name="look", id="1")], [part('{"a"', id="1")], [part(": 1}", id="1")]],
            ONE,
            id="the id every time, no index",
        ),
        pytest.param([[part("", name="look")], [part('{"a"')], [part(": 1}")]], ONE, id="no id and no index"),
        pytest.param(
            [[part("", name="look", id="1", index=0)], [part('{"a": 1}', id="2", index=0)]],
            ONE,
            id="an id that changes",
        ),
        pytest.param(
            [[part(name="look", index=0)], [part('{"a": 1}', id="late", index=0)]], ONE, id="a late id"
        ),
        pytest.param(
            [[part(name="lo", id="1", index=0)], [part(name="ok", index=0)], [part('{"a": 1}', index=0)]],
            ONE,
            id="a name cut in two",
        ),
        pytest.param(
            [[part('{"a"', name="look", index=0)], [part(": 1}", name="look", index=0)]],
            ONE,
            id="the name every time",
        ),
        pytest.param(
            [[part({"a": 1}, name="look", id="1", index=0)]], ONE, id="arguments that are an object"
        ),
        pytest.param([[part(name="look", id="1", index=0)]], [("look", {})], id="no arguments"),
        pytest.param([[part("", name="look", id="1", index=0)]], [("look", {})], id="empty arguments"),
        pytest.param([[{"id": "1", "index": None, "function": {"name": "look"}}]], [("look", {})], id="null"),
        pytest.param(
            [
                [part("", name="look", id="1", index=0), part("", name="find", id="2", index=1)],
                [part('{"b": ', index=1), part('{"a": ', index=0)],
                [part("1}", index=0), part("2}", index=1)],
            ],
            TWO,
            id="two at a time, by index",
        ),
        pytest.param(
            [
                [part('{"a": 1}', name="look", id="1", index=0)],
                [part("", name="find", id="2", index=0)],
                [part('{"b": 2}', index=0)],
            ],
            TWO,
            id="two, the index always 0",
        ),
        pytest.param(
            [
                [
                    part('{"a": 1}', name="look", id="1", index=0),
                    part('{"b": 2}', name="find", id="2", index=0),
                ]
            ],
            TWO,
            id="two with one index in one chunk",
        ),
        pytest.param(
            [[part('{"a": 1}', name="look", index=0)], [part('{"b": 2}', name="find", index=0)]],
            TWO,
            id="two, no id, the index always 0",
        ),
        pytest.param(
            [[part('{"a": 1}', name="look")], [part('{"a": 1}', name="look")]],
            [*ONE, *ONE],
            id="the same twice, no id and no index",
        ),
    ],
)
def test_c9_fragments_become_calls(deltas: list[list[dict[str, Any]]], expected: Calls) -> None:
    assert built(*deltas) == expected


def test_c9_in_a_whole_message_each_is_a_call() -> None:
    parts = [part('{"a": 1}', name="look"), part('{"b": 2}', name="find")]

    assert built(parts, whole=True) == TWO


@pytest.mark.parametrize(
    "delta",
    [
        pytest.param([part('{"a": ', name="look", id="1")], id="arguments cut off"),
        pytest.param([part("[1]", name="look", id="1")], id="arguments that are a list"),
        pytest.param([part("{}", id="1")], id="no name"),
        pytest.param([part(5, name="look", id="1")], id="arguments that are a number"),
        pytest.param(["look"], id="a call that is text"),
        pytest.param({"name": "look"}, id="calls that are an object"),
        pytest.param([{"function": "look"}], id="a function that is text"),
    ],
)
def test_c9_what_is_no_call_is_refused(delta: Any) -> None:
    with pytest.raises(BadToolCall):
        built(delta)


@given(st.lists(st.integers(0, len(WRITTEN)), max_size=6).map(sorted))
def test_any_cut_of_the_arguments_gives_the_same_call(cuts: list[int]) -> None:
    places = [0, *cuts, len(WRITTEN)]
    pieces = [WRITTEN[start:end] for start, end in pairwise(places)]

    deltas = [[part("", name="look", id="1", index=0)], *([part(piece, index=0)] for piece in pieces)]

    assert built(*deltas) == [("look", ARGUMENTS)]


@given(st.integers(1, len(WRITTEN) - 1))
def test_no_cut_off_call_is_ever_whole(length: int) -> None:
    with pytest.raises(BadToolCall):
        built([part(WRITTEN[:length], name="look", id="1", index=0)])


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
LIKELY = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["1", "2", ""]) | ANY,
        "index": st.integers(0, 1) | ANY,
        "function": ANY
        | st.fixed_dictionaries({}, optional={"name": ANY | st.text(max_size=3), "arguments": ANY}),
    },
)


@given(deltas=st.lists(st.lists(LIKELY, max_size=3) | ANY, max_size=4), whole=st.booleans())
def test_any_fragments_become_calls_or_are_refused(deltas: list[Any], *, whole: bool) -> None:
    builder = ToolCallBuilder()
    try:
        for delta in deltas:
            builder.add(delta, whole=whole)
        calls = builder.built()
    except BadToolCall:
        return
    assert all(call.id and call.name for call in calls)
    json.dumps([dict(call.arguments) for call in calls], allow_nan=False)
