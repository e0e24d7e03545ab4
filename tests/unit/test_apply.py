import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from patchmill.edit.apply import LineMap, Located, anchored, apply_hunks, locate
from patchmill.edit.protocol import Edit, RejectionReason
from patchmill.edit.span import Hunk, line_content, line_end, split_lines

BOM = "\ufeff"


def hunk(start_line: int, end_line: int, original: str, replacement: str) -> Hunk:
    return Hunk(start_line=start_line, end_line=end_line, original=original, replacement=replacement)


def located(source: str, *pairs: tuple[str, str], scope: tuple[int, int] | None = None) -> Located:
    return locate(source, [Edit(search=search, replace=replace) for search, replace in pairs], scope=scope)


def edited(source: str, *pairs: tuple[str, str]) -> str:
    result = located(source, *pairs)
    assert result.rejections == ()
    return apply_hunks(source, result.hunks)


def refused(
    source: str, *pairs: tuple[str, str], scope: tuple[int, int] | None = None
) -> list[tuple[int, RejectionReason]]:
    result = located(source, *pairs, scope=scope)
    return [(rejection.edit, rejection.reason) for rejection in result.rejections]


@pytest.mark.parametrize(
    ("search", "replace", "expected"),
    [
        ("b\n", "x\n", hunk(2, 2, "b\n", "x\n")),
        ("a\nb\nc\n", "a\nx\ny\nc\n", hunk(2, 2, "b\n", "x\ny\n")),
        ("a\nb\nc\n", "a\nc\n", hunk(2, 2, "b\n", "")),
        ("b\n", "", hunk(2, 2, "b\n", "")),
        ("b\n", "b\nx\n", hunk(3, 2, "", "x\n")),
        ("b\n", "x\nb\n", hunk(2, 1, "", "x\n")),
        ("a\n", "x\na\n", hunk(1, 0, "", "x\n")),
        ("c\n", "c\nx\n", hunk(4, 3, "", "x\n")),
        ("b\n", "b\nb\n", hunk(3, 2, "", "b\n")),
        ("b", "x", hunk(2, 2, "b\n", "x\n")),  # texts without final end are lines too
        ("a\nb\nc\n", "x\nb\ny\n", hunk(1, 3, "a\nb\nc\n", "x\nb\ny\n")),
    ],
)
def test_the_hunk_is_the_smallest_range_of_whole_lines(search: str, replace: str, expected: Hunk) -> None:
    assert located("a\nb\nc\n", (search, replace)).hunks == (expected,)


def test_hunks_are_sorted_and_remember_their_edits() -> None:
    result = located("a\nb\nc\n", ("c\n", "z\n"), ("q\n", "r\n"), ("a\n", "x\n"))

    assert [(made.start_line, number) for made, number in zip(result.hunks, result.edits, strict=True)] == [
        (1, 2),
        (3, 0),
    ]
    assert [rejection.edit for rejection in result.rejections] == [1]


@pytest.mark.parametrize(
    ("source", "search", "replace", "expected"),
    [
        ("a\r\nb\r\nc\r\n", "b\n", "x\ny\n", "a\r\nx\r\ny\r\nc\r\n"),
        ("a\rb\rc\r", "b\n", "x\ny\n", "a\rx\ry\rc\r"),
        ("a\r\nb\nc\r\n", "b\n", "x\n", "a\r\nx\nc\r\n"),
        ("a\r\nb\nc\r\n", "a\nb\nc\n", "x\nb\ny\n", "x\r\nb\ny\r\n"),
        ("a\r\nb\n", "a\n", "a\nx\n", "a\r\nx\r\nb\n"),
        ("a\nb\r\n", "b\n", "x\nb\n", "a\nx\r\nb\r\n"),
    ],
)
def test_new_lines_take_the_ends_around_them(source: str, search: str, replace: str, expected: str) -> None:
    assert edited(source, (search, replace)) == expected


