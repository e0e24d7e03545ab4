import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchmill.deliver.formats import DEFAULT, FORMATS, patch
from patchmill.deliver.suggestion import Format, Offered, OfferedFile
from patchmill.edit.apply import anchored, apply_hunks
from patchmill.edit.span import Hunk, split_lines
from patchmill.store.ids import new_id
from patchmill.store.results import CheckRow, SuggestionRow


def offered(source: str, hunk: Hunk, path: str = "src/app.py") -> SuggestionRow:
    shown = anchored(source, hunk)
    return SuggestionRow(
        id=new_id(),
        path=path,
        start_line=shown.start_line,
        end_line=shown.end_line,
        original=shown.original,
        replacement=shown.replacement,
        title="A title",
        explanation="",
        status="verified",
        source="model",
        safety="safe",
        requires=(),
        committable=True,
        findings=(0,),
    )


def insertion(line: int, text: str) -> Hunk:
    return Hunk(start_line=line, end_line=line - 1, original="", replacement=text)


def replacement(source: str, start: int, end: int, text: str) -> Hunk:
    original = "".join(split_lines(source)[start - 1 : end])
    return Hunk(start_line=start, end_line=end, original=original, replacement=text)


def applied_by_git(folder: Path, source: str, text: str, path: str = "src/app.py") -> str:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.encode())
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)  # noqa: S607 - the git of this machine
    subprocess.run(
        ["git", "apply", "--whitespace=nowarn", "-"],  # noqa: S607 - likewise
        cwd=folder,
        input=text.encode(),
        check=True,
    )
    return target.read_bytes().decode()


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
def test_every_format_renders_an_offer_and_an_empty_one(form: Format) -> None:
    source = "x = 1\ny = 2\n"
    row = offered(source, replacement(source, 1, 1, "x = 3\n"))
    check = CheckRow(suggestion_id=row.id, call_id=None, check="parses", result="passed", detail="")

    full = form.render(
        Offered(
            files=[
                OfferedFile(
                    path="src/app.py",
                    source=source,
                    findings=[],
                    suggestions=[row],
                    evidence={row.id: [check]},
                )
            ]
        )
    )
    empty = form.render(
        Offered(
            files=[OfferedFile(path="src/app.py", source=source, findings=[], suggestions=[], evidence={})]
        )
    )

    assert "x = 3" in full
    assert "x = 3" not in empty
    assert "/" in form.media_type


def test_every_format_is_registered_by_its_name() -> None:
    assert {name: form.name for name, form in FORMATS.items()} == {name: name for name in FORMATS}
    assert DEFAULT in FORMATS


def test_json_lists_suggestions_with_their_evidence() -> None:
    source = "x = 1\n"
    row = offered(source, replacement(source, 1, 1, "x = '\N{SNOWMAN}'\n"))
    check = CheckRow(suggestion_id=row.id, call_id=None, check="parses", result="passed", detail="python")

    offer = Offered(
        files=[
            OfferedFile(
                path="a.py", source=source, findings=[], suggestions=[row], evidence={row.id: [check]}
            )
        ]
    )
    (shown,) = json.loads(FORMATS["json"].render(offer))["data"]

    assert shown["id"] == f"sug_{row.id.hex}"
    assert (shown["start_line"], shown["end_line"]) == (1, 1)
    assert (shown["original"], shown["replacement"]) == ("x = 1\n", "x = '\N{SNOWMAN}'\n")
    assert shown["evidence"] == [{"check": "parses", "result": "passed", "detail": "python"}]


SOURCE = "import os\nimport re\n\nx = 1\ny = 2"


