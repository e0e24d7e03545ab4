from hypothesis import given
from hypothesis import strategies as st

from patchmill.edit.apply import anchored, apply_hunks
from patchmill.edit.offered import apply_offered, without_repeated
from patchmill.edit.span import Hunk

SOURCE = "a\nb\nc\nd\n"


@given(
    st.integers(1, 4), st.lists(st.sampled_from(["x\n", "a\n", "b\n", "\n"]), max_size=4), st.integers(0, 2)
)
def test_an_offered_hunk_does_what_the_hunk_did(start: int, new: list[str], size: int) -> None:
    lines = SOURCE.splitlines(keepends=True)
    end = min(start + size - 1, 4)
    hunk = Hunk(
        start_line=start,
        end_line=end,
        original="".join(lines[start - 1 : end]),
        replacement="".join(new),
    )

    assert apply_offered(SOURCE, [anchored(SOURCE, hunk)]) == apply_hunks(SOURCE, [hunk])


def test_neighbours_may_repeat_the_same_line() -> None:
    above = anchored(SOURCE, Hunk(start_line=3, end_line=2, original="", replacement="new\n"))
    line = Hunk(start_line=2, end_line=2, original="b\n", replacement="B\n")
    insertion = Hunk(start_line=2, end_line=2, original="b\n", replacement="before\nb\n")

    assert (above.start_line, above.original) == (2, "b\n")
    assert apply_offered(SOURCE, [insertion, above]) == "a\nbefore\nb\nnew\nc\nd\n"
    assert without_repeated(line) == line