@pytest.mark.parametrize(
    ("source", "search", "replace", "expected"),
    [
        ("a\nb", "b\n", "x\n", "a\nx"),
        ("a\nb", "b\n", "x\ny\n", "a\nx\ny"),
        ("a\r\nb", "b\n", "b\nx\n", "a\r\nb\r\nx"),
        ("a", "a\n", "x\n", "x"),
        ("a", "a\n", "a\nb\n", "a\nb"),
        ("a", "a\n", "b\na\n", "b\na"),
        ("a\nb", "a\nb\n", "a\n", "a\n"),
        ("a\nb", "b\n", "", "a\n"),
        ("a", "a\n", "", ""),
        ("a\r\nb", "b\n", "b\n\n", "a\r\nb\r\n"),  # how a final newline is added
    ],
)
def test_a_missing_final_newline_stays_missing(source: str, search: str, replace: str, expected: str) -> None:
    assert edited(source, (search, replace)) == expected


def test_inserting_after_a_last_line_without_end_includes_that_line() -> None:
    assert located("a\nb", ("b\n", "b\nc\n")).hunks == (hunk(2, 2, "b", "b\nc"),)


@pytest.mark.parametrize(
    ("source", "search", "replace", "expected"),
    [
        (BOM + "a\nb\n", "a\n", "x\n", hunk(1, 1, BOM + "a\n", BOM + "x\n")),
        (BOM + "a\nb\n", BOM + "a\n", BOM + "x\n", hunk(1, 1, BOM + "a\n", BOM + "x\n")),
        (BOM + "a\nb\n", "a\n", "x\na\n", hunk(1, 1, BOM + "a\n", BOM + "x\na\n")),
        (BOM + "a\nb\n", "a\n", "", hunk(1, 2, BOM + "a\nb\n", BOM + "b\n")),
        (BOM + "a\nb\n", "b\n", "x\n", hunk(2, 2, "b\n", "x\n")),
        (BOM + "a\n", "a\n", "", hunk(1, 1, BOM + "a\n", BOM)),
        (BOM, "", "x\n", hunk(1, 1, BOM, BOM + "x\n")),
    ],
)
def test_a_byte_order_mark_stays_first(source: str, search: str, replace: str, expected: Hunk) -> None:
    assert located(source, (search, replace)).hunks == (expected,)
    assert apply_hunks(source, [expected]).startswith(BOM)


def test_trailing_whitespace_is_ignored_only_when_nothing_fits_exactly() -> None:
    assert edited("a \nb\na\n", ("a\n", "x\n")) == "a \nb\nx\n"
    assert edited("a \t\nb\n", ("a\nb \n", "a\ny\n")) == "a \t\ny\n"


def test_trailing_whitespace_can_be_removed_on_purpose() -> None:
    assert edited("a  \nb\n", ("a  \n", "a\n")) == "a\nb\n"


@pytest.mark.parametrize(
    ("source", "search", "replace", "expected"),
    [
        ("if a:\n    b\n\n    c\n", "b\n\nc\n", "b\nif c:\n    d\n", "if a:\n    b\n    if c:\n        d\n"),
        (
            "if a:\n    b\n    c\n",
            "        b\n        c\n",
            "        b\n        d\n",
            "if a:\n    b\n    d\n",
        ),
        ("if a:\n\tb\n\tc\n", "b\nc\n", "b\n\td\n", "if a:\n\tb\n\t\td\n"),
        ("if a:\n    b  \n", "b\n", "b\n\nc\n", "if a:\n    b  \n\n    c\n"),
    ],
)
def test_uniform_indentation_is_carried_over(source: str, search: str, replace: str, expected: str) -> None:
    assert edited(source, (search, replace)) == expected


@pytest.mark.parametrize(
    ("source", "search", "replace"),
    [
        ("if a:\n\tb\n", "    b\n", "    c\n"),  # tabs are not spaces
        ("if a:\n\tb\n", "b\n", "b\n    c\n"),  # the new line would be indented by both
        ("if a:\n    b\n      c\n", "b\nc\n", "x\n"),  # not the same shift on each line
        ("if a:\n \tb\n", "b\n", "c\n"),  # a shift of both kinds
        ("  b\n", "    b\n", "    b\n c\n"),  # the new line cannot lose so much
    ],
)
def test_other_indentation_is_not_guessed(source: str, search: str, replace: str) -> None:
    result = located(source, (search, replace))

    assert [rejection.reason for rejection in result.rejections] == [RejectionReason.NOT_FOUND]
    assert "indentation" in result.rejections[0].detail


