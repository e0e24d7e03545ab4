from typing import Any

import pytest

from patchmill.kinds.checker_settings import RUFF, settings_errors, target_version
from patchmill.verify.selection import Selection

GOOD: dict[str, Any] = {
    "target-version": "py311",
    "line-length": 100,
    "select": ["B", "F", "PLR0913", "ALL"],
    "extend-select": ["UP"],
    "ignore": ["E501"],
    "preview": True,
    "lint.mccabe.max-complexity": 5,
    "lint.pydocstyle.convention": "google",
    "lint.isort.known-first-party": ["app", "app.*"],
}


def test_allowed_settings_have_no_errors() -> None:
    assert settings_errors({"ruff": GOOD}) == []


def test_no_settings_have_no_errors() -> None:
    assert settings_errors({}) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("target-version", "py27"),
        ("target-version", 311),
        ("line-length", 0),
        ("line-length", 321),
        ("line-length", True),
        ("line-length", "100"),
        ("preview", "yes"),
        ("preview", 1),
        ("select", "B"),
        ("select", ["B,F"]),
        ("select", ["B\n"]),
        ("select", ["--fix"]),
        ("select", [1]),
        ("select", ["B"] * 1001),
        ("builtins", ["a" * 100] * 700),
        ("lint.mccabe.max-complexity", -1),
        ("lint.pydocstyle.convention", "mine"),
        ("lint.isort.known-first-party", ["a']\nextend = '/etc/passwd"]),
        ("lint.isort.known-first-party", ["a b"]),
    ],
)
def test_a_wrong_value_is_refused_at_its_place(name: str, value: Any) -> None:
    ((pointer, detail),) = settings_errors({"ruff": {**GOOD, name: value}})

    assert pointer == f"/ruff/{name}"
    assert detail.startswith("must be ")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("line-lenght", "line-length"),
        ("max-complexity", "lint.mccabe.max-complexity"),
        ("target_version", "target-version"),
    ],
)
def test_an_unknown_setting_is_refused_with_the_nearest_known(name: str, meant: str) -> None:
    assert settings_errors({"ruff": {name: 1}}) == [
        (f"/ruff/{name}", f"no such setting; did you mean `{meant}`?")
    ]


@pytest.mark.parametrize(
    "name", ["extend", "src", "exclude", "cache-dir", "per-file-ignores", "fix", "required-version"]
)
def test_settings_that_reach_files_or_hide_findings_are_not_allowed(name: str) -> None:
    assert name not in RUFF
    assert len(settings_errors({"ruff": {name: "x"}})) == 1


@pytest.mark.parametrize(
    ("checker", "name", "value"),
    [("oxlint", "select", ["no-var"] * 1001), ("ruff", "builtins", ["a" * 100] * 700)],
)
def test_a_list_that_is_too_long_is_refused_with_how_long_it_may_be(
    checker: str, name: str, value: list[str]
) -> None:
    ((_, detail),) = settings_errors({checker: {name: value}})

    assert "at most 1,000 in 65,536 characters" in detail


def test_an_unknown_checker_is_refused_with_the_nearest_known() -> None:
    assert settings_errors({"rufff": {}}) == [("/rufff", "no such checker; did you mean `ruff`?")]


def test_settings_that_are_no_object_are_refused() -> None:
    assert settings_errors({"ruff": ["B"]}) == [("/ruff", "must be an object of settings")]


def test_pointers_are_escaped() -> None:
    assert settings_errors({"a/b~c": {}})[0][0] == "/a~1b~0c"


@pytest.mark.parametrize(
    ("checkers", "version"),
    [
        ({}, None),
        ({"ruff": {}}, None),
        ({"ruff": {"target-version": "py39"}}, (3, 9)),
        ({"ruff": {"target-version": "py315"}}, (3, 15)),
    ],
)
def test_the_target_version_is_read(checkers: dict[str, Any], version: tuple[int, int] | None) -> None:
    assert target_version(checkers) == version


@pytest.mark.parametrize(
    ("settings", "rule", "enabled"),
    [
        ({}, "B006", True),
        ({"select": ["B"]}, "B006", True),
        ({"select": ["B"]}, "BLE001", False),
        ({"select": ["B0"]}, "B006", True),
        ({"select": ["B9"]}, "B006", False),
        ({"select": ["ALL"]}, "B006", True),
        ({"select": ["PL"]}, "PLR0913", True),
        ({"select": ["E"]}, "ERA001", False),
        ({"select": []}, "B006", False),
        ({"select": ["F"], "extend-select": ["B006"]}, "B006", True),
        ({"extend-select": ["F"]}, "B006", True),
        ({"ignore": ["B006"]}, "B006", False),
        ({"ignore": ["B"]}, "B006", False),
        ({"ignore": ["ALL"]}, "B006", False),
        ({"select": ["B006"], "ignore": ["B"]}, "B006", True),
        ({"select": ["B"], "ignore": ["B006"]}, "B006", False),
        ({"select": ["B"], "ignore": ["B"]}, "B006", False),
        ({"select": ["ALL"], "ignore": ["F"]}, "B006", True),
    ],
)
def test_rules_are_selected_as_ruff_selects_them(
    settings: dict[str, Any], rule: str, *, enabled: bool
) -> None:
    assert Selection(settings).enables(rule) is enabled


def test_a_rule_that_is_merely_not_selected_is_not_ignored() -> None:
    assert not Selection({"select": ["B"]}).ignores("F401")
    assert Selection({"select": ["B"], "ignore": ["F"]}).ignores("F401")
    assert not Selection({"select": ["F401"], "ignore": ["F"]}).ignores("F401")
