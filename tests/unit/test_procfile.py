import os
import sys
from pathlib import Path

import pytest

from patchmill.dev import procfile
from patchmill.errors import ConfigurationError

ROOT = Path(__file__).parents[2]


def test_the_shipped_lines_are_those_of_the_procfile() -> None:
    assert (ROOT / "Procfile").read_text(encoding="utf-8") == procfile.SHIPPED


def test_the_processes_are_run_by_this_python() -> None:
    assert procfile.read() == {
        "api": [sys.executable, "-m", "api"],
        "worker": [sys.executable, "-m", "worker"],
    }


def test_comments_and_empty_lines_say_nothing() -> None:
    assert procfile.parse("# two\n\nclock: tick --fast\n") == {"clock": ["tick", "--fast"]}


@pytest.mark.parametrize("line", ["api", "api:", ": python", "  : "])
def test_a_line_without_name_or_command_is_refused(line: str) -> None:
    with pytest.raises(ConfigurationError, match="line 2"):
        procfile.parse(f"web: serve\n{line}\n")


def test_a_name_that_comes_twice_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="there is a `api` already"):
        procfile.parse("api: one\napi: two\n")


def test_processes_find_our_packages_before_the_users_own() -> None:
    made = procfile.environment({"PYTHONPATH": "/users/own", "HOME": "/home"}, {"PATCHMILL_PORT": "1"})

    assert made["PYTHONPATH"].split(os.pathsep) == [str(ROOT), "/users/own"]
    assert made["PYTHONSAFEPATH"] == "1"
    assert (made["HOME"], made["PATCHMILL_PORT"]) == ("/home", "1")