def test_a_page_break_before_a_line_needs_no_mention_and_stays() -> None:
    source = "a = 1\n\fdef f():\n    pass\n"

    assert edited(source, ("def f():\n    pass\n", "def f(x):\n    pass\n")) == source.replace("f()", "f(x)")
    assert edited(source, ("\fdef f():\n", "def f(x):\n")) == "a = 1\ndef f(x):\n    pass\n"


@pytest.mark.parametrize(
    ("search", "near"),
    [
        ("alpha = 1\nbeta = 3\n", (1, 2)),
        ("alphas = 1\nbeta = 2\n", (1, 2)),
        ("gamma = 3\nalpha = 1\n", (3, 3)),
        ("zzz\n", None),
    ],
)
def test_what_is_not_found_names_the_lines_that_it_may_mean(
    search: str, near: tuple[int, int] | None
) -> None:
    result = located("alpha = 1\n  beta = 2\ngamma = 3\n", (search, "x\n"))

    assert [each.near for each in result.rejections] == [near]


@pytest.mark.parametrize(
    ("search", "detail"),
    [
        ("alpha = 1\nbeta = 3\n", "line 2 of the search text, 'beta = 3', is nowhere in the file; "),
        ("alpha = 1\nbeta = 3\n", "the most similar is line 2, '  beta = 2'"),
        ("zzz\n", "line 1 of the search text, 'zzz', is nowhere in the file"),
        ("gamma\nalpha = 1\n", "do not stand together in this order"),
    ],
)
def test_a_text_that_is_not_found_says_what_differs(search: str, detail: str) -> None:
    result = located("alpha = 1\n  beta = 2\ngamma\n", (search, "x\n"))

    assert [rejection.reason for rejection in result.rejections] == [RejectionReason.NOT_FOUND]
    assert detail in result.rejections[0].detail


@pytest.mark.parametrize("source", ["a\nb\na\n", "a \nb\na \n", "  a\nb\n    a\n"])
def test_an_ambiguous_text_names_its_places(source: str) -> None:
    result = located(source, ("a\n", "x\n"))

    assert [rejection.reason for rejection in result.rejections] == [RejectionReason.AMBIGUOUS]
    assert "lines 1, 3" in result.rejections[0].detail


def test_overlapping_places_are_ambiguous_too() -> None:
    assert refused("a\na\na\n", ("a\na\n", "x\n")) == [(0, RejectionReason.AMBIGUOUS)]


def test_many_places_are_not_all_listed() -> None:
    assert "9, 10 and more" in located("a\n" * 100, ("a\n", "x\n")).rejections[0].detail


@pytest.mark.parametrize("search", ["", "\n", "  \n\n"])
def test_an_empty_search_needs_an_empty_file(search: str) -> None:
    assert refused("a\n", (search, "x\n")) == [(0, RejectionReason.EMPTY_SEARCH)]
    assert located("", (search, "x\ny\n")).hunks == (hunk(1, 0, "", "x\ny\n"),)


def test_nothing_is_found_in_an_empty_file() -> None:
    assert refused("", ("a\n", "b\n")) == [(0, RejectionReason.NOT_FOUND)]


@pytest.mark.parametrize(
    ("search", "replace"),
    [("a\n", "a\n"), ("a \n", "a\n"), ("nowhere\n", "nowhere\n"), ("", ""), ("a", "a\n")],
)
def test_an_edit_that_changes_nothing_has_no_effect(search: str, replace: str) -> None:
    assert refused("a\nb\n", (search, replace)) == [(0, RejectionReason.NO_EFFECT)]


@pytest.mark.parametrize(
    ("search", "replace", "allowed"),
    [
        ("b\nc\n", "x\ny\n", True),
        ("a\nb\n", "x\ny\n", False),
        ("c\nd\n", "x\ny\n", False),
        ("a\nb\nc\nd\n", "a\nx\nc\nd\n", True),  # only what changes counts
        ("a\n", "a\nx\n", True),  # at the first line's beginning
        ("c\n", "c\nx\n", True),  # at the last line's end
        ("a\n", "x\na\n", False),
        ("d\n", "d\nx\n", False),
    ],
)
def test_only_lines_in_scope_may_change(search: str, replace: str, *, allowed: bool) -> None:
    reasons = refused("a\nb\nc\nd\n", (search, replace), scope=(2, 3))

    assert reasons == ([] if allowed else [(0, RejectionReason.OUTSIDE_SCOPE)])


