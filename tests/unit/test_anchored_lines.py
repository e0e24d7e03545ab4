import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchmill.edit.anchors import anchor_of, with_anchor, written
from patchmill.edit.apply import apply_hunks, locate
from patchmill.edit.formats.anchored_lines import AnchoredLines
from patchmill.edit.protocol import Anchor, AnchoredEdit, Rejection, RejectionReason, Where
from patchmill.edit.span import line_content, split_lines
from tests.support.edit_answers import anchored_lines as render

SOURCE = "import os\n\ndef collect(item, into=[]):\n    into.append(item)\n    return into\n"
parse = AnchoredLines().parse

LINES = st.lists(
    st.sampled_from(["", "x", "x", "    y = 1", "\f", "é", "12ab|z", "@@ end"]), min_size=1, max_size=8
)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


def anchors(source: str) -> list[str]:
    """The anchors of a source's lines, as its prompt shows them."""
    contents = [line_content(line) for line in split_lines(source.removeprefix("\ufeff"))]
    return [written(anchor_of(number, content)) for number, content in enumerate(contents, start=1)]


def changed(source: str, answer: str) -> str:
    """The source after an answer, none of whose edits is refused."""
    proposal = parse(answer)
    located = locate(source, proposal.edits)
    assert (proposal.rejections, located.rejections) == ((), ())
    return apply_hunks(source, located.hunks)


def refused(answer: str, source: str = SOURCE) -> list[RejectionReason]:
    """Why an answer's edits are refused; none of them may be taken."""
    proposal = parse(answer)
    located = locate(source, proposal.edits)
    assert located.hunks == ()
    rejections: Sequence[Rejection] = (*proposal.rejections, *located.rejections)
    return [rejection.reason for rejection in rejections]


ONE, TWO, THREE, FOUR, FIVE = anchors(SOURCE)


def test_several_edits_of_every_kind_make_one_text() -> None:
    answer = f"""Title

@@ replace {THREE}-{FOUR}
def collect(item, into=None):
    into = [] if into is None else into
    into.append(item)
@@ end
@@ delete {ONE}-{TWO}
@@ end
@@ before {FIVE}
    print(item)
@@ end
@@ after {FIVE}

print(collect(1))
@@ end
@@ after 0
# first
@@ end
"""
    assert parse(answer).title == "Title"
    assert changed(SOURCE, answer) == (
        "# first\ndef collect(item, into=None):\n    into = [] if into is None else into\n"
        "    into.append(item)\n    print(item)\n    return into\n\nprint(collect(1))\n"
    )


def test_lines_are_deleted_by_delete_and_by_replace_without_lines() -> None:
    for verb in ("delete", "replace"):
        assert changed(SOURCE, f"@@ {verb} {ONE}-{TWO}\n@@ end") == SOURCE.removeprefix("import os\n\n")


def test_a_blank_line_is_no_deletion() -> None:
    assert changed(SOURCE, f"@@ replace {ONE}\n\n@@ end") == SOURCE.replace("import os", "")


def test_an_empty_file_is_filled() -> None:
    assert changed("", "@@ after 0\nx = 1\n@@ end") == "x = 1\n"


def test_lines_come_before_the_first_and_after_the_last() -> None:
    assert changed("x", "@@ after 0\na\n@@ end") == "a\nx"
    assert changed("x", f"@@ after {anchors('x')[0]}\na\n@@ end") == "x\na"
    assert changed("\ufeffx\r\n", "@@ after 0\na\n@@ end") == "\ufeffa\r\nx\r\n"


