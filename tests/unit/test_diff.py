import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchmill.edit.apply import apply_hunks, locate
from patchmill.edit.diff import unified_diff
from patchmill.edit.protocol import Edit
from patchmill.edit.span import line_content, split_lines


def git(folder: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
        "GIT_CEILING_DIRECTORIES": str(folder.parent),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    command = ["git", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def applied(folder: Path, path: str, old: str, patch: str) -> str:
    """What git makes of the file in a folder that is no repository."""
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(old.encode())
    git(folder, "apply", "--whitespace=nowarn", "-", stdin=patch.encode())
    return target.read_bytes().decode()


NUMBERS = "".join(f"{number}\n" for number in range(30))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a\nb\n", "a\nc\n"),
        ("a\r\nb\r\n", "a\r\nc\r\n"),
        ("a\r\nb\n", "a\nb\n"),
        ("a\nb", "a\nc"),
        ("a\nb", "a\nb\n"),
        ("a\nb\n", "a\nb"),
        ("", "a\n"),
        ("", "a"),
        ("a\n", ""),
        ("a", ""),
        ("a\x0cb\x0b\n\x0c\nc\u2028d\n", "a\x0cb\x0b\n\x0c\nc\u2028e\n"),
        ("a\rb\rc\n", "a\rX\rc\n"),
        ("a\rb", "a\rc"),
        ("\ufeffa\n", "\ufeffb\n"),
        (NUMBERS, NUMBERS.replace("\n3\n", "\nx\n").replace("25\n", "25\ny\n").replace("15\n", "")),
        ("x\n" * 300, "x\n" * 150 + "y\n" + "x\n" * 149),
    ],
)
def test_git_applies_the_patch_byte_for_byte(tmp_path: Path, old: str, new: str) -> None:
    assert applied(tmp_path, "f.txt", old, unified_diff("f.txt", old, new)) == new


PATHS = [
    "src/a b.py",
    'q"uote.py',
    "é/ü.py",
    "t\tab.py",
    "back\\slash.py",
    "bell\a.py",
    "é sp ace.py",
    "日本.py",
]


@pytest.mark.parametrize("path", PATHS)
def test_git_finds_the_path(tmp_path: Path, path: str) -> None:
    assert applied(tmp_path, path, "a\n", unified_diff(path, "a\n", "b\n")) == "b\n"


@pytest.mark.parametrize("path", ["plain.py", *PATHS])
@pytest.mark.parametrize(("old", "new"), [("a\nb\n", "a\nc"), ("", "a\nb\n"), (NUMBERS, NUMBERS[4:-5] + "z")])
def test_the_patch_is_what_git_itself_writes(tmp_path: Path, path: str, old: str, new: str) -> None:
    target = tmp_path / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(old.encode())
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    target.write_bytes(new.encode())
    lines = git(tmp_path, "diff").decode().splitlines(keepends=True)

    # Blob ids are left out of our patch, and so is the file mode that stands beside them.
    expected = "".join(line for line in lines if not line.startswith("index "))
    assert unified_diff(path, old, new) == expected


def test_no_change_is_no_patch() -> None:
    assert unified_diff("a.py", "same", "same") == ""


SOURCES = st.lists(
    st.tuples(st.sampled_from(["a", "", "\tb", "é", "x\x0cy", "c "]), st.sampled_from(["\n", "\r\n", "\r"])),
    max_size=12,
).map(lambda pairs: "".join(content + end for content, end in pairs))


@settings(max_examples=30, deadline=None)
@given(SOURCES, st.sampled_from(["", "last"]), st.data())
def test_git_makes_the_same_of_a_located_edit(body: str, last: str, data: st.DataObject) -> None:
    lines = [f"{number} {line}" for number, line in enumerate(split_lines(body + last))]
    source = "".join(lines)
    start = data.draw(st.integers(0, len(lines)))
    stop = data.draw(st.integers(start, len(lines)))
    search = "".join(f"{line_content(line)}\n" for line in lines[start:stop])
    replace = data.draw(st.sampled_from(["", "new\n", "new\n\nother\n", search + "more\n"]))
    located = locate(source, [Edit(search=search, replace=replace)])
    new = apply_hunks(source, located.hunks)
    patch = unified_diff("dir/f x.py", source, new)

    if patch:
        with tempfile.TemporaryDirectory() as folder:
            assert applied(Path(folder), "dir/f x.py", source, patch) == new
    else:
        assert new == source