@pytest.mark.parametrize(
    "pairs",
    [
        (("a\nb\n", "x\ny\n"), ("b\nc\n", "y\nz\n")),
        (("b\n", "x\n"), ("b\n", "y\n")),
        (("a\n", "a\nx\n"), ("b\n", "y\nb\n")),  # both insert at one point
        (("a\nb\n", "x\n"), ("a\n", "a\ny\n")),  # inserts inside what is replaced
        (("a\n", "a\ny\n"), ("a\nb\n", "x\n")),
    ],
)
def test_of_two_edits_that_clash_the_later_is_refused(pairs: tuple[tuple[str, str], ...]) -> None:
    assert refused("a\nb\nc\n", *pairs) == [(1, RejectionReason.OVERLAP)]


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ((("b\n", "y\n"), ("a\n", "x\n")), "x\ny\nc\n"),
        ((("b\n", "y\n"), ("a\n", "a\nx\n")), "a\nx\ny\nc\n"),
        ((("a\n", "y\n"), ("b\n", "x\nb\n")), "y\nx\nb\nc\n"),
        ((("a\nb\n", "x\nb\n"), ("b\nc\n", "b\ny\n")), "x\nb\ny\n"),  # only the context is shared
    ],
)
def test_adjacent_edits_are_both_applied(pairs: tuple[tuple[str, str], ...], expected: str) -> None:
    assert edited("a\nb\nc\n", *pairs) == expected


def test_other_separators_do_not_end_lines() -> None:
    source = "a\x0cb\x0bc\u2028d\n\x0c\ne\n"

    assert edited(source, ("\x0c\ne\n", "\x0c\nf\n")) == "a\x0cb\x0bc\u2028d\n\x0c\nf\n"


@pytest.mark.parametrize(
    ("source", "search", "replace", "contents"),
    [
        ("a\rb\n\nc\n", "b\n", "", ["a", "", "c"]),
        ("a\rb\n\n", "a\nb\n", "a\n", ["a", ""]),
        ("a\rb\rc\n", "b\nc\n", "x\n\ny\n", ["a", "x", "", "y"]),
    ],
)
def test_a_lone_cr_does_not_swallow_the_blank_line_after_it(
    source: str, search: str, replace: str, contents: list[str]
) -> None:
    assert [line_content(line) for line in split_lines(edited(source, (search, replace)))] == contents


def test_a_very_long_edit_is_still_exact() -> None:
    lines = [f"line {number}" for number in range(2000)]
    changed = [line.replace("7", "seven") for line in lines]
    search, replace = "\n".join(lines), "\n".join(changed)

    assert edited(f"top\n{search}\nend\n", (search, replace)) == f"top\n{replace}\nend\n"


@pytest.mark.parametrize(
    "hunks",
    [
        [hunk(2, 2, "x\n", "y\n")],
        [hunk(2, 3, "b\n", "y\n")],
        [hunk(5, 4, "", "y\n")],
        [hunk(0, 0, "", "y\n")],
        [hunk(3, 1, "", "y\n")],
        [hunk(1, 2, "a\nb\n", "x\n"), hunk(2, 2, "b\n", "y\n")],
        [hunk(2, 1, "", "x\n"), hunk(2, 1, "", "y\n")],
        [hunk(1, 3, "a\nb\nc\n", "x\n"), hunk(2, 1, "", "y\n")],
        [hunk(1, 1, "a\n", "x")],  # would run into line 2
    ],
)
def test_hunks_that_do_not_fit_the_source_raise(hunks: list[Hunk]) -> None:
    with pytest.raises(ValueError, match=r"hunk|line"):
        apply_hunks("a\nb\nc\n", hunks)


def test_no_text_runs_on_from_a_last_line_without_end() -> None:
    with pytest.raises(ValueError, match="without an end"):
        apply_hunks("a", [hunk(2, 1, "", "b\n")])


def test_hunks_apply_in_any_order() -> None:
    hunks = [hunk(4, 3, "", "d\n"), hunk(1, 1, "a\n", ""), hunk(3, 3, "c\n", "z\n")]

    assert apply_hunks("a\nb\nc\n", hunks) == "b\nz\nd\n"