@pytest.mark.parametrize(
    ("header", "named"),
    [
        ("@@ replace {3}", (3, 3)),
        ("@@ replace {3}-{4}", (3, 4)),
        ("@@ replace {3} - {4}", (3, 4)),
        ("@@ replace {3}..{4}", (3, 4)),
        ("@@ replace {3} to {4}", (3, 4)),
        ("@@ replace {3}\N{EN DASH}{4}:", (3, 4)),
        ("@@replace {3}| @@", (3, 3)),
        ("@@ REPLACE `{3}`", (3, 3)),
        ("@@@@@ replace: {3}", (3, 3)),
    ],
)
def test_small_deviations_of_a_header_are_read(header: str, named: tuple[int, int]) -> None:
    filled = re.sub(r"\{(\d)\}", lambda found: anchors(SOURCE)[int(found[1]) - 1], header)

    (edit,) = parse(f"{filled}\nx\n@@ end").edits

    assert isinstance(edit, AnchoredEdit)
    assert edit.first is not None
    assert edit.last is not None
    assert (edit.first.line, edit.last.line) == named
    assert locate(SOURCE, [edit]).rejections == ()


def test_upper_case_and_separated_anchors_are_read() -> None:
    for text in (THREE.upper(), f"{THREE[0]}:{THREE[1:]}", f"{THREE[0]} {THREE[1:]}"):
        assert changed(SOURCE, f"@@ delete {text}\n@@ end") == SOURCE.replace(
            "def collect(item, into=[]):\n", ""
        )


def test_fences_around_edits_mean_nothing_and_inside_they_are_text() -> None:
    inside = f"@@ replace {ONE}\n```\nx\n```\n@@ end"

    for answer in (f"```\n{inside}\n```", f"~~~text\nTitle\n{inside}\n~~~"):
        assert changed(SOURCE, answer) == SOURCE.replace("import os", "```\nx\n```")


def test_new_lines_with_anchors_lose_them() -> None:
    answer = f"@@ replace {THREE}-{FOUR}\n{THREE}|def collect(item):\n\n4zz|    pass\n@@ end"

    assert changed(SOURCE, answer) == SOURCE.replace(
        "def collect(item, into=[]):\n    into.append(item)\n", "def collect(item):\n\n    pass\n"
    )


def test_text_that_looks_like_anchors_stays() -> None:
    assert changed("a\n", f"@@ replace {anchors('a')[0]}\n7zz|x\n@@ end") == "7zz|x\n"


def test_an_edit_with_more_marks_may_hold_the_line_that_ends_others() -> None:
    answer = f"@@@@ replace {ONE}\n@@ replace {TWO}\n@@ end\n@@@@ end\n"

    assert changed(SOURCE, answer) == SOURCE.replace("import os", f"@@ replace {TWO}\n@@ end")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("@@ replace 3zz\nx\n@@ end", RejectionReason.NOT_FOUND),
        (f"@@ replace {THREE}-4zz\nx\n@@ end", RejectionReason.NOT_FOUND),
        ("@@ replace 3\nx\n@@ end", RejectionReason.NOT_FOUND),
        (f"@@ replace {THREE}-4\nx\n@@ end", RejectionReason.NOT_FOUND),
        ("@@ replace 99zz\nx\n@@ end", RejectionReason.NOT_FOUND),
        ("@@ before 0\nx\n@@ end", RejectionReason.NOT_FOUND),
        ("@@ replace the imports\nx\n@@ end", RejectionReason.NOT_FOUND),
        (f"@@ replace {FOUR}-{THREE}\nx\n@@ end", RejectionReason.NOT_FOUND),
        (f"@@ delete {THREE}\nx\n@@ end", RejectionReason.AMBIGUOUS),
        (f"@@ replace {THREE}\nx", RejectionReason.UNTERMINATED),
        (f"@@ after {THREE}\n@@ end", RejectionReason.NO_EFFECT),
        (f"@@ replace {ONE}\nimport os\n@@ end", RejectionReason.NO_EFFECT),
    ],
)
def test_what_does_not_prove_its_place_or_is_not_whole_is_refused(
    answer: str, reason: RejectionReason
) -> None:
    assert refused(answer) == [reason]