@pytest.mark.parametrize(
    ("hunks", "expected"),
    [
        pytest.param([], SOURCE, id="nothing"),
        pytest.param([replacement(SOURCE, 1, 1, "")], "import re\n\nx = 1\ny = 2", id="a deletion"),
        pytest.param(
            [insertion(3, "import abc\n"), replacement(SOURCE, 2, 2, "import ast\n")],
            "import os\nimport ast\nimport abc\n\nx = 1\ny = 2",
            id="an insertion after a line that another one replaces",
        ),
        pytest.param(
            [insertion(1, '"""Doc."""\n'), replacement(SOURCE, 1, 1, "import ast\n")],
            '"""Doc."""\nimport ast\nimport re\n\nx = 1\ny = 2',
            id="an insertion at the top before a line that another one replaces",
        ),
        pytest.param(
            [insertion(4, "a = 0\n"), insertion(4, "b = 0\n")],
            "import os\nimport re\n\na = 0\nb = 0\nx = 1\ny = 2",
            id="two insertions at one point, in the order of the suggestions",
        ),
        pytest.param(
            [insertion(2, "import abc\n"), insertion(3, "import ast\n")],
            "import os\nimport abc\nimport re\nimport ast\n\nx = 1\ny = 2",
            id="two insertions next to each other",
        ),
        pytest.param(
            [replacement(SOURCE, 5, 5, "y = 3\n"), replacement(SOURCE, 1, 2, "import abc\n")],
            "import abc\n\nx = 1\ny = 3\n",
            id="the last line without an end, given first",
        ),
    ],
)
def test_a_patch_applies_all_suggestions_together(
    tmp_path: Path, hunks: Sequence[Hunk], expected: str
) -> None:
    text = patch.render("src/app.py", SOURCE, [offered(SOURCE, hunk) for hunk in hunks])

    assert (applied_by_git(tmp_path, SOURCE, text) if hunks else SOURCE) == expected
    assert bool(text) == bool(hunks)


def test_a_patch_of_an_empty_file_fills_it(tmp_path: Path) -> None:
    hunk = Hunk(start_line=1, end_line=0, original="", replacement='"""Doc."""\n')

    assert applied_by_git(tmp_path, "", patch.render("src/app.py", "", [offered("", hunk)])) == '"""Doc."""\n'


def test_a_patch_keeps_crlf_and_odd_names(tmp_path: Path) -> None:
    source, path = "x = 1\r\ny = 2\r\n", "my src/\u00e4 b.py"
    hunk = replacement(source, 2, 2, "y = 3\r\n")

    text = patch.render(path, source, [offered(source, hunk, path)])

    assert applied_by_git(tmp_path, source, text, path) == "x = 1\r\ny = 3\r\n"


def test_suggestions_of_another_source_are_refused() -> None:
    row = offered("x = 1\n", replacement("x = 1\n", 1, 1, "x = 2\n"))

    with pytest.raises(ValueError, match="not the source"):
        patch.render("a.py", "y = 1\n", [row])


@st.composite
def _disjoint(draw: st.DrawFn) -> tuple[str, list[Hunk]]:
    """A source of complete lines and hunks in it that share no line and no point."""
    lines = draw(st.lists(st.sampled_from(["a\n", "b\n", "\n", "  c\r\n"]), min_size=1, max_size=10))
    hunks: list[Hunk] = []
    at = 0
    while at < len(lines):
        size = draw(st.integers(0, 2))
        new = "".join(draw(st.lists(st.sampled_from(["a\n", "b\n", "new\n"]), max_size=2)))
        old = "".join(lines[at : at + size])
        if old != new and draw(st.booleans()):
            end = min(at + size, len(lines))
            hunks.append(Hunk(start_line=at + 1, end_line=end, original=old, replacement=new))
        at += size + 1
    return "".join(lines), hunks


@given(_disjoint())
def test_a_patch_is_what_the_hunks_make_together(case: tuple[str, list[Hunk]]) -> None:
    source, hunks = case
    expected = apply_hunks(source, hunks)

    text = patch.render("a.py", source, [offered(source, hunk) for hunk in hunks])

    assert _patched(source, text) == expected


def _patched(source: str, text: str) -> str:
    """Apply a patch by its own words alone: lines are cut at LF, as git does."""
    old, new, at = source.split("\n"), [], 0
    for line in text.split("\n")[3:-1]:
        if line.startswith("@@"):
            start, _, size = line.split()[1].removeprefix("-").partition(",")
            begin = int(start) - (0 if size == "0" else 1)
            new += old[at:begin]
            at = begin
        elif line.startswith("+"):
            new.append(line[1:])
        else:
            assert old[at] == line[1:]
            new += [line[1:]] if line.startswith(" ") else []
            at += 1
    return "\n".join([*new, *old[at:]])