@pytest.mark.parametrize(
    ("source", "given_hunk", "expected"),
    [
        ("a\nb\n", hunk(2, 1, "", "x\n"), hunk(1, 1, "a\n", "a\nx\n")),
        ("a\nb\n", hunk(3, 2, "", "x\n"), hunk(2, 2, "b\n", "b\nx\n")),
        ("a\nb\n", hunk(1, 0, "", "x\n"), hunk(1, 1, "a\n", "x\na\n")),
        ("", hunk(1, 0, "", "x\n"), hunk(1, 0, "", "x\n")),
        ("a\nb\n", hunk(2, 2, "b\n", ""), hunk(2, 2, "b\n", "")),
    ],
)
def test_an_insertion_is_offered_with_a_neighbour(source: str, given_hunk: Hunk, expected: Hunk) -> None:
    assert anchored(source, given_hunk) == expected
    assert apply_hunks(source, [expected]) == apply_hunks(source, [given_hunk])


def test_lines_are_mapped_through_hunks() -> None:
    # 1 a, 2 b, 3 c, 4 d  becomes  1 a, 2 x, 3 y, 4 b, 5 z, 6 d
    lines = LineMap.of([hunk(3, 3, "c\n", "z\n"), hunk(2, 1, "", "x\ny\n")])

    assert [lines.new_line(number) for number in range(1, 6)] == [1, 4, None, 6, 7]
    assert [lines.old_line(number) for number in range(1, 8)] == [1, None, None, 2, None, 4, 5]


def test_lines_are_mapped_through_a_deletion() -> None:
    lines = LineMap.of([hunk(1, 2, "a\nb\n", "")])

    assert [lines.new_line(number) for number in (1, 2, 3)] == [None, None, 1]
    assert lines.old_line(1) == 3


CONTENTS = st.sampled_from(["a", "b", "", "\tx", "    y", "é\u2028", "z ", "\x0c", "日本"])
ENDS = st.sampled_from(["\n", "\r\n", "\r"])
PAIRS = st.lists(st.tuples(CONTENTS, ENDS), min_size=1, max_size=14)


@st.composite
def sources(draw: st.DrawFn) -> str:
    """Files with repeated lines, one line end or mixed ones, with or without mark and final newline."""
    pairs = draw(PAIRS)
    end = draw(st.none() | ENDS)
    source = "".join(content + (end or own) for content, own in pairs)
    if draw(st.booleans()):
        source = source.removesuffix(line_end(split_lines(source)[-1]))
    return draw(st.sampled_from(["", BOM])) + source


def lf(lines: list[str]) -> str:
    return "".join(f"{line_content(line)}\n" for line in lines)


@settings(deadline=None)
@given(sources(), st.data())
def test_a_unique_slice_is_replaced_and_nothing_else_changes(source: str, data: st.DataObject) -> None:
    mark = BOM if source.startswith(BOM) else ""
    lines = split_lines(source.removeprefix(BOM))
    assume(lines)
    start = data.draw(st.integers(0, len(lines) - 1))
    stop = data.draw(st.integers(start + 1, len(lines)))
    contents = [line_content(line) for line in lines]
    size = stop - start
    assume(sum(contents[at : at + size] == contents[start:stop] for at in range(len(lines))) == 1)
    assume(any(content.strip() for content in contents[start:stop]))
    # New contents of the same number of lines, so that each line's own end is known.
    wanted = [data.draw(st.sampled_from([content, "new", "  other"])) for content in contents[start:stop]]
    assume(wanted != contents[start:stop])

    expected = [content + line_end(line) for content, line in zip(wanted, lines[start:stop], strict=True)]
    result = located(source, (lf(lines[start:stop]), "".join(f"{line}\n" for line in wanted)))

    assert result.rejections == ()
    head, tail = mark + "".join(lines[:start]), "".join(lines[stop:])
    new = apply_hunks(source, result.hunks)
    assert new.startswith(head)
    assert new.endswith(tail)
    if len(set(contents[start:stop])) == size or len({line_end(line) for line in lines}) == 1:
        assert new == head + "".join(expected) + tail
    else:  # which of several equal lines was kept, and so whose end a new line takes, is anyone's guess
        assert lf(split_lines(new)) == lf(split_lines(head + "".join(expected) + tail))


