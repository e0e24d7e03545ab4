import difflib
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchmill.edit.changes import MAX_LINES, ChangedFile, UnreadableDiff, read_diff

HUNK = "@@ -1 +1 @@\n-a\n+b\n"


def of(path: str, hunks: str = HUNK) -> str:
    return f"--- a/{path}\n+++ b/{path}\n{hunks}"


def added(file: ChangedFile) -> set[int]:
    return {line for hunk in file.hunks for line in hunk.added}


def test_a_hunk_gives_its_new_lines_and_those_it_adds() -> None:
    text = of("x.py", "@@ -3,4 +3,4 @@ def f():\n one\n-two\n-three\n+TWO\n+THREE\n four\n")

    (hunk,) = read_diff(text)["x.py"].hunks

    assert (hunk.start_line, hunk.end_line) == (3, 6)
    assert hunk.added == {4, 5}
    assert hunk.below_deleted == {4}
    assert hunk.lines == ("one", "TWO", "THREE", "four")
    assert hunk.old_lines == (3, None, None, 6)


def test_a_hunk_that_only_deletes_has_no_new_lines() -> None:
    (hunk,) = read_diff(of("x.py", "@@ -5,2 +4,0 @@\n-a\n-b\n"))["x.py"].hunks

    assert (hunk.start_line, hunk.end_line, hunk.added) == (5, 4, frozenset())


@pytest.mark.parametrize(
    ("names", "old_path"),
    [
        ("--- a/old.py\n+++ b/x.py\n", "old.py"),
        ("--- old.py\n+++ x.py\n", "old.py"),
        ('--- "a/\\303\\244.py"\n+++ b/x.py\n', "\u00e4.py"),
        ("--- a/x.py\n+++ b/x.py\n", "x.py"),
        ("--- /dev/null\n+++ b/x.py\n", None),
    ],
)
def test_a_file_keeps_the_path_that_it_had(names: str, old_path: str | None) -> None:
    hunk = "@@ -0,0 +1 @@\n+b\n" if old_path is None else HUNK

    assert read_diff(names + hunk)["x.py"].old_path == old_path


def test_only_lf_ends_a_line() -> None:
    text = of("x.py", "@@ -1,2 +1,3 @@\n a\x0cb\u2028c\x85d\x1ce\x0b\r\n-x\ry\n+x\n+y\r\rz\n")

    (hunk,) = read_diff(text)["x.py"].hunks

    assert (hunk.start_line, hunk.end_line, hunk.added) == (1, 3, frozenset({2, 3}))


def test_a_diff_in_crlf_names_files_without_it() -> None:
    text = "diff --git a/x.py b/x.py\n" + of("x.py")

    assert list(read_diff(text.replace("\n", "\r\n"))) == ["x.py"]


def test_lines_that_look_like_headers_stay_lines() -> None:
    text = of("x.sql", "@@ -1,2 +1,2 @@\n--- a comment\n-+++ b\n+++ c\n+-- d\n")

    (file,) = read_diff(text).values()

    assert added(file) == {1, 2}


