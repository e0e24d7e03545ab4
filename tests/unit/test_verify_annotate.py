import errno
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from patchmill.edit.span import Hunk, split_lines
from patchmill.job.record import Annotation, FindingStatus
from patchmill.verify.evidence import CheckName, Result
from patchmill.verify.process import bare_python
from patchmill.verify.run import Verdict, unprovable, verify_annotate

SOURCE = """\
import os


def f(a):
    return a


def g(b=None):
    return b or os.sep
"""


def hunk(start_line: int, end_line: int, replacement: str, source: str = SOURCE) -> Hunk:
    original = "".join(split_lines(source)[start_line - 1 : end_line])
    return Hunk(start_line=start_line, end_line=end_line, original=original, replacement=replacement)


def verify(
    proposals: Sequence[Hunk],
    *,
    source: str = SOURCE,
    what: Sequence[Annotation] = tuple(Annotation),
    settings: Mapping[str, Any] | None = None,
    scope: tuple[int, int] | None = None,
) -> Verdict:
    return verify_annotate(
        source=source,
        path="app.py",
        what=frozenset(what),
        proposals=proposals,
        settings=settings or {},
        scope=scope,
    )


def lines(verdict: Verdict) -> list[list[int]]:
    return [[edit.start_line for edit in group.hunks] for group in verdict.groups]


def test_each_proven_edit_is_a_group_with_all_its_evidence() -> None:
    verdict = verify(
        [hunk(8, 8, "def g(b: str | None = None) -> str:\n"), hunk(4, 4, "def f(a: int) -> int:\n")]
    )

    assert lines(verdict) == [[4], [8]]
    assert {group.status for group in verdict.groups} == {FindingStatus.VERIFIED}
    assert [(check.check, check.result) for check in verdict.groups[0].checks] == [
        (CheckName.APPLIES, Result.PASSED),
        (CheckName.IN_SCOPE, Result.PASSED),
        (CheckName.PARSES, Result.PASSED),
        (CheckName.SAME_BEHAVIOUR, Result.PASSED),
        (CheckName.NO_SUPPRESSION, Result.PASSED),
        (CheckName.NO_INVISIBLE, Result.PASSED),
    ]
    assert (verdict.findings, verdict.refusals, verdict.feedback) == ({}, (), "")


def test_hints_and_the_import_that_they_need_are_one_group_beside_the_others() -> None:
    edits = [
        hunk(2, 1, "from typing import Any\n"),
        hunk(4, 4, "def f(a: Any) -> Any:\n"),
        hunk(8, 8, "def g(b: str | None = None) -> str:\n"),
    ]

    verdict = verify(edits)

    assert sorted(lines(verdict)) == [[2, 4], [8]]
    assert verdict.feedback == ""


def test_an_import_that_nothing_needs_is_not_offered() -> None:
    verdict = verify([hunk(2, 1, "from typing import Any\n"), hunk(4, 4, "def f(a: int) -> int:\n")])

    assert lines(verdict) == [[4]]
    assert [edit.start_line for edit in verdict.refusals[0].hunks] == [2]


def test_a_refused_edit_is_explained_and_does_not_spoil_the_others() -> None:
    verdict = verify(
        [hunk(4, 4, "def f(a: print()) -> int:\n"), hunk(8, 8, "def g(b: str = None) -> str:\n")]
    )

    assert lines(verdict) == [[8]]
    (refusal,) = verdict.refusals
    failed = [check for check in refusal.checks if check.result is Result.FAILED]
    assert [check.check for check in failed] == [CheckName.SAME_BEHAVIOUR]
    assert "hint_not_plain" in failed[0].detail
    assert "4 | def f(a: print()) -> int:" in verdict.feedback


def test_what_is_told_of_a_name_that_is_not_bound_says_how_to_bind_it_and_says_it_once() -> None:
    verdict = verify([hunk(4, 4, "def f(a: Path) -> Any:\n"), hunk(2, 1, "from pathlib import Path\n")])

    assert lines(verdict) == []
    assert "The edit before line 2 was refused." in verdict.feedback
    assert "    4 | def f(a):" in verdict.feedback
    assert verdict.feedback.count("Path is not bound here when this runs; quote it, and import it under") == 1
    assert verdict.feedback.count("Any is not bound here when this runs; import it from typing.") == 1


def test_the_target_version_of_the_settings_bounds_hints() -> None:
    edits = [hunk(8, 8, "def g(b: str | None = None) -> str:\n")]

    old = verify(edits, settings={"ruff": {"target-version": "py39"}})
    new = verify(edits, settings={"ruff": {"target-version": "py310"}})

    assert lines(old) == []
    assert "too_new_for_target" in old.feedback
    assert lines(new) == [[8]]


def test_only_what_was_asked_for_is_accepted() -> None:
    edits = [hunk(4, 4, "def f(a: int) -> int:\n"), hunk(9, 8, '    """Give b or the separator."""\n')]

    assert lines(verify(edits, what=[Annotation.TYPES])) == [[4]]
    assert lines(verify(edits, what=[Annotation.DOCSTRINGS])) == [[9]]


def test_edits_outside_the_scope_are_refused() -> None:
    verdict = verify([hunk(4, 4, "def f(a: int) -> int:\n")], scope=(6, 9))

    assert verdict.groups == ()
    assert "in_scope" in verdict.feedback


def test_an_added_suppression_is_refused() -> None:
    verdict = verify([hunk(5, 4, '    """Give a. # type: ignore"""\n')])

    assert verdict.groups == ()
    assert [c.check for c in verdict.refusals[0].checks if c.result is Result.FAILED] == [
        CheckName.NO_SUPPRESSION
    ]


def test_a_source_that_python_cannot_parse_gives_no_groups_and_says_so() -> None:
    source = "def f(a:\n    return a\n"

    verdict = verify([hunk(1, 1, "def f(a: int:\n", source)], source=source)

    assert verdict.groups == ()
    assert {check.check: check.result for check in verdict.refusals[0].checks}[CheckName.PARSES] is (
        Result.SKIPPED
    )
    assert "cannot parse the source" in verdict.feedback


def test_no_proposals_are_no_groups() -> None:
    verdict = verify([])

    assert (verdict.groups, verdict.refusals, verdict.feedback) == ((), (), "")


def test_a_source_that_cannot_be_parsed_is_told_from_a_proof_that_could_not_be_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrong = unprovable("def f(:\n", path="a.py")
    assert wrong is not None
    assert not wrong.failed

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.EAGAIN, "no more processes")

    monkeypatch.setattr(bare_python, "run", full)
    failed = unprovable("x = 1\n", path="a.py")
    assert failed is not None
    assert failed.failed
    assert "no more processes" in failed.detail