@st.composite
def numbered_edits(draw: st.DrawFn) -> tuple[str, list[Edit]]:
    """A file whose lines are all different, and edits that each replace some of them by others."""
    source = "".join(f"{number} {line}" for number, line in enumerate(split_lines(draw(sources()))))
    lines = split_lines(source)
    edits = []
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(lines)))
        stop = draw(st.integers(start, min(len(lines), start + 3)))
        kept = [f"{line_content(line)}\n" for line in lines[start:stop]]
        replace = draw(st.lists(st.sampled_from(["new\n", "\n", "  x\n", *kept]), max_size=5))
        edits.append(Edit(search="".join(kept), replace="".join(replace)))
    return source, edits


@settings(deadline=None)
@given(numbered_edits())
def test_every_edit_is_either_placed_or_refused(case: tuple[str, list[Edit]]) -> None:
    source, edits = case
    result = locate(source, edits)

    assert sorted([*result.edits, *(rejection.edit for rejection in result.rejections)]) == [
        *range(len(edits))
    ]
    assert list(result.hunks) == sorted(result.hunks, key=lambda made: (made.start_line, made.end_line))


@settings(deadline=None)
@given(numbered_edits())
def test_hunks_change_what_they_say_and_nothing_else(case: tuple[str, list[Edit]]) -> None:
    source, edits = case
    lines = split_lines(source)
    for made in locate(source, edits).hunks:
        head, tail = "".join(lines[: made.start_line - 1]), "".join(lines[made.end_line :])

        assert head + made.original + tail == source
        assert apply_hunks(source, [made]) == head + made.replacement + tail
        old, new = split_lines(made.original), split_lines(made.replacement)
        assert not (old and new and old[0] == new[0])
        assert not (old and new and old[-1] == new[-1])


@settings(deadline=None)
@given(numbered_edits())
def test_an_edit_makes_the_lines_that_it_asks_for(case: tuple[str, list[Edit]]) -> None:
    source, edits = case
    contents = lf(split_lines(source))
    for edit in edits:
        result = locate(source, [edit])
        if result.hunks:
            new = lf(split_lines(apply_hunks(source, result.hunks)))
            wanted = contents.replace(edit.search, edit.replace, 1) if edit.search else edit.replace
            # A file without final newline shows no blank line at its end.
            assert new in {wanted, wanted.removesuffix("\n")}


@settings(deadline=None)
@given(numbered_edits())
def test_anchored_hunks_do_the_same(case: tuple[str, list[Edit]]) -> None:
    source, edits = case
    for made in locate(source, edits).hunks:
        offered = anchored(source, made)

        assert apply_hunks(source, [offered]) == apply_hunks(source, [made])
        assert offered.original or not source


@settings(deadline=None)
@given(numbered_edits())
def test_mapped_lines_have_the_same_content(case: tuple[str, list[Edit]]) -> None:
    source, edits = case
    hunks = locate(source, edits).hunks
    old, new = split_lines(source), split_lines(apply_hunks(source, hunks))
    lines = LineMap.of(hunks)

    kept = {number: lines.new_line(number) for number in range(1, len(old) + 1)}
    assert all(mapped is None or old[number - 1] == new[mapped - 1] for number, mapped in kept.items())
    assert all(mapped is None or lines.old_line(mapped) == number for number, mapped in kept.items())
    written = [number for number in range(1, len(new) + 1) if lines.old_line(number) is None]
    assert len(written) == len(new) - sum(mapped is not None for mapped in kept.values())


@pytest.mark.parametrize(
    ("source", "first", "second"),
    [
        (f"{BOM}a\n", ("a\n", ""), ("a\n", "a\nb\n")),
        (f"{BOM}a\n", ("a\n", "a\nb\n"), ("a\n", "")),
        ("a\rb\nc\n", ("a\n", "x\n"), ("b\n", "\n")),
        ("a\rb\nc\n", ("b\n", "\n"), ("a\n", "x\n")),
    ],
)
def test_edits_that_would_make_another_line_together_are_refused_as_overlapping(
    source: str, first: tuple[str, str], second: tuple[str, str]
) -> None:
    assert refused(source, first, second) == [(1, RejectionReason.OVERLAP)]
