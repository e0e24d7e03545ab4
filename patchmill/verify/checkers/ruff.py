"""Ruff, isolated: no configuration file, cache or suppression comment of the project is obeyed."""

import functools
import json
import re
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import ruff

from patchmill.job.record import ToolEdit
from patchmill.kinds.checker_settings import RUFF
from patchmill.verify import sandbox
from patchmill.verify.checker import CheckerFailure, Diagnostic, FailureReason, FileReport
from patchmill.verify.selection import Selection
from patchmill.verify.workspace import workspace

SYNTAX_ERROR = "invalid-syntax"
_SYNTAX_NAMES = frozenset({"invalid-syntax", "syntax-error", "syntaxerror", "e999"})
_FILE_UNREADABLE = "E902"

# A mended file may not take to running what it reads, or to believing whom it talks to: exec and eval,
# pickle and its kind, unsafe YAML, a shell, unchecked certificates. Rules that cry wolf are not among them.
_DANGEROUS = frozenset({"S102", "S301", "S302", "S307", "S501", "S506", "S602", "S604", "S605", "S606"})
_SELECTION = frozenset({"select", "extend-select", "ignore"})
# Its report has some 600 bytes for each finding, and each of many versions has all that the source has.
_LIMITS = sandbox.Limits(output_bytes=64 * 1024**2)
# One thread for the few small files of a check: starting a pool costs more than it gives.
_ENVIRONMENT = {"RAYON_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Catalogue:
    """What this ruff knows: codes by the names that rules go by, names by codes, what can be selected.

    `errors` are those that always run: E9, F, and those about running data as code.
    """

    codes: Mapping[str, str]
    names: Mapping[str, str]
    stable: frozenset[str]
    preview: frozenset[str]
    errors: frozenset[str]


class Ruff:
    """The linter that finds most of what Python jobs are about; it never executes what it reads."""

    name = "ruff"
    tools = frozenset({"ruff"})
    baseline = "E9, F, and rules about running data as code"
    tells_fixes = True

    def __init__(self) -> None:
        self._loaded: _Catalogue | None = None

    def canonical_rule(self, rule: str) -> str | None:
        """The rule's code, such as B006, from its code or its name; `invalid-syntax` for syntax errors."""
        if rule.lower() in _SYNTAX_NAMES:
            return SYNTAX_ERROR
        catalogue = self._catalogue()
        if isinstance(catalogue, CheckerFailure):
            return rule.upper()
        return catalogue.codes.get(rule.lower())

    def rule_name(self, rule: str) -> str:
        """Such as `unused-import` of F401."""
        catalogue = self._catalogue()
        return rule if isinstance(catalogue, CheckerFailure) else catalogue.names.get(rule, rule)

    def enabled(self, rules: Collection[str], settings: Mapping[str, Any]) -> set[str]:
        """The rules that are on under select, extend-select and ignore; syntax errors always are."""
        selection = Selection(settings)
        return {rule for rule in rules if rule == SYNTAX_ERROR or selection.enables(rule)}

    def diagnose(
        self, versions: Sequence[str], *, path: str, rules: Collection[str], settings: Mapping[str, Any]
    ) -> list[FileReport] | CheckerFailure:
        """Check all versions in one process for `rules` and the baseline, whatever suppression they carry."""
        catalogue = self._catalogue()
        if isinstance(catalogue, CheckerFailure):
            return catalogue
        selected = _selected(catalogue, rules, settings)
        return _check(versions, path=path, selected=selected, settings=settings)

    def _catalogue(self) -> _Catalogue | CheckerFailure:
        """The rules of this ruff, asked for once."""
        if self._loaded is None:
            output = _run(["rule", "--all", "--output-format", "json"], cwd=Path(tempfile.gettempdir()))
            if isinstance(output, CheckerFailure):
                return output
            self._loaded = _read_catalogue(json.loads(output))
        return self._loaded


def _read_catalogue(rules: Iterable[Mapping[str, Any]]) -> _Catalogue:
    codes: dict[str, str] = {}
    names: dict[str, str] = {}
    stable: set[str] = set()
    preview: set[str] = set()
    for rule in rules:
        if "Removed" in rule["status"]:
            continue
        code = rule["code"] or rule["name"]
        names[code] = rule["name"]
        codes[code.lower()] = codes[rule["name"].lower()] = code
        (preview if rule["preview"] else stable).add(code)
    errors = {code for code in stable | preview if re.fullmatch(r"E9\d+|F\d+", code)}
    return _Catalogue(
        codes=codes,
        names=names,
        stable=frozenset(stable),
        preview=frozenset(preview),
        errors=frozenset(errors | (_DANGEROUS & stable)),
    )


def _selected(catalogue: _Catalogue, rules: Collection[str], settings: Mapping[str, Any]) -> list[str]:
    """The rules to run, by their full codes: a prefix or a rule unknown to ruff would end the run."""
    known = catalogue.stable | catalogue.preview if settings.get("preview") else catalogue.stable
    selection = Selection(settings)
    kept = {code for code in catalogue.errors & known if not selection.ignores(code)}
    return sorted({_FILE_UNREADABLE} | kept | (known & set(rules)))


def _check(
    versions: Sequence[str], *, path: str, selected: Sequence[str], settings: Mapping[str, Any]
) -> list[FileReport] | CheckerFailure:
    arguments = ["check", "--isolated", "--no-cache", "--quiet", "--ignore-noqa", "--no-force-exclude"]
    arguments += ["--no-fix", "--exit-zero", "--output-format", "json-lines"]
    arguments += ["--select", ",".join(selected), *_configuration(settings), "--"]
    name = _safe_name(path)
    with workspace(sum(map(len, versions))) as folder:
        for number, text in enumerate(versions):
            place = folder / str(number)
            place.mkdir()
            (place / name).write_bytes(text.encode("utf-8", "surrogatepass"))
            arguments.append(f"{number}/{name}")
        output = _run(arguments, cwd=folder)
    if isinstance(output, CheckerFailure):
        return output
    found: list[list[Diagnostic]] = [[] for _ in versions]
    for line in output.splitlines():
        entry = json.loads(line)
        found[int(PurePosixPath(entry["filename"]).parent.name)].append(_diagnostic(entry))
    return [_report(diagnostics) for diagnostics in found]


def _configuration(settings: Mapping[str, Any]) -> list[str]:
    """The allowed settings as command-line options; JSON of these plain values is TOML too."""
    options: list[str] = []
    for name, setting in RUFF.items():
        if name in settings and name not in _SELECTION and setting.accepts(settings[name]):
            options += ["--config", f"{name}={json.dumps(settings[name])}"]
    return options


def _run(arguments: Sequence[str], *, cwd: Path) -> bytes | CheckerFailure:
    try:
        completed = sandbox.run(
            [_binary(), *arguments], stdin=b"", cwd=cwd, limits=_LIMITS, environment=_ENVIRONMENT
        )
    except OSError as error:
        return CheckerFailure(reason=FailureReason.CHECKER_UNAVAILABLE, detail=f"ruff: {error}")
    if completed.failure is not None:
        return CheckerFailure(reason=FailureReason.CHECKER_FAILED, detail=f"ruff: {completed.failure}")
    return completed.stdout


@functools.cache
def _binary() -> str:
    """Where the ruff of this environment is; looking costs a millisecond."""
    return str(ruff.find_ruff_bin())


def _safe_name(path: str) -> str:
    """A file name that keeps what rules look at: the base name, such as `__init__.py`, and the ending."""
    base = PurePosixPath(path.replace("\\", "/")).name
    suffix = ".pyi" if base.lower().endswith(".pyi") else ".py"
    stem = re.sub(r"[^A-Za-z0-9_.-]", "_", base.removesuffix(suffix))[:100].lstrip(".-")
    return f"{stem or '_'}{suffix}"


def _diagnostic(entry: Mapping[str, Any]) -> Diagnostic:
    rule = entry["code"] or entry["name"]
    return Diagnostic(
        rule=SYNTAX_ERROR if rule == _FILE_UNREADABLE else rule,
        message=entry["message"],
        start_line=entry["location"]["row"],
        start_column=entry["location"]["column"],
        end_line=entry["end_location"]["row"],
        end_column=entry["end_location"]["column"],
        fix=_safe_fix(entry["fix"]),
        reach=_reach(entry["fix"]),
    )


def _safe_fix(fix: Mapping[str, Any] | None) -> tuple[ToolEdit, ...]:
    if fix is None or fix["applicability"] != "safe":
        return ()
    return tuple(
        ToolEdit(
            start_line=edit["location"]["row"],
            start_column=edit["location"]["column"],
            end_line=edit["end_location"]["row"],
            end_column=edit["end_location"]["column"],
            text=edit["content"] or "",
        )
        for edit in fix["edits"]
    )


def _reach(fix: Mapping[str, Any] | None) -> tuple[tuple[int, int], ...]:
    """The lines that a fix changes; an end before the first column of a line does not touch that line."""
    return tuple(
        (edit["location"]["row"], edit["end_location"]["row"] - (edit["end_location"]["column"] == 1))
        for edit in (fix["edits"] if fix is not None else ())
    )


def _report(diagnostics: Sequence[Diagnostic]) -> FileReport:
    syntax_error = next((found for found in diagnostics if found.rule == SYNTAX_ERROR), None)
    return FileReport(diagnostics=tuple(diagnostics), syntax_error=syntax_error)
