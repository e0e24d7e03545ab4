import time

import pytest

from patchmill.edit.span import Hunk
from patchmill.verify.evidence import Check, Result
from patchmill.verify.suppression import no_suppression, suppressions

FORMS = [
    "# noqa", "# NOQA", "#noqa", "#  noqa: E501", "# noqa:E501,B006", "# ruff: noqa", "# ruff:noqa: F401",
    "# ruff: ignore[F401]", "# ruff: disable[F401]", "# ruff: file-ignore[F401]", "# flake8: noqa",
    "# type: ignore", "# type:ignore[x]", "# ty: ignore", "# pyrefly: ignore", "# pyright: ignore",
    "# pyright: basic", "# pyright:ignore[reportFoo]", "# mypy: ignore-errors", "# mypy: disable-error-code",
    "# pylint: disable=C0114", "# pylint:disable-next=all", "# pylint: skip-file", "# pytype: disable=x",
    "# pyre-ignore[1]", "# pyre-fixme", "# nosec", "# nosec B101", "# nosemgrep", "# NOSONAR", "# fmt: off",
    "# fmt: skip", "# fmt:skip", "# yapf: disable", "# autopep8: off", "# isort: skip", "# isort:skip_file",
    "# isort: off", "# pragma: no cover", "# pragma:no branch", "# noinspection Py", "# codespell:ignore x",
    "# lgtm[py/x]", "# reason # noqa", "// eslint-disable-next-line", "// @ts-ignore", "// biome-ignore lint",
]  # fmt: skip


def change(before: str, after: str) -> Check:
    return no_suppression([Hunk(start_line=1, end_line=1, original=before, replacement=after)])


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_suppression_counts(form: str) -> None:
    check = change("x = 1\n", f"x = 1  {form}\n")

    assert check.result is Result.FAILED
    assert check.detail.startswith("adds ")


@pytest.mark.parametrize(
    "comment",
    ["# a note", "# ignore this type", "# the type: int", "# see mypy", "# formatted", "# known qa"],
)
def test_other_comments_do_not_count(comment: str) -> None:
    assert change("x = 1\n", f"x = 1  {comment}\n").result is Result.PASSED


def test_suppressions_that_were_there_may_stay_and_move() -> None:
    before = "x = 1  # noqa: E501\ny = 2\n"

    assert change(before, "y = 2\nx = 3  # noqa: E501\n").result is Result.PASSED
    assert change(before, "y = 2\n").result is Result.PASSED


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("# noqa: E501", "# noqa"),
        ("# noqa: E501", "# noqa: E501, B006"),
        ("# noqa: E501", "# noqa: B006"),
        ("# type: ignore[arg-type]", "# type: ignore"),
        ("# pylint: disable=a", "# pylint: disable=a,b"),
    ],
)
def test_a_suppression_may_not_be_widened(before: str, after: str) -> None:
    assert change(f"x  {before}\n", f"x  {after}\n").result is Result.FAILED


def test_a_suppression_may_be_narrowed() -> None:
    assert change("x  # noqa: E501, B006\n", "x  # noqa: B006\n").result is Result.PASSED


def test_hostile_text_is_read_in_linear_time() -> None:
    started = time.monotonic()
    for shape in (
        "type:" + " " * 200_000,
        "noqa:" * 40_000,
        "noqa: a" + ",a" * 100_000,
        "pragma: no " * 20_000,
    ):
        suppressions(shape)

    assert time.monotonic() - started < 5
