"""What an edit may not take away or change beside the finding that it is for."""

import time
from collections.abc import Sequence

import pytest

from patchmill.edit.span import Hunk, split_lines
from patchmill.job.record import Finding, FindingStatus
from patchmill.verify.evidence import CheckName, Result
from patchmill.verify.run import Verdict, verify_fix

SOURCE = """\
import os
import sys


def f(a=[]):
    a.append(sys.argv)
    return a


def g(x):
    return x == None
"""
SCRIPT = """\
import a from "a";
export function f(x) {
  if (x == null) {
    debugger;
    return a;
  }
  return x;
}
"""
CAUGHT = """\
export function f(g, h) {
  try {
    return g();
  } catch (error) {
    return h();
  }
}
"""
FIXED = "    return x is None\n"


def verify(
    source: str,
    lines: tuple[int, int],
    replacement: str,
    finding: tuple[str, int] = ("E711", 11),
    *,
    scope: tuple[int, int] | None = None,
    also: Sequence[Hunk] = (),
) -> Verdict:
    rule, line = finding
    script = source in {SCRIPT, CAUGHT}
    original = "".join(split_lines(source)[lines[0] - 1 : lines[1]])
    return verify_fix(
        source=source,
        path="app.js" if script else "app.py",
        language="javascript" if script else "python",
        findings=[
            Finding(
                index=0,
                tool="oxlint" if script else "ruff",
                rule=rule,
                message="",
                severity="",
                start_line=line,
                end_line=line,
            )
        ],
        proposals=[
            Hunk(start_line=lines[0], end_line=lines[1], original=original, replacement=replacement),
            *also,
        ],
        settings={},
        scope=scope,
    )


def reason(verdict: Verdict) -> str:
    """The words of the scope's check, of edits that are refused for it."""
    assert verdict.groups == ()
    assert verdict.findings[0] == (FindingStatus.UNRESOLVED, CheckName.IN_SCOPE)
    return words(verdict)


def words(verdict: Verdict) -> str:
    failed = [
        check
        for refusal in verdict.refusals
        for check in refusal.checks
        if check.check is CheckName.IN_SCOPE and check.result is Result.FAILED
    ]
    assert f"in_scope: {failed[0].detail}" in verdict.feedback
    return "; ".join(check.detail for check in failed)


def test_a_file_that_is_emptied_mends_nothing() -> None:
    assert "line 1 `import os` is changed or gone" in reason(verify(SOURCE, (1, 11), ""))


def test_a_definition_that_is_deleted_mends_nothing() -> None:
    assert "`return a`" in reason(verify(SOURCE, (2, 7), "", ("B006", 5)))
    assert "`a.append(sys.argv)`" in reason(verify(SOURCE, (5, 7), "def f(a=None):\n    pass\n", ("B006", 5)))


@pytest.mark.parametrize(
    "body",
    [
        "    pass\n",
        "    ...\n",
        '    "x == None"\n',
        "    raise SystemExit\n",
        "    return True\n",
        '    return eval("x")\n',
    ],
)
def test_a_statement_that_is_replaced_by_nothing_mends_nothing(body: str) -> None:
    assert "nothing is left of what line 11 works on (x)" in reason(verify(SOURCE, (11, 11), body))


def test_a_broken_file_is_not_mended_by_another_one() -> None:
    source = "def g(:\n    return 1\n\n\n\n\n\ndef h():\n    return 2\n"

    assert "`def h():`" in reason(verify(source, (1, 9), "x = 1\n", ("invalid-syntax", 1)))


def test_what_stands_in_another_function_stays() -> None:
    edit = "    return None\n\n\ndef g(x):\n" + FIXED

    assert "line 7 `return a` is changed or gone" in reason(verify(SOURCE, (7, 11), edit))


@pytest.mark.parametrize(
    "line",
    [
        '    """Doc."""',
        "    # why",
        "    assert x",
        "    await x",
        "    x += 1",
        "    x.close()",
        "    global y",
    ],
)
def test_what_stands_beside_the_finding_stays(line: str) -> None:
    source = f"y = 1\n\n\nasync def g(x):\n{line}\n    return x == None\n"
    found = ("E711", 6)

    assert f"line 5 `{line.strip()}` is changed or gone" in reason(verify(source, (5, 6), FIXED, found))
    assert verify(source, (5, 6), f"{line}\n{FIXED}", found).findings[0] == (FindingStatus.VERIFIED, None)


