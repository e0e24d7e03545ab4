import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchmill.edit.formats.search_replace import SearchReplace
from patchmill.edit.prose import EXPLANATION_LIMIT, TITLE_LIMIT
from patchmill.edit.protocol import Edit, Proposal, RejectionReason
from tests.support.edit_answers import search_replace as render

BLOCK = "<<<<<<< SEARCH\nold\n=======\nnew\n>>>>>>> REPLACE\n"
EDIT = Edit(search="old\n", replace="new\n")


def parse(text: str) -> Proposal:
    return SearchReplace().parse(text)


CODE = (
    st.lists(
        st.sampled_from(
            ["x = 1", "", "    y", "```", "=======", "<<<<<<< SEARCH", ">>>>>>> REPLACE", "~~~", "é"]
        )
        | st.text(
            alphabet=st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=12
        ),
        max_size=6,
    )
    # Nine wide markers are what the renderer escapes with.
    .filter(lambda lines: not any(line[:8] in {"<" * 8, "=" * 8, ">" * 8} for line in lines))
    .map(lambda lines: "".join(f"{line}\n" for line in lines))
)
EDITS = st.lists(st.builds(lambda a, b: Edit(search=a, replace=b), CODE, CODE), max_size=4)
SHARDS = st.lists(
    st.sampled_from(
        [
            "<<<<<<< SEARCH",
            "=======",
            ">>>>>>> REPLACE",
            "<<<<< SEARCH",
            "=====",
            ">>>>>>>>> REPLACE",
            "```",
            "~~~~",
            "NO CHANGE: fine",
            "text",
            "",
            "# T",
            "\r",
            "\x00",
            "\ud800",
        ]
    ),
    max_size=30,
).map("\n".join)


@settings(deadline=None)
@given(st.text() | SHARDS | st.text(alphabet=st.characters()))
def test_parse_never_raises_and_numbers_each_block_once(text: str) -> None:
    proposal = parse(text)

    numbers = [rejection.edit for rejection in proposal.rejections]
    assert numbers == list(range(len(proposal.edits), len(proposal.edits) + len(numbers)))
    assert proposal.declined is None or not (proposal.edits or proposal.rejections)
    assert len(proposal.title) <= TITLE_LIMIT
    assert len(proposal.explanation) <= EXPLANATION_LIMIT


@settings(deadline=None)
@given(EDITS)
def test_a_rendered_answer_parses_back(edits: list[Edit]) -> None:
    proposal = parse(render("Title", edits))

    assert proposal == Proposal(title="Title", explanation="Title", edits=tuple(edits))


@settings(deadline=None)
@given(EDITS)
def test_a_rendered_answer_with_crlf_parses_back(edits: list[Edit]) -> None:
    assert parse(render("Title", edits).replace("\n", "\r\n")).edits == tuple(edits)


@pytest.mark.parametrize(
    "text",
    [
        BLOCK,  # no fence at all
        f"```python\n{BLOCK}```\n",
        f"~~~~~ py title=x\n{BLOCK}~~~~~",
        f"```\n{BLOCK}",  # the fence is not closed
        f"text\n{BLOCK}```",  # the fence is not opened
        BLOCK.replace("\n", " \t\n"),  # trailing whitespace, here on the code as well
        "<<<<< SEARCH\nold\n=====\nnew\n>>>>> REPLACE",
        "<<<<<<<<< SEARCH\nold\n=========\nnew\n>>>>>>>>> REPLACE\n",
        "<<<<<<< SEARCH\nold\n======\nnew\n>>>>>> REPLACE\n",  # uneven markers
        "<<<<<<<SEARCH\nold\n=======\nnew\n>>>>>>>REPLACE\n",
    ],
)
def test_sloppy_fences_and_markers_are_understood(text: str) -> None:
    (edit,) = parse(text).edits

    assert isinstance(edit, Edit)
    assert (edit.search.split(), edit.replace.split()) == (["old"], ["new"])


def test_several_blocks_in_one_fence_are_several_edits() -> None:
    assert parse(f"```\n{BLOCK}\n{BLOCK}```").edits == (EDIT, EDIT)


@pytest.mark.parametrize("marker", ["<<<< SEARCH", "<<<<<<<<<< SEARCH", "x <<<<<<< SEARCH", "<<<<<<< HEAD"])
def test_other_lines_are_no_markers(marker: str) -> None:
    proposal = parse(f"{marker}\nold\n=======\nnew\n>>>>>>> REPLACE\n")

    assert (proposal.edits, proposal.rejections) == ((), ())


def test_code_may_contain_fence_lines() -> None:
    text = "```md\n<<<<<<< SEARCH\n```\nold\n```\n=======\n~~~\n>>>>>>> REPLACE\n```\n"

    assert parse(text).edits == (Edit(search="```\nold\n```\n", replace="~~~\n"),)


