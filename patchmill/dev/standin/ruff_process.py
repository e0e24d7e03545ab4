"""Ruff as a process: its findings in a text and the edits that it offers for them."""

import json
import subprocess
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

from ruff import find_ruff_bin

from patchmill.dev.standin.source_text import SourceText, TextEdit

_TIMEOUT_S = 20
_DEFAULT_VERSION = "py311"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One finding of ruff; `edits` is empty when it offers no fix."""

    rule: str
    message: str
    line: int
    column: int
    edits: tuple[TextEdit, ...]


def check(
    source: SourceText, *, path: str, rules: Collection[str], target_version: str | None
) -> list[Report]:
    """Ruff's findings for those of the rules that it knows; none when it refuses the text or the version."""
    selected = sorted(set(rules) & known_rules())
    if not selected:
        return []
    command = ["check", "--isolated", "--no-cache", "--output-format", "json"]
    command += ["--select", ",".join(selected), "--target-version", target_version or _DEFAULT_VERSION]
    # The name decides on what a file may be (a package's `__init__.py`, a stub); nothing is read from disk.
    command += ["--stdin-filename", PurePosixPath(path).name or "source.py", "-"]
    done = _run(command, source.text)
    if done.returncode not in (0, 1):
        return []
    return [_report(item, source) for item in json.loads(done.stdout) if item["code"] in selected]


@lru_cache(maxsize=1)
def known_rules() -> frozenset[str]:
    """The codes of all rules that ruff still has; asking for any other makes it refuse everything."""
    done = _run(["rule", "--all", "--output-format", "json"], "")
    rules: list[dict[str, Any]] = json.loads(done.stdout)
    return frozenset(rule["code"] for rule in rules if "Removed" not in str(rule.get("status")))


def _run(arguments: list[str], text: str) -> subprocess.CompletedProcess[bytes]:
    with tempfile.TemporaryDirectory(prefix="standin-") as folder:
        return subprocess.run(
            [find_ruff_bin(), *arguments],
            input=text.encode("utf-8", "replace"),
            capture_output=True,
            cwd=folder,
            timeout=_TIMEOUT_S,
            check=False,
        )


def _report(item: dict[str, Any], source: SourceText) -> Report:
    fix = item["fix"]
    usable = fix is not None and fix["applicability"] in {"safe", "unsafe"}
    return Report(
        rule=item["code"],
        message=item["message"],
        line=item["location"]["row"],
        column=item["location"]["column"],
        edits=tuple(_edit(edit, source) for edit in fix["edits"]) if usable else (),
    )


def _edit(edit: dict[str, Any], source: SourceText) -> TextEdit:
    start, end = edit["location"], edit["end_location"]
    return TextEdit(
        source.offset(start["row"], start["column"] - 1),
        source.offset(end["row"], end["column"] - 1),
        edit["content"],
    )