@pytest.mark.parametrize(
    "source",
    ['import os\n__all__ = ["f"]\n', "import os\n\n\n@staticmethod\ndef f():\n    return 1\n"],
)
def test_what_stands_beside_an_import_stays(source: str) -> None:
    lines = len(source.splitlines())
    rest = "".join(split_lines(source)[-2:]) if lines > 2 else ""

    assert "is changed or gone" in reason(verify(source, (1, lines), rest, ("F401", 1)))


def test_an_operator_beside_the_finding_stays_in_every_language() -> None:
    edit = "  if (x != null) {\n"

    assert "line 3 `if (x == null) {`" in reason(verify(SCRIPT, (3, 4), edit, ("no-debugger", 4)))
    assert verify(SCRIPT, (4, 4), "", ("no-debugger", 4)).findings[0] == (FindingStatus.VERIFIED, None)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# E711 of x", "# E712 of x"),  # a word of a comment, though the finding's line has it, too
        ('"""Of x (y)."""', '"""Of x (yy)."""'),
        ('"""Of x (y)."""', '"""Of x (y))."""'),
        ("x.drop(keep=None)", "x.drop(keep=True)"),
        ("x.drop(keep=None)", "x.drop(keep=0)"),
        ("x.drop(keep=None)", "x.drop(renamed=None)"),
        ("x.drop(keep=y)", "x.drop(keep=not y)"),
        ("x.drop(keep=y)", "x.drop(\n    )"),
        ("x.drop()", "x.dropped()"),
    ],
)
def test_what_stands_beside_the_finding_says_the_same(old: str, new: str) -> None:
    before, after = (f"def g(x, y):\n    {line}\n    return x.drop() " for line in (old, new))
    mended, found = "is None  # E711\n", ("E711", 3)
    source = f"{before}== None  # E711\n"

    assert f"line 2 `{old}` is changed or gone" in reason(verify(source, (1, 3), f"{after}{mended}", found))
    assert verify(source, (1, 3), f"{before}{mended}", found).groups


def test_of_lines_that_are_alike_each_stays() -> None:
    source = "# why\nx == None\n# why\ny = 2\n\n\nclass A:\n    y = 2\n"

    assert "`# why`" in reason(verify(source, (1, 4), "# why\nx is None\ny = 2\n", ("E711", 2)))
    assert "`y = 2`" in reason(verify(source, (1, 4), "# why\nx is None\n# why\n", ("E711", 2)))


def test_a_line_may_follow_what_the_finding_names_though_it_is_an_edit_of_its_own() -> None:
    source = (
        "def f(g):\n    try:\n        g()\n    except ValueError:\n        g.log()\n"
        "        g.more()\n        raise KeyError\n"
    )
    names = Hunk(
        start_line=4,
        end_line=4,
        original="    except ValueError:\n",
        replacement="    except ValueError as error:\n",
    )
    raises = "        raise KeyError from error\n"

    assert verify(source, (7, 7), raises, ("B904", 7), also=[names]).groups


def test_an_unused_import_is_not_mended_by_using_it_for_show() -> None:
    source = "import os\nx = 1\n"

    assert "os is used only to be used" in reason(verify(source, (2, 2), "x = 1\nprint(os)\n", ("F401", 1)))
    assert verify(source, (2, 2), 'x = 1\n__all__ = ["os"]\n', ("F401", 1)).groups
    assert verify(source, (1, 1), "", ("F401", 1)).groups


def test_a_call_whose_result_is_unused_is_still_made() -> None:
    source = "def f(g):\n    x = g(1)\n    return 2\n"

    assert "line 2 called g: keep the call" in reason(verify(source, (2, 2), "", ("F841", 2)))
    assert verify(source, (2, 2), "    g(1)\n", ("F841", 2)).groups


