"""Ruff, isolated: no configuration file, cache or suppression comment of the project is obeyed."""

import functools
import json
import re
import tempfile
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ruff

from patchmill.job.record import ToolEdit
from patchmill.kinds.checker_settings import RUFF
from patchmill.verify.checker import CheckerFailure, Diagnostic, FailureReason, FileReport
from patchmill.verify.process import copies, sandbox
from patchmill.verify.process.workspace import workspace
from patchmill.verify.selection import Selection

SYNTAX_ERROR = "invalid-syntax"
UNFORMATTED = "unformatted"
_SYNTAX_NAMES = frozenset({"invalid-syntax", "syntax-error", "syntaxerror", "e999"})
_FORMAT_NAMES = frozenset({"unformatted", "format", "ruff-format"})
_FILE_UNREADABLE = "E902"
_SUFFIXES = (".py", ".pyi")  # what rules look at

# A mended file may not take to running what it reads, or to believing whom it talks to: exec and eval,
# pickle and its kind, unsafe YAML, a shell, unchecked certificates. Rules that cry wolf are not among them.
_DANGEROUS = frozenset({"S102", "S301", "S302", "S307", "S501", "S506", "S602", "S604", "S605", "S606"})
# Nor to failing where it runs, or to saying what says nothing: an import that only type checkers see, too few
# words for the message of a log, a method that returns what it may not, `x is x`.
_FAILING = frozenset({
    "TC004", "PLE0118", "PLE0237", "PLE0302", "PLE0303", "PLE0304", "PLE0305", "PLE0307",
    "PLE0308", "PLE0309", "PLE0604", "PLE0605", "PLE0643", "PLE0704", "PLE1132", "PLE1205",
    "PLE1206", "PLE1300", "PLE1307", "PLE1310", "PLE1519", "PLE1520", "PLW0127", "PLW0133",
    "PLW0711", "PLR0124", "B015", "B016", "RUF016",
})  # fmt: skip
_NO_CONFIGURATION = frozenset({"select", "extend-select", "ignore", "format"})
# What the formatter returns: all is formatted, something is not, something does not parse.
_FORMATTER_ENDS = frozenset({0, 1, 2})
# Its report has some 600 bytes for each finding, and each of many versions has all that the source has.
_LIMITS = sandbox.Limits(output_bytes=64 * 1024**2)
# What Python knows of its own folders is half written while another thread asks for it first.
_LOOKING = threading.Lock()
# One thread for the few small files of a check: starting a pool costs more than it gives.
_ENVIRONMENT = {"RAYON_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Catalogue:
    """What this ruff knows: codes by the names that rules go by, names and pages by codes, the selectable.

    `errors` are those that always run: E9, F, and those about what fails when it runs or runs data.
    """

    codes: Mapping[str, str]
    names: Mapping[str, str]
    pages: Mapping[str, str]
    stable: frozenset[str]
    preview: frozenset[str]
    errors: frozenset[str]


class Ruff:
    """The linter and the formatter that most Python jobs are about; it never executes what it reads.

    That a file is not formatted is a finding like any other, of the rule `unformatted`: where one is to be
    judged, or the settings say `format`, the formatter looks at each version, too.
    """

    name = "ruff"
    tools = frozenset({"ruff", "ruff-format"})
    baseline = "E9, F, and rules about what fails when it runs, or runs data as code"
    tells_fixes = True
    built_in = True

    def __init__(self) -> None:
        self._loaded: _Catalogue | None = None

    def missing(self) -> str | None:
        """It is always here: Patchmill brings it along."""
        return None

    def reads(self, path: str) -> bool:  # noqa: ARG002 - any will do
        """Every file of its language."""
        return True

    def canonical_rule(self, rule: str) -> str | None:
        """The rule's code, such as B006, from its code or its name; `invalid-syntax` and `unformatted`."""
        if rule.lower() in _SYNTAX_NAMES:
            return SYNTAX_ERROR
        if rule.lower() in _FORMAT_NAMES:
            return UNFORMATTED
        catalogue = self._catalogue()
        if isinstance(catalogue, CheckerFailure):
            return rule.upper()
        return catalogue.codes.get(rule.lower())

    def rule_name(self, rule: str) -> str:
        """Such as `unused-import` of F401."""
        catalogue = self._catalogue()
        return rule if isinstance(catalogue, CheckerFailure) else catalogue.names.get(rule, rule)

    def rule_page(self, rule: str) -> str:
        """What `ruff rule` explains, with examples of what to use instead."""
        catalogue = self._catalogue()
        return "" if isinstance(catalogue, CheckerFailure) else catalogue.pages.get(rule, "")

    def enabled(self, rules: Collection[str], settings: Mapping[str, Any]) -> set[str]:
        """The rules that are on under select, extend-select and ignore; what is no rule always is."""
        selection = Selection(settings)
        always = {SYNTAX_ERROR, UNFORMATTED}
        return {rule for rule in rules if rule in always or selection.enables(rule)}

    def diagnose(
        self, versions: Sequence[str], *, path: str, rules: Collection[str], settings: Mapping[str, Any]
    ) -> list[FileReport] | CheckerFailure:
        """Check all versions in one process for `rules` and the baseline, whatever suppression they carry."""
        catalogue = self._catalogue()
        if isinstance(catalogue, CheckerFailure):
            return catalogue
        selected = _selected(catalogue, rules, settings)
        formatted = UNFORMATTED in rules or settings.get("format") is True
        return _check(versions, path=path, selected=selected, settings=settings, formatted=formatted)

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
    pages: dict[str, str] = {}
    stable: set[str] = set()
    preview: set[str] = set()
    for rule in rules:
        if "Removed" in rule["status"]:
            continue
        code = rule["code"] or rule["name"]
        names[code], pages[code] = rule["name"], rule["explanation"] or ""
        codes[code.lower()] = codes[rule["name"].lower()] = code
        (preview if rule["preview"] else stable).add(code)
    errors = {code for code in stable | preview if re.fullmatch(r"E9\d+|F\d+", code)}
    return _Catalogue(
        codes=codes,
        names=names,
        pages=pages,
        stable=frozenset(stable),
        preview=frozenset(preview),
        errors=frozenset(errors | ((_DANGEROUS | _FAILING) & stable)),
    )


def _selected(catalogue: _Catalogue, rules: Collection[str], settings: Mapping[str, Any]) -> list[str]:
    """The rules to run, by their full codes: a prefix or a rule unknown to ruff would end the run."""
    known = catalogue.stable | catalogue.preview if settings.get("preview") else catalogue.stable
    selection = Selection(settings)
    kept = {code for code in catalogue.errors & known if not selection.ignores(code)}
    return sorted({_FILE_UNREADABLE} | kept | (known & set(rules)))


def _check(
    versions: Sequence[str],
    *,
    path: str,
    selected: Sequence[str],
    settings: Mapping[str, Any],
    formatted: bool,
) -> list[FileReport] | CheckerFailure:
    told = ["--isolated", "--no-cache", "--quiet", "--no-force-exclude", "--output-format", "json-lines"]
    told += [*_configuration(settings)]
    name = copies.safe_name(path, suffixes=_SUFFIXES)
    with workspace(sum(map(len, versions))) as folder:
        paths = copies.write(folder, name, versions)
        linting = ["check", *told, "--ignore-noqa", "--no-fix", "--exit-zero", "--select", ",".join(selected)]
        outputs = [_run([*linting, "--", *paths], cwd=folder)]
        if formatted:
            formatting = ["format", *told, "--check", "--", *paths]
            outputs.append(_run(formatting, cwd=folder, ends=_FORMATTER_ENDS))
    found: list[list[Diagnostic]] = [[] for _ in versions]
    for number, output in enumerate(outputs):
        if isinstance(output, CheckerFailure):
            return output
        for line in output.splitlines():
            entry = json.loads(line)
            # What does not parse the linter has said, too.
            if number == 0 or entry["name"] == UNFORMATTED:
                found[copies.number_of(entry["filename"])].append(_diagnostic(entry))
    return [FileReport.of(diagnostics, syntax_error=SYNTAX_ERROR) for diagnostics in found]


def _configuration(settings: Mapping[str, Any]) -> list[str]:
    """The allowed settings as command-line options; JSON of these plain values is TOML too."""
    options: list[str] = []
    for name, setting in RUFF.items():
        if name in settings and name not in _NO_CONFIGURATION and setting.accepts(settings[name]):
            options += ["--config", f"{name}={json.dumps(settings[name])}"]
    return options


def _run(
    arguments: Sequence[str], *, cwd: Path, ends: Collection[int] = frozenset({0})
) -> bytes | CheckerFailure:
    try:
        completed = sandbox.run(
            [_binary(), *arguments], stdin=b"", cwd=cwd, limits=_LIMITS, environment=_ENVIRONMENT
        )
    except OSError as error:
        return CheckerFailure(reason=FailureReason.CHECKER_UNAVAILABLE, detail=f"ruff: {error}")
    if completed.failure is not None and (completed.returncode not in ends or not completed.stdout):
        return CheckerFailure(reason=FailureReason.CHECKER_FAILED, detail=f"ruff: {completed.failure}")
    return completed.stdout


def _binary() -> str:
    """Where the ruff of this environment is; one thread looks, since others might find nothing meanwhile."""
    with _LOOKING:
        return _found()


@functools.cache
def _found() -> str:
    return str(ruff.find_ruff_bin())


def _diagnostic(entry: Mapping[str, Any]) -> Diagnostic:
    rule, fix = entry["code"] or entry["name"], entry["fix"]
    repair, safe = _edits(fix), fix is not None and fix["applicability"] == "safe"
    return Diagnostic(
        rule=SYNTAX_ERROR if rule == _FILE_UNREADABLE else rule,
        message=entry["message"],
        start_line=entry["location"]["row"],
        start_column=entry["location"]["column"],
        end_line=entry["end_location"]["row"],
        end_column=entry["end_location"]["column"],
        fix=repair if safe else (),
        repair=repair,
    )


def _edits(fix: Mapping[str, Any] | None) -> tuple[ToolEdit, ...]:
    return tuple(
        ToolEdit(
            start_line=edit["location"]["row"],
            start_column=edit["location"]["column"],
            end_line=edit["end_location"]["row"],
            end_column=edit["end_location"]["column"],
            text=edit["content"] or "",
        )
        for edit in (fix["edits"] if fix is not None else ())
    )
