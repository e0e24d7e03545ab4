import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchmill.edit.changes import ChangedFile, ChangedHunk
from patchmill.reports.generated import is_generated
from patchmill.reports.places import match
from patchmill.reports.report import Lines, Offsets, Reported, ReportedEdit, ReportedFix, Unit
from patchmill.reports.selection import Filter, Selection, select

TEXT = "".join(f"line {number}\n" for number in range(1, 41))
DIFF = {
    "a.py": ChangedFile(path="a.py", hunks=(ChangedHunk(start_line=10, end_line=16, added=frozenset({13})),)),
    "moved.py": ChangedFile(path="moved.py", hunks=()),
}


def reported(
    name: str = "a.py", start: int = 1, end: int | None = None, number: int = 0, **more: object
) -> Reported:
    fields: dict[str, object] = {
        "number": number,
        "name": name,
        "tool": "lint",
        "rule": "R1",
        "message": "found",
        "severity": "warning",
        "place": Lines(start_line=start, end_line=end or start),
    }
    return Reported(**{**fields, **more})  # type: ignore[arg-type]  # the fields are put together freely


def selected(
    *found: Reported, files: dict[str, str] | None = None, chosen: Filter = Filter.NOFILTER
) -> Selection:
    return select([found], files or {"a.py": TEXT, "moved.py": TEXT}, DIFF, chosen)


def reasons(selection: Selection) -> list[str]:
    return [entry.reason for entry in selection.skipped]


@pytest.mark.parametrize(
    ("chosen", "kept"),
    [
        (Filter.ADDED, {("a.py", 13), ("a.py", 9)}),
        (Filter.DIFF_CONTEXT, {("a.py", 13), ("a.py", 9), ("a.py", 16)}),
        (Filter.FILE, {("a.py", 13), ("a.py", 9), ("a.py", 16), ("a.py", 17), ("moved.py", 1)}),
        (
            Filter.NOFILTER,
            {("a.py", 13), ("a.py", 9), ("a.py", 16), ("a.py", 17), ("moved.py", 1), ("other.py", 1)},
        ),
    ],
)
def test_a_filter_lets_through_what_touches_its_part_of_the_diff(
    chosen: Filter, kept: set[tuple[str, int]]
) -> None:
    found = [
        reported(start=13),
        reported(start=9, end=30),
        reported(start=16),
        reported(start=17),
        reported("moved.py"),
        reported("other.py"),
    ]

    selection = selected(*found, files={"a.py": TEXT, "moved.py": TEXT, "other.py": TEXT}, chosen=chosen)

    assert {(path, one.start_line) for path, all_ in selection.files.items() for one in all_} == kept
    assert set(reasons(selection)) <= {"outside_diff"}
    assert len(kept) + len(selection.skipped) == selection.total == 6


def test_findings_come_in_the_order_of_their_file_and_are_numbered_anew() -> None:
    selection = selected(reported(start=30, number=0), reported(start=2, number=1))

    assert [(one.index, one.start_line) for one in selection.files["a.py"]] == [(0, 2), (1, 30)]


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        pytest.param(reported(suppressed=True), "suppressed", id="suppressed"),
        pytest.param(reported("gone.py"), "no_file", id="a file that was not sent"),
        pytest.param(reported(start=42), "no_file", id="a line that the file does not have"),
        pytest.param(
            reported(place=Offsets(start=10_000, length=1)), "no_file", id="an offset beyond the end"
        ),
        pytest.param(reported("vendor/a.py"), "generated_file", id="somebody else's code"),
        pytest.param(reported("notes.unknown"), "unsupported_language", id="no language"),
        pytest.param(
            reported("a.py", suppressed=True, start=900), "suppressed", id="the first reason counts"
        ),
    ],
)
def test_what_is_skipped_says_why(found: Reported, reason: str) -> None:
    files = {"a.py": TEXT, "vendor/a.py": TEXT, "notes.unknown": TEXT}

    selection = selected(found, files=files)

    assert (reasons(selection), dict(selection.files)) == ([reason], {})


def test_the_end_of_a_file_is_a_place_in_it() -> None:
    selection = selected(reported(start=41))

    assert [one.start_line for one in selection.files["a.py"]] == [41]