def test_a_definition_that_is_too_complex_is_not_mended_by_emptying_it() -> None:
    body = "".join(f"    if a == {n}:\n        return g({n}, b, c)\n" for n in range(12))
    source = f"def f(a, b, c):\n{body}    return 0\n\n\ndef g(*a):\n    return a\n"

    assert "less than half is left" in reason(verify(source, (2, 26), "    return 0\n", ("C901", 1)))


def test_what_is_added_belongs_to_the_finding_or_is_a_definition() -> None:
    def adding(at: int, text: str, scope: tuple[int, int] | None = None) -> Verdict:
        beside = Hunk(start_line=at, end_line=at - 1, original="", replacement=text)
        return verify(SOURCE, (5, 5), "def f(a=NONE):\n", ("B006", 5), also=[beside], scope=scope)

    assert adding(4, "NONE = None\n").findings[0] == (FindingStatus.VERIFIED, None)
    assert adding(3, "\n\nNONE = None\n").findings[0] == (FindingStatus.VERIFIED, None)
    assert "beyond the definition" in words(adding(11, "    global NONE\n    NONE = None\n"))
    assert "beyond the definition" in words(adding(4, "NONE = None\nprint(NONE)\n"))
    assert "beyond the definition" in words(adding(3, "print(sys)\n"))
    assert adding(4, "NONE = None\nprint(NONE)\n", scope=(1, 11)).groups


def test_what_comes_in_below_blank_lines_belongs_to_the_function_above_if_it_is_indented() -> None:
    source = "def f(x):\n    if x:\n        return 1\n\n\ny = f(1)\n"

    def adding(text: str) -> Verdict:
        return verify(source, (5, 4), text, ("RET503", 2))

    assert adding("    return None\n").groups
    beside = Hunk(start_line=6, end_line=5, original="", replacement="assert True\n")
    mending = verify(source, (4, 3), "    return None\n", ("RET503", 2), also=[beside])
    assert [group.hunks[0].start_line for group in mending.groups] == [4]


def test_a_scope_that_the_request_names_lets_nothing_be_taken_away() -> None:
    assert "`return a`" in reason(verify(SOURCE, (7, 11), f"\n\ndef g(x):\n{FIXED}", scope=(1, 11)))


def test_a_name_that_is_changed_where_the_finding_is_may_change_everywhere() -> None:
    source = "def doIt(a):\n    return a\n\n\ndef f(a):\n    return doIt(a) - 1\n"
    uses = Hunk(
        start_line=6, end_line=6, original="    return doIt(a) - 1\n", replacement="    return do_it(a) - 1\n"
    )
    flips = Hunk(
        start_line=6, end_line=6, original="    return doIt(a) - 1\n", replacement="    return do_it(a) + 1\n"
    )
    name = ("N802", 1)

    assert verify(source, (1, 1), "def do_it(a):\n", name, also=[uses]).groups
    assert not verify(source, (1, 1), "def do_it(a):\n", name, also=[flips]).groups


def test_an_import_that_the_fix_leaves_unused_may_go_and_no_other() -> None:
    source = "import os\nimport sys\n\n\ndef f():\n    return os.getcwd()\n"
    found, mended = ("PTH109", 6), "from pathlib import Path\n\n\ndef f():\n    return Path.cwd()\n"

    gone = verify(source, (1, 6), f"import sys\n{mended}", found)
    other = verify(source, (1, 6), f"import os\n{mended}", found)

    assert gone.groups
    assert "`import sys`" in reason(other)


def test_hostile_text_is_compared_in_linear_time() -> None:
    began = time.process_time()
    for line in ('"' * 50_000, '\\"' * 50_000, "a " * 50_000, "f'{" * 20_000, "((((" * 10_000):
        verify("x = 1\n\n\ndef g(x):\n    return x == None\n", (5, 5), f"{FIXED}    # {line}\n", ("E711", 5))

    assert time.process_time() - began < 10


def test_what_catches_an_error_may_lose_its_name_and_nothing_else() -> None:
    rule = ("unicorn(prefer-optional-catch-binding)", 4)

    nameless = verify(CAUGHT, (4, 4), "  } catch {\n", rule)
    emptied = verify(CAUGHT, (4, 5), "  } catch {\n", rule)

    assert nameless.findings[0][0] is FindingStatus.VERIFIED
    assert "`return h();` is changed or gone" in reason(emptied)
