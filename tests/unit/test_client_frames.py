from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchmill.client import events
from patchmill.client.events import frames
from patchmill.errors import Unavailable

STREAM = (
    ": keep-alive\n\nretry: 2000\n\n"
    'id: 7\nevent: job.state\ndata: {"a": "\u2028é"}\n\n'
    "event: x\r\nid: 8\r\ndata: one\r\ndata:two\r\n\r\n"
    "event: end\rdata:\r\r\n"
    "id: 9\nevent: lost\ndata: broken off\n"
)
EXPECTED = [
    ("job.state", "7", '{"a": "\u2028é"}'),
    ("x", "8", "one\ntwo"),
    ("end", "8", ""),
]


def pieces(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    start = 0
    for cut in sorted({min(cut, len(data)) for cut in cuts}):
        yield data[start:cut]
        start = cut
    yield data[start:]


@given(st.lists(st.integers(0, len(STREAM.encode()))))
def test_a_stream_is_read_alike_wherever_the_network_cuts_it(cuts: list[int]) -> None:
    assert list(frames(pieces(STREAM.encode(), cuts))) == EXPECTED


def test_a_frame_without_end_is_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_FRAME_BYTES", 100)

    with pytest.raises(Unavailable, match="without end"):
        list(frames([b"data: " + b"x" * 60] * 3))