@pytest.mark.parametrize(
    ("code", "search", "replace"),
    [
        # a heading in both halves
        ("Old\n=======\n=======\nNew\n=======\n", "Old\n=======\n", "New\n=======\n"),
        # a heading added
        ("Old\n=======\nOld\n\nNew\n=======\n", "Old\n", "Old\n\nNew\n=======\n"),
        # another width than the block's own markers
        ("Old\n=====\n=======\nNew\n=====\n", "Old\n=====\n", "New\n=====\n"),
    ],
)
def test_code_may_contain_divider_lines(code: str, search: str, replace: str) -> None:
    proposal = parse(f"<<<<<<< SEARCH\n{code}>>>>>>> REPLACE\n")

    assert proposal.edits == (Edit(search=search, replace=replace),)


def test_nine_wide_markers_hold_code_with_all_markers() -> None:
    edit = Edit(search=BLOCK, replace="=======\n" + BLOCK)

    assert parse(render("Title", [edit])).edits == (edit,)


@pytest.mark.parametrize(
    "cut", ["<<<<<<< SEARCH\nold\n", "<<<<<<< SEARCH\nold\n=======\nnew\n```\n", "<<<<<<< SEARCH"]
)
def test_complete_blocks_before_an_unterminated_one_are_kept(cut: str) -> None:
    proposal = parse(f"Title\n{BLOCK}{cut}")

    assert proposal.edits == (EDIT,)
    (rejection,) = proposal.rejections
    assert (rejection.edit, rejection.reason) == (1, RejectionReason.UNTERMINATED)
    assert "line 7 " in rejection.detail


def test_complete_blocks_after_an_unterminated_one_are_kept() -> None:
    proposal = parse(f"<<<<<<< SEARCH\nlost\n=======\n{BLOCK}")

    assert proposal.edits == (EDIT,)
    assert [rejection.reason for rejection in proposal.rejections] == [RejectionReason.UNTERMINATED]


def test_a_block_without_divider_is_unterminated() -> None:
    proposal = parse(f"<<<<<<< SEARCH\nold\n>>>>>>> REPLACE\n{BLOCK}")

    assert proposal.edits == (EDIT,)
    assert "has no =======" in proposal.rejections[0].detail


def test_an_empty_half_is_empty_text() -> None:
    text = "<<<<<<< SEARCH\n=======\nnew\n>>>>>>> REPLACE\n<<<<<<< SEARCH\nold\n=======\n>>>>>>> REPLACE\n"

    assert parse(text).edits == (Edit(search="", replace="new\n"), Edit(search="old\n", replace=""))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("NO CHANGE: it is intended", "it is intended"),
        ("Some thoughts.\r\n\r\n**NO CHANGE:** it is intended\r\n", "it is intended"),
        ("- **NO CHANGE: it is intended**", "it is intended"),
        ("NO CHANGE:", "no reason given"),
        ("NO CHANGE: see <b>@you</b>", "see you"),
    ],
)
def test_a_no_change_line_declines(text: str, reason: str) -> None:
    assert parse(text).declined == reason


@pytest.mark.parametrize("block", [BLOCK, "<<<<<<< SEARCH\nold\n"])
def test_an_answer_with_a_block_does_not_decline(block: str) -> None:
    assert parse(f"NO CHANGE: really\n{block}").declined is None


@pytest.mark.parametrize(
    "text", ["", "I would change line 3.", "There is no change: none.", "```\nx = 1\n```"]
)
def test_an_answer_without_block_and_refusal_is_neither(text: str) -> None:
    proposal = parse(text)

    assert (proposal.edits, proposal.rejections, proposal.declined) == ((), (), None)


@pytest.mark.parametrize(
    ("text", "title"),
    [
        (f"\n\n## Fix it\n\nBecause.\n{BLOCK}", "Fix it"),
        ("**Fix it**\nBecause.", "Fix it"),
        ("#\nFix it", "Fix it"),
        (f"```\n{BLOCK}```\nFix it", "Fix it"),
        ("\u200b\n<br>\nFix @it", "Fix it"),
        ("x" * 200, "x" * 119 + "…"),
        (BLOCK, ""),
    ],
)
def test_the_first_line_outside_is_the_title(text: str, title: str) -> None:
    assert parse(text).title == title


def test_the_explanation_is_the_text_outside_the_blocks() -> None:
    proposal = parse(f"Fix\n\nWhy: [this](http://a.b).\n```py\n{BLOCK}```\nDone.")

    assert proposal.explanation == "Fix\n\nWhy: this.\nDone."


def test_lone_surrogates_do_not_survive() -> None:
    (edit,) = parse(BLOCK.replace("new", "a\ud800b")).edits

    assert edit.replace == "a\N{REPLACEMENT CHARACTER}b\n"


def test_the_example_in_the_instructions_is_the_format() -> None:
    (edit,) = parse(SearchReplace.instructions).edits

    assert isinstance(edit, Edit)
    assert edit.search == "old lines\n"
