import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchmill.edit.apply import apply_hunks, overlap
from patchmill.edit.compose import compose
from patchmill.edit.span import Hunk, split_lines

SOURCE = "a\nb\nc\nd\ne\n"


def hunk(text: str, start: int, end: int, replacement: str) -> Hunk:
    original = "".join(split_lines(text)[start - 1 : end])
    return Hunk(start_line=start, end_line=end, original=original, replacement=replacement)


def hunks_of(text: str, data: st.DataObject) -> list[Hunk]:
    count = len(split_lines(text))
    drawn: list[Hunk] = []
    for _ in range(data.draw(st.integers(0, 3))):
        start = data.draw(st.integers(1, count + 1))
        end = data.draw(st.integers(start - 1, count))
        replacement = "".join(data.draw(st.lists(st.sampled_from(["x\n", "y\n", "a\n"]), max_size=3)))
        made = hunk(text, start, end, replacement)
        if made.original != replacement and not any(overlap(made, other) for other in drawn):
            drawn.append(made)
    return drawn


def test_what_shares_no_line_is_moved_and_leaves_the_first_step_alone() -> None:
    first = [hunk(SOURCE, 2, 2, "")]
    second = [hunk("a\nc\nd\ne\n", 3, 3, "D\n")]

    (one,) = compose(SOURCE, first, second)

    assert one.hunk == hunk(SOURCE, 4, 4, "D\n")
    assert not one.first


def test_what_lies_around_a_hunk_of_the_first_step_takes_it_in() -> None:
    first = [hunk(SOURCE, 2, 2, ""), hunk(SOURCE, 5, 5, "")]
    second = [hunk("a\nc\nd\n", 1, 2, "c\na\n")]

    (one,) = compose(SOURCE, first, second)

    assert one.hunk == hunk(SOURCE, 1, 3, "c\na\n")
    assert one.first == {first[0]}


def test_steps_that_cancel_each_other_make_no_hunk() -> None:
    (one,) = compose(SOURCE, [hunk(SOURCE, 2, 2, "B\n")], [hunk("a\nB\nc\nd\ne\n", 2, 2, "b\n")])

    assert one.hunk is None


def test_hunks_of_another_text_are_refused() -> None:
    with pytest.raises(ValueError, match="not the source"):
        compose(SOURCE, [], [hunk("z\n", 1, 1, "x\n")])


@given(data=st.data())
def test_one_step_makes_what_the_two_make(data: st.DataObject) -> None:
    source = "".join(f"{letter}\n" for letter in "abcdef"[: data.draw(st.integers(0, 6))])
    first = hunks_of(source, data)
    text = apply_hunks(source, first)
    second = hunks_of(text, data)

    composed = compose(source, first, second)

    swallowed = {hunk for one in composed for hunk in one.first}
    left = [hunk for hunk in first if hunk not in swallowed]
    whole = [*left, *(one.hunk for one in composed if one.hunk is not None)]
    assert apply_hunks(source, whole) == apply_hunks(text, second)
    assert sorted(id(hunk) for one in composed for hunk in one.second) == sorted(map(id, second))
