from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.answers import DONE, STREAM, USAGE, built, delta, finish, sse, usage_chunk


@pytest.mark.parametrize(
    ("frames", "complete"),
    [
        pytest.param([finish(), usage_chunk()], True, id="S6 finish reason and usage"),
        pytest.param([finish(usage=USAGE)], True, id="S6 both in one chunk"),
        pytest.param([finish()], False, id="S6 no usage"),
        pytest.param([delta("a", usage=USAGE)], False, id="S6 no finish reason"),
        pytest.param([delta("a", usage=USAGE), finish()], False, id="S6 usage only as a running total"),
        pytest.param([finish(usage={"prompt_tokens": -1})], False, id="S6 usage that cannot be true"),
        pytest.param([], False, id="S6 nothing"),
    ],
)
def test_a_stream_without_done_is_complete_only_with_its_last_usage(
    frames: list[dict[str, Any]],
    complete: bool,  # noqa: FBT001 - a column of the table
) -> None:
    assert built(*map(sse, frames)).complete is complete


def streams() -> st.SearchStrategy[list[dict[str, Any]]]:
    """Valid streams: content, then the finish reason, with usage beside or after it, or running all along."""
    text = st.text(max_size=8)
    contents = st.lists(text.map(delta) | text.map(lambda piece: delta(piece, usage=USAGE)), max_size=5)
    ends = st.sampled_from([[finish(), usage_chunk()], [finish(usage=USAGE)], [finish()]])
    return st.tuples(contents, ends).map(lambda parts: parts[0] + parts[1])


@given(chunks=streams(), line_end=st.sampled_from(["\n", "\r\n", "\r"]), data=st.data())
def test_a_cut_stream_is_complete_only_if_all_of_it_had_come(
    chunks: list[dict[str, Any]], line_end: str, data: st.DataObject
) -> None:
    frames = [sse(chunk, end=line_end * 2) for chunk in chunks]
    whole = b"".join(frames) + b"data: [DONE]" + line_end.encode() * 2
    place = data.draw(st.integers(0, len(whole) - 1))

    answer = built(whole[:place])

    if answer.complete:
        # Nothing that counts is missing: the text, the reason and the usage are those of the whole.
        entire = built(whole)
        assert (answer.text, answer.finish_reason, answer.usage) == (
            entire.text,
            entire.finish_reason,
            entire.usage,
        )
    if place < len(b"".join(frames[:-1])):
        assert not answer.complete


def test_every_cut_before_the_usage_of_a_stream_leaves_it_incomplete() -> None:
    needed = len(STREAM) - len(DONE) - 1

    assert [place for place in range(needed) if built(STREAM[:place]).complete] == []
    assert built(STREAM).complete
