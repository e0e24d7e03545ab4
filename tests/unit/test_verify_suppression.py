import time

import pytest

from patchmill.edit.span import Hunk
from patchmill.verify.evidence import Check, Result
from patchmill.verify.guards.suppression import no_suppression, suppressions

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
    "/* oxlint-disable */", "// oxlint-disable-line no-var", "/* eslint no-var: off */", "/* global X */",
    "// @ts-nocheck", "// @ts-expect-error why", "/* istanbul ignore next */", "// prettier-ignore",
    "// deno-lint-ignore no-explicit-any", "// $FlowFixMe[x]", "/* stylelint-disable color */",
    "//nolint", "// nolint:errcheck", "//lint:ignore SA1000 why", "# rubocop:disable Style/X",
    "# rubocop:todo X", "// NOLINT", "// NOLINTNEXTLINE(x)", "// NOLINTBEGIN",
    "#[allow(dead_code)]", "#![allow(warnings)]",
    "#[expect(unused)]", "#[cfg_attr(test, allow(unused))]", '@SuppressWarnings("all")', '@Suppress("x")',
    '@file:Suppress("x")', "# shellcheck disable=SC2034", "#pragma warning disable CS0168",
    "#pragma GCC diagnostic ignored", '[SuppressMessage("a", "b")]', "// NOPMD", "// CPD-OFF", "//!OCLINT",
    "// swift-format-ignore", "/** @codeCoverageIgnore */", "# tflint-ignore: a", "/** @phan-suppress A */",
    "#nullable disable",
    "//gosec:disable G101", "# steep:ignore", "// clazy:exclude=a", "// swiftlint:disable all",
    "// phpcs:ignore", "/** @phpstan-ignore-line */", "/** @psalm-suppress All */", "# yamllint disable-line",
    "# hadolint ignore=DL3008", "# hadolint global ignore=DL3008", "# hadolint shell=pwsh",
    "# shellcheck shell=bash disable=SC2086", "# yamllint disable-line rule:commas", "# yamllint disable",
    "/* biome-ignore lint: x */", "// biome-ignore-all lint: x", "# yamllint disable-file",
    "# zizmor: ignore[unpinned-uses]", "# checkov:skip=CKV_1", "# tfsec:ignore:x",
    "# trivy:ignore:x", "# gitleaks:allow", "# pragma: allowlist secret", "# skipcq: PYL-1",
    "# sourcery skip",
    "// cspell:disable-line", "// dprint-ignore", "// oxfmt-ignore", "// revive:disable", "// @formatter:off",
    "// spotless:off", "// ReSharper disable all", "// jshint ignore:line", "/* jshint -W034 */",
    "/* eslint-env browser */", "# deptry: ignore", "# nopep8", "// codeql[js/x]", "# actionlint ignore",
    "// @codingStandardsIgnoreLine", "# autoflake: skip_file", 'warnings.filterwarnings("ignore")',
    "/**\n * @formatter:off\n */",
    "# lgtm", "# noformat", "/* noqa */", "# black: off", "// coverity[x]", "// clang-format off",
    "// cppcheck-suppress x", "// CHECKSTYLE:OFF", "# shellcheck shell=ksh",
    "# shellcheck source=/dev/null", "# check=skip=all", "# escape=`", "# syntax=docker/dockerfile:1",
    "# trunk-ignore(ruff/E711)", "# trunk-ignore-all(ruff)", "# lint-fixme: X", "# cx-ignore", "# ggignore",
    "# pyre-unsafe", "# #nohorus", "# basedpyright: ignore", "# interrogate: ignore", "# typos:ignore",
    "# DevSkim: ignore DS1", "# deepcode ignore X: why", "# kics-scan ignore-line", "# #lizard forgives",
    "# qodana.ignore", "# coverage: exclude", "# doctest: +SKIP", "# pylint: off", "# pylint: disable-msg=x",
    "# pragma: exclude file", "# pragma: whitelist secret",
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
    [
        "# a note",
        "# ignore this type",
        "# the type: int",
        "# see mypy",
        "# formatted",
        "# known qa",
        "// a global",
        "/* the exported one */",
        "// eslint is fine",
        "#[derive(Debug)]",
        "// suppress noise",
        "// disable the button",
        "@Override",
        "# allow(me)",
        "// lint it",
        "#include <allow>",
        "# pyright: runs on it",
        "# mypy: strict is used",
        "# coverity found it",
        "# no format here",
        "// the formatter: it is off",
    ],
)
def test_other_comments_do_not_count(comment: str) -> None:
    assert change("x = 1\n", f"x = 1  {comment}\n").result is Result.PASSED


@pytest.mark.parametrize("code", ['x = "noqa"', "lgtm = 1", "noformat = 1", "black: off", "fn(type=ignore)"])
def test_words_of_the_code_do_not_count(code: str) -> None:
    assert change("x = 1\n", f"x = 1\n{code}\n").result is Result.PASSED


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
        ("// eslint-disable-next-line no-var", "// eslint-disable-next-line no-var, eqeqeq"),
        ("// eslint-disable-line no-var", "// eslint-disable-line"),
        ("// eslint-disable-line no-var -- why", "// eslint-disable-line eqeqeq -- why"),
        ("#[allow(dead_code)]", "#[allow(dead_code, clippy::all)]"),
        ('@SuppressWarnings("unchecked")', '@SuppressWarnings("all")'),
        ("# rubocop:disable A/B", "# rubocop:disable A/B, C/D"),
        ("// swiftlint:disable:next a", "// swiftlint:disable:next a b"),
        ("//nolint:errcheck", "//nolint"),
    ],
)
def test_a_suppression_may_not_be_widened(before: str, after: str) -> None:
    assert change(f"x  {before}\n", f"x  {after}\n").result is Result.FAILED


def test_a_suppression_may_be_narrowed() -> None:
    assert change("x  # noqa: E501, B006\n", "x  # noqa: B006\n").result is Result.PASSED


def test_a_reason_may_be_reworded() -> None:
    before, after = "// eslint-disable-line no-var -- old", "// eslint-disable-line no-var -- it stays"

    assert change(f"x  {before}\n", f"x  {after}\n").result is Result.PASSED


def test_hostile_text_is_read_in_linear_time() -> None:
    started = time.process_time()
    for shape in (
        "type:" + " " * 200_000,
        "noqa:" * 40_000,
        "noqa: a" + ",a" * 100_000,
        "pragma: no " * 20_000,
        "#[cfg_attr(" * 20_000,
        "eslint-disable " * 20_000,
        "/* eslint " * 20_000,
        "nolint:" + "a" * 200_000,
        "[ \t" * 60_000,
        "# " + "noqa " * 40_000,
        "\n".join(["noqa # noqa"] * 20_000),
        "coverity [" * 20_000,
        "lgtm\n" * 40_000,
    ):
        suppressions(shape)

    assert time.process_time() - started < 5
