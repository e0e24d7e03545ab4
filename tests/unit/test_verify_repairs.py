import pytest

from patchmill.edit.apply import apply_hunks
from patchmill.edit.span import split_lines
from patchmill.verify.repairs import edits_between
from patchmill.verify.tool_fixes import edits_as_hunks

SCRIPT = 'import a from "a";\nvar b = 1;\nif (a == b) debugger;\n'


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["\n", ""])
@pytest.mark.parametrize(
    "mended",
    [
        SCRIPT.replace("var", "let"),
        SCRIPT.replace("==", "===").replace("debugger;", "{}"),
        SCRIPT.replace("var b = 1;", "let b;\nb = 1;"),
        SCRIPT.replace("debugger;", "{\n  log(a);\n}"),
        SCRIPT + "export { b };\n",
        "const c = 1;\n" + SCRIPT,
    ],
)
def test_the_edits_between_two_texts_make_one_of_the_other(
    mark: str, end: str, last: str, mended: str
) -> None:
    source = mark + (SCRIPT.removesuffix("\n") + last).replace("\n", end)

    hunks = edits_as_hunks(split_lines(source), edits_between(source, mended))

    assert hunks is not None
    assert apply_hunks(source, hunks) == mark + (mended.removesuffix("\n") + last).replace("\n", end)


def test_repairs_of_two_rules_in_one_line_go_together() -> None:
    first = edits_between(SCRIPT, SCRIPT.replace("==", "==="))
    second = edits_between(SCRIPT, SCRIPT.replace("debugger;", "{}"))

    hunks = edits_as_hunks(split_lines(SCRIPT), [*first, *second])

    assert hunks is not None
    assert [hunk.replacement for hunk in hunks] == ["if (a === b) {}\n"]


def test_what_only_takes_most_of_a_line_away_is_no_measure() -> None:
    assert edits_between(SCRIPT, SCRIPT.replace("var b = 1;\n", "")) == ()
    assert edits_between(SCRIPT, SCRIPT.replace("var b = 1;", "b;")) == ()
    assert edits_between("x\n" * 5_001, "y\n" * 5_001) == ()
