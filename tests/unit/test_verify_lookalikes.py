import pytest

from patchmill.edit.span import Hunk, split_lines
from patchmill.job.record import Finding
from patchmill.verify.evidence import CheckName, Result
from patchmill.verify.guards.lookalikes import lookalikes
from patchmill.verify.run import verify_fix


@pytest.mark.parametrize(
    "name",
    [
        "\u0430",
        "p\u0430ypal",
        "\uff47",
        "\ufb01le",
        "\u2115",
        "\u03bf",
        "\u0455\u0441ope",
        "gr\u00f6\u00dfe",
        "x\u0301",
        "\u212a",
    ],
)
def test_letters_that_no_name_of_the_file_has_are_refused(name: str) -> None:
    assert lookalikes([name], ["a", "paypal", "g", "file", "N", "o", "scope"]) == [name]


def test_a_file_may_go_on_in_the_letters_of_its_names() -> None:
    known = ["gr\u00f6\u00dfe", "\u5e74\u9f61", "\u0446\u0435\u043d\u0430"]

    assert (
        lookalikes(
            ["gr\u00f6\u00dfe", "h\u00f6\u00dfe", "\u5e74_x", "\u0446\u0435\u043d\u0430", "plain"],
            [*known, "h"],
        )
        == []
    )


@pytest.mark.parametrize("name", ["\u0430", "\u0435\u0430", "x\u0435", "n\u0430me"])
def test_in_a_file_of_another_script_what_looks_like_ascii_is_still_refused(name: str) -> None:
    assert lookalikes([name], ["\u0446\u0435\u043d\u0430"]) == [name]


PYTHON = ("python", "a.py", "ruff", "E711", "def g(x):\n    return x == None\n")
SCRIPT = ("javascript", "a.js", "oxlint", "no-debugger", "f();\ndebugger;\n")
GO = ("go", "a.go", "golint", "x", "package main\nvar b = 1\n")


@pytest.mark.parametrize(
    ("place", "replacement"),
    [
        (PYTHON, "    \uff47 = x is None\n    return \uff47\n"),
        (PYTHON, "    \u0430 = x is None\n    return \u0430\n"),
        (SCRIPT, "const \u0430 = 1; void \u0430;\n"),
        (GO, "var \u0430 = 1\n"),
    ],
)
def test_a_name_that_passes_for_another_is_refused_in_every_language(
    place: tuple[str, ...], replacement: str
) -> None:
    language, path, tool, rule, source = place
    found = Finding(index=0, tool=tool, rule=rule, message="", severity="", start_line=2, end_line=2)
    edit = Hunk(start_line=2, end_line=2, original=split_lines(source)[1], replacement=replacement)

    verdict = verify_fix(
        source=source,
        path=path,
        language=language,
        findings=[found],
        proposals=[edit],
        settings={},
        scope=None,
    )

    assert verdict.groups == ()
    failed = {
        check.check: check.detail for check in verdict.refusals[0].checks if check.result is Result.FAILED
    }
    assert "pass for others: \\u" in failed[CheckName.NO_INVISIBLE]
    assert "ASCII" in verdict.feedback or language == "go"
