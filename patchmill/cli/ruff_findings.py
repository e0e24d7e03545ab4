"""What ruff reports about files, as the findings of a job request."""

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ruff

from patchmill.errors import ConfigurationError, Unavailable

TIMEOUT_S = 60
FOUND_NOTHING, FOUND_SOMETHING = 0, 1
SYNTAX_ERROR = "invalid-syntax"

_UNKNOWN_RULE = re.compile(r"Unknown rule selector `(?P<rule>.*)` in `(?P<option>select|ignore)`")
_TOP_LEVEL = frozenset({"target-version", "line-length", "preview", "builtins"})
# `display` fixes are shown to people and never applied.
_SAFETY = {"safe": True, "unsafe": False}


def find(folder: Path, paths: Sequence[str], settings: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Run ruff as `diagnose` does; give each file's findings, in the order of the file.

    Raises:
        Unavailable: ruff does not run.
    """
    found: dict[str, list[dict[str, Any]]] = {path: [] for path in paths}
    for diagnostic in diagnose(folder, paths, settings):
        found[diagnostic["filename"]].append(finding(diagnostic))
    return found


def diagnose(folder: Path, paths: Sequence[str], settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Run ruff, isolated but for these settings; give what its JSON report holds.

    Paths are relative to the folder, in the report, too; settings are those that a job's `checkers` carry for
    ruff.

    Raises:
        ConfigurationError: `select` or `ignore` names a rule that ruff does not know.
        Unavailable: ruff does not run.
    """
    options = [word for name, value in settings.items() for word in ("--config", _option(name, value))]
    command = [ruff.find_ruff_bin(), "check", "--isolated", "--no-cache", "--output-format", "json"]
    try:
        done = subprocess.run(
            [*command, *options, "--", *paths],
            cwd=folder,
            capture_output=True,
            encoding="utf-8",
            timeout=TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"ruff does not run: {error}") from error
    if done.returncode not in {FOUND_NOTHING, FOUND_SOMETHING}:
        if unknown := _UNKNOWN_RULE.search(done.stderr):
            raise ConfigurationError(f"--{unknown['option']}: ruff knows no rule {unknown['rule']!r}")
        raise Unavailable(f"ruff failed: {' '.join(done.stderr.split()).removeprefix('ruff failed ')}")
    root = folder.resolve()
    report: list[dict[str, Any]] = json.loads(done.stdout)
    for diagnostic in report:
        diagnostic["filename"] = Path(diagnostic["filename"]).resolve().relative_to(root).as_posix()
        # It quotes what strings of the file mean, and no request may hold a NUL.
        diagnostic["message"] = diagnostic["message"].replace("\0", "\N{REPLACEMENT CHARACTER}")
    return report


def finding(diagnostic: Mapping[str, Any]) -> dict[str, Any]:
    """Turn one of ruff's diagnostics into a finding of a job request."""
    fix = diagnostic.get("fix") or {}
    safe = _SAFETY.get(fix.get("applicability", ""))
    return {
        "tool": "ruff",
        "rule": diagnostic.get("code") or SYNTAX_ERROR,
        "message": diagnostic["message"],
        "severity": diagnostic.get("severity") or "warning",
        **_place(diagnostic),
        "fixes": []
        if safe is None
        else [
            {
                "safe": safe,
                "edits": [{**_place(edit), "text": edit["content"]} for edit in fix["edits"]],
            }
        ],
    }


def _place(ranged: Mapping[str, Any]) -> dict[str, int]:
    """Ruff counts as requests do: from 1, in code points, the end exclusive."""
    start, end = ranged["location"], ranged["end_location"]
    return {
        "start_line": start["row"],
        "start_column": start["column"],
        "end_line": end["row"],
        "end_column": end["column"],
    }


def _option(name: str, value: Any) -> str:
    """Write a setting as an inline TOML pair; what these settings hold is TOML and JSON alike."""
    key = name if name in _TOP_LEVEL or name.startswith("lint.") else f"lint.{name}"
    return f"{key} = {json.dumps(value)}"