def test_duplicates_are_the_same_rule_at_the_same_place() -> None:
    def at(column: int | None, message: str = "found", rule: str = "R1") -> Reported:
        place = Lines(start_line=1, end_line=1, start_column=column, end_column=column and column + 1)
        return reported(place=place, message=message, rule=rule)

    selection = selected(at(1), at(1, "in other words"), at(2), at(1, rule="R2"), at(None), at(None, "other"))

    assert len(selection.files["a.py"]) == 5
    assert [(entry.reason, entry.path) for entry in selection.skipped] == [("duplicate", "a.py")]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("src/app.py", "src/app.py"),
        ("./src/../src/app.py", "src/app.py"),
        ("src\\app.py", "src/app.py"),
        ("/ci/work/src/app.py", "src/app.py"),
        ("//ci/work/src/app.py", "src/app.py"),
        ("C:\\ci\\src\\app.py", "src/app.py"),
        ("C:/ci/src/app.py", "src/app.py"),
        ("app.py", "app.py"),
        ("/ci/app.py", "app.py"),
        ("lib/src/app.py", None),
        ("../src/app.py", None),
        ("/ci/work/mysrc/other.py", None),
        ("/", None),
        ("", None),
        ("/" * 5_000 + "src/app.py", None),
    ],
)
def test_a_name_means_the_longest_ending_that_was_submitted(name: str, path: str | None) -> None:
    assert match([name], ["src/app.py", "app.py", "lib/deep/app.py"]).get(name) == path


_SEGMENTS = st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=4).map("/".join)


@given(name=_SEGMENTS, paths=st.lists(_SEGMENTS, max_size=6))
def test_of_all_endings_the_longest_is_found(name: str, paths: list[str]) -> None:
    endings = [path for path in paths if f"/{name}".endswith(f"/{path}")]

    assert match([f"/{name}"], paths).get(f"/{name}") == max(endings, key=len, default=None)


def test_thousands_of_names_in_hundreds_of_folders_are_matched_in_a_moment() -> None:
    deep = "a/" * 500
    names = [f"/{'b/' * 1_500}{deep}{number}.py" for number in range(10_000)]
    paths = [f"{deep}{number}.py" for number in range(9_000, 11_000)]
    began = time.process_time()

    found = match(names, paths)

    assert len(found) == 1_000
    assert time.process_time() - began < 3


def test_a_file_of_the_same_name_in_a_folder_is_not_the_submitted_one() -> None:
    names = ["/ci/app.py", "/ci/lib/app.py", "/ci/src/main.py"]

    assert match(names, ["app.py", "src/main.py"]) == {
        "/ci/app.py": "app.py",
        "/ci/src/main.py": "src/main.py",
    }


@pytest.mark.parametrize(
    ("path", "text", "generated"),
    [
        ("src/node_modules/a/index.js", "", True),
        ("web/dist/app.js", "", True),
        ("uv.lock", "", True),
        ("package-lock.json", "", True),
        ("web/app.min.js", "", True),
        ("api.go", "package api\n\n// Code generated by stringer. DO NOT EDIT.\n", True),
        ("a_pb2.py", "# -*- coding: utf-8 -*-\n# Generated by the compiler.  DO NOT EDIT!\n", True),
        ("schema.ts", "/**\n * @generated by a tool\n */\n", True),
        ("src/app.py", 'TEXT = "generated, do not edit"\n', False),
        ("src/app.py", "x = 1\n" * 100 + "# generated, do not edit\n", False),
        ("src/vendors/app.py", "# this is not generated\n", False),
        ("locks/lock.py", "", False),
    ],
)
def test_generated_files_are_told_by_their_path_or_their_first_lines(
    path: str,
    text: str,
    generated: bool,  # noqa: FBT001 - a row of the table
) -> None:
    assert is_generated(path, text) is generated


def test_a_fix_keeps_its_places_in_text_of_many_bytes() -> None:
    text = "a = 'ß€\U0001f600'; b\n"
    place = Lines(start_line=1, end_line=1, start_column=18, end_column=19)
    fix = ReportedFix(safe=True, edits=(ReportedEdit(place=place, text="c"),))

    selection = selected(reported(unit=Unit.UTF8, place=place, fixes=(fix,)), files={"a.py": text})

    (finding,) = selection.files["a.py"]
    (edit,) = finding.fixes[0].edits
    assert text[edit.start_column - 1 : edit.end_column - 1] == "b"
    assert (finding.start_column, finding.end_column) == (edit.start_column, edit.end_column)


def test_ten_thousand_findings_on_one_endless_line_are_placed_in_a_moment() -> None:
    text = "x = '" + "é" * 200_000 + "'\n"
    found = [
        reported(
            number=number,
            unit=Unit.UTF16,
            place=Lines(start_line=1, end_line=1, start_column=190_000 + number, end_column=190_001 + number),
        )
        for number in range(10_000)
    ]
    hunk = ChangedHunk(start_line=1, end_line=1, added=frozenset(range(1, 50_000)))
    began = time.process_time()

    selection = select(
        [found], {"a.py": text}, {"a.py": ChangedFile(path="a.py", hunks=(hunk,))}, Filter.ADDED
    )

    assert len(selection.files["a.py"]) == 10_000
    assert time.process_time() - began < 5