def test_a_wrong_tag_is_told_with_the_right_one_and_the_line() -> None:
    edit = AnchoredEdit(where=Where.REPLACE, first=Anchor(line=3, tag="zz"), last=None, replace="x\n")

    (rejection,) = locate(SOURCE, [edit]).rejections

    assert rejection.near == (3, 3)
    assert f"line 3 is {THREE}, 'def collect(item, into=[]):'" in rejection.detail


def test_an_edit_that_breaks_off_at_the_next_header_leaves_the_others() -> None:
    proposal = parse(f"@@ replace {ONE}\nx\n@@ delete {TWO}\n@@ end\n")

    assert [edit.replace for edit in proposal.edits] == [""]
    assert [rejection.reason for rejection in proposal.rejections] == [RejectionReason.UNTERMINATED]


def test_two_edits_of_one_line_clash() -> None:
    proposal = parse(f"@@ replace {ONE}\nx\n@@ end\n@@ delete {ONE}-{TWO}\n@@ end\n")

    located = locate(SOURCE, proposal.edits)

    assert located.edits == (0,)
    assert [rejection.reason for rejection in located.rejections] == [RejectionReason.OVERLAP]


def test_edits_outside_the_scope_are_refused() -> None:
    proposal = parse(f"@@ replace {ONE}\nx\n@@ end\n")

    located = locate(SOURCE, proposal.edits, scope=(3, 5))

    assert [rejection.reason for rejection in located.rejections] == [RejectionReason.OUTSIDE_SCOPE]


def test_nothing_to_change_is_declined_with_the_reason() -> None:
    assert parse("NO CHANGE: it is right already").declined == "it is right already"
    assert parse(f"NO CHANGE: x\n@@ delete {ONE}\n@@ end").declined is None


@given(lines=LINES, end=ENDS, open_end=st.booleans(), bom=st.booleans())
def test_what_a_prompt_shows_has_each_line_once_and_proves_it(
    lines: list[str], end: str, *, open_end: bool, bom: bool
) -> None:
    source = ("\ufeff" if bom else "") + end.join(lines) + ("" if open_end else end)
    shown = [with_anchor(number, line) for number, line in enumerate(split_lines(source), start=1)]

    assert "".join(re.sub(r"^\d+[a-z]{2}\|", "", line) for line in shown) == source.removeprefix("\ufeff")
    for line in filter(None, shown):
        name = line.partition("|")[0]
        located = locate(source, parse(f"@@ replace {name}\nnew line of text\n@@ end").edits)
        assert [hunk.start_line for hunk in located.hunks] == [int(re.sub(r"\D", "", name))]


@given(LINES, st.data())
def test_edits_by_anchors_do_what_they_say(lines: list[str], data: st.DataObject) -> None:
    source = "".join(f"{line}\n" for line in lines)
    start = data.draw(st.integers(0, len(lines) - 1))
    stop = data.draw(st.integers(start + 1, len(lines)))
    where = data.draw(st.sampled_from(Where))
    new = data.draw(LINES)
    names = [anchor_of(number, line) for number, line in enumerate(lines, start=1)]
    edit = AnchoredEdit(
        where=where,
        first=names[start],
        last=names[stop - 1],
        replace="".join(f"{line}\n" for line in new),
    )
    old = lines[start:stop]
    put = {Where.REPLACE: new, Where.AFTER: [*old, *new], Where.BEFORE: [*new, *old]}[where]

    located = locate(source, parse(render("Title", [edit])).edits)

    result = apply_hunks(source, located.hunks)
    assert result == "".join(f"{line}\n" for line in [*lines[:start], *put, *lines[stop:]])
    assert [rejection.reason for rejection in located.rejections] == (
        [RejectionReason.NO_EFFECT] if result == source else []
    )


@given(st.integers(1, 500), st.text(max_size=30), st.text(max_size=30))
def test_tags_depend_on_number_and_text(number: int, one: str, other: str) -> None:
    # A tag is one of 676, so that a test may only say that it depends on the number and the text.
    tags = {anchor_of(each, text).tag for each in range(number, number + 40) for text in (one, other)}

    assert len(tags) > 20