@pytest.mark.parametrize(
    ("text", "path"),
    [
        pytest.param("--- a/b/x.py\n+++ b/b/x.py\n" + HUNK, "b/x.py", id="git's prefixes"),
        pytest.param("--- b/x.py\n+++ b/x.py\n" + HUNK, "b/x.py", id="no prefix, a folder named b"),
        pytest.param("--- x.py\n+++ x.py\n" + HUNK, "x.py", id="no prefix"),
        pytest.param("--- i/x.py\n+++ w/x.py\n" + HUNK, "x.py", id="prefixes that tell what is compared"),
        pytest.param("--- /dev/null\n+++ b/x.py\n@@ -0,0 +1 @@\n+a\n", "x.py", id="a new file"),
        pytest.param("--- a/x.py\t2026-01-01\n+++ b/x.py\t2026-01-02\n" + HUNK, "x.py", id="times"),
        pytest.param("--- a/my file.py\t\n+++ b/my file.py\t\n" + HUNK, "my file.py", id="a space"),
        pytest.param(
            'diff --git "a/\\303\\244 \\"q\\".py" "b/\\303\\244 \\"q\\".py"\n'
            '--- "a/\\303\\244 \\"q\\".py"\n+++ "b/\\303\\244 \\"q\\".py"\n' + HUNK,
            '\u00e4 "q".py',
            id="octal escapes",
        ),
        pytest.param('--- "a/\\t\\377"\n+++ "b/\\t\\377"\n' + HUNK, "\t\ufffd", id="bytes that are no UTF-8"),
        pytest.param(
            "diff --git a/x b/y b/x b/y\n--- a/x b/y\n+++ b/x b/y\n" + HUNK,
            "x b/y",
            id="a header that cannot be taken apart",
        ),
        pytest.param(
            "diff --git a/old.py b/new.py\nsimilarity index 90%\nrename from old.py\nrename to new.py\n"
            "--- a/old.py\n+++ b/new.py\n" + HUNK,
            "new.py",
            id="a rename with changes",
        ),
        pytest.param(
            "diff --git a/old.py b/new.py\nsimilarity index 100%\nrename from old.py\nrename to new.py\n",
            "new.py",
            id="a rename alone",
        ),
        pytest.param(
            "From 1234 Mon Sep 17\nSubject: [PATCH] x\n\n---\n x.py | 2 +-\n\n"
            "diff --git a/x.py b/x.py\nindex 1..2 100644\n" + of("x.py") + "-- \n2.47\n",
            "x.py",
            id="a mailed patch",
        ),
        pytest.param(
            of("x.py", "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+b\n\\ No newline at end of file\n"),
            "x.py",
            id="no final line end",
        ),
    ],
)
def test_files_are_named_as_in_the_new_version(text: str, path: str) -> None:
    assert list(read_diff(text)) == [path]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "diff --git a/x b/x\ndeleted file mode 100644\n--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n",
        "diff --git a/x.png b/x.png\nindex 1..2 100644\nBinary files a/x.png and b/x.png differ\n",
        "diff --git a/x b/x\nindex 1..2 100644\nGIT binary patch\nliteral 3\nKcmZQzU|@\n\n",
        "diff --git a/x b/x\nold mode 100644\nnew mode 100755\n",
    ],
    ids=["empty", "blank", "deleted", "binary", "binary patch", "mode"],
)
def test_what_shows_no_line_is_left_out(text: str) -> None:
    assert read_diff(text) == {}
    assert list(read_diff(text + of("y.py"))) == ["y.py"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("what is this", "names no file", id="no diff"),
        pytest.param(of("x.py", "@@ -1 +1,2 @@\n-a\n+b\n"), "line 5.*shorter", id="broken off"),
        pytest.param(
            of("x.py", "@@ -1 +1 @@\n-a\n+b") + "\n x\n@@", "line 7.*no hunk header", id="cut header"
        ),
        pytest.param(of("x.py", "@@ -1,2 +1,2 @@\n-a\nwhat\n+b\n"), "line 5.*expected", id="a stray line"),
        pytest.param(HUNK, "line 1.*unexpected hunk", id="a hunk of no file"),
        pytest.param("+++ b/x.py\n" + HUNK, "line 1.*target without source", id="half a header"),
        pytest.param("@@@ -1 -1 +1 @@@\n", "line 1.*merge", id="a merge"),
        pytest.param(of("x.py", f"@@ -1 +{'9' * 5000} @@\n-a\n+b\n"), "line 3", id="a huge number"),
        pytest.param(of("x.py") + of("x.py"), "line 7.*twice", id="two commits"),
        pytest.param(of("x.py", HUNK + HUNK), "overlap", id="hunks at one place"),
        pytest.param(of("x.py", "@@ -1 +0 @@\n-a\n+b\n"), "line 0", id="line 0"),
        pytest.param(of("x.py", "@@ -0,0 +1,9 @@\n" + "+\n" * MAX_LINES), "more than", id="too long"),
    ],
)
def test_what_is_no_diff_is_refused_with_the_place(text: str, said: str) -> None:
    with pytest.raises(UnreadableDiff, match=said) as refused:
        read_diff(text)

    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    "line", ["diff --git " + "://a" * 500_000, "Binary files " + " and " * 500_000], ids=["names", "binary"]
)
@pytest.mark.timeout(20)
def test_long_header_lines_are_not_searched(line: str) -> None:
    assert list(read_diff(f"{line}\n" + of("x.py"))) == ["x.py"]


@given(st.text(alphabet='ab/+-@ \\"\n\r\t,01\u2028\ud800', max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    for diff in (text, of("x") + text, "--- a/x\n+++ b/x\n" + text):
        try:
            files = read_diff(diff)
        except UnreadableDiff:
            continue
        assert all(file.path == path for path, file in files.items())


LINES = st.lists(
    st.sampled_from(["a", "b", "", "-- c", "++ d", "@@ -1 +1 @@", "e\x0c", "f\u2028g", "h\r", "diff --git"])
)


@given(LINES, LINES, st.integers(0, 3), st.sampled_from(["", "\n"]))
def test_a_diff_gives_exactly_the_lines_that_it_adds(
    old: list[str], new: list[str], context: int, end: str
) -> None:
    diff = list(difflib.unified_diff(old, new, "a/x.py", "b/x.py", n=context, lineterm=""))
    text = "\n".join(diff) + end

    files = read_diff(text)

    assert list(files) == (["x.py"] if old != new else [])
    for file in files.values():
        kept = [line for number, line in enumerate(new, 1) if number not in added(file)]
        gone = [line[1:] for line in diff[2:] if line.startswith("-")]
        assert sorted([*kept, *gone]) == sorted(old)
        for hunk in file.hunks:
            shown = new[hunk.start_line - 1 : hunk.end_line]
            assert list(hunk.lines) == [line.rstrip("\r") for line in shown]


def test_git_and_the_reader_agree_on_odd_names_and_lines(tmp_path: Path) -> None:
    names = ["my file.py", "\u00e4 \u2028.py", 'a"b\\c.py', "b/x b/y.py", "tab\there.py"]
    for side, text in (("old", "1\n2\r\n3\x0c3\n4\n"), ("new", "1\n2\r\nnew\u2028\r\n3\x0c3\n5")):
        for name in names:
            target = tmp_path / side / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(text.encode())
    done = subprocess.run(
        ["git", "diff", "--no-index", "--no-color", "old", "new"],  # noqa: S607 - the git of this machine
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    text = re.sub(r'(["/ ])(old|new)/', r"\1", done.stdout.decode())

    files = read_diff(text)

    assert set(files) == set(names)
    assert [added(file) for file in files.values()] == [{3, 5}] * len(names)
