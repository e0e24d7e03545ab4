import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchmill.reports.json_text import read_json
from patchmill.reports.report import UnreadableReport

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats(-1e9, 1e9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(value=st.dictionaries(st.text(max_size=3), _VALUES, min_size=1, max_size=3), data=st.data())
def test_every_beginning_of_a_report_is_said_to_be_cut_off(value: object, data: st.DataObject) -> None:
    text = json.dumps(value, indent=data.draw(st.sampled_from([None, 1])))
    cut = text[: data.draw(st.integers(1, len(text) - 1))]

    with pytest.raises(UnreadableReport, match="is cut off: it ends at line"):
        read_json(cut)


@pytest.mark.parametrize("text", ["", "  \n", "[1] n", "[1, truth]", "{'a': 1}", '["a\nb"]', "[1 2]"])
def test_what_is_wrong_otherwise_is_said_with_its_place(text: str) -> None:
    with pytest.raises(UnreadableReport, match=r"is not JSON: line \d, column \d"):
        read_json(text)
