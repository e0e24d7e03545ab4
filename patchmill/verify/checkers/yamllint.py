"""yamllint, isolated: YAML, with our own configuration alone; it runs as a program of its own."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from patchmill.edit.span import split_lines
from patchmill.job.record import ToolEdit
from patchmill.kinds.checker_settings import YAMLLINT, YAMLLINT_RULES
from patchmill.kinds.languages import LANGUAGES
from patchmill.verify.checker import CheckerFailure, Diagnostic, FileReport
from patchmill.verify.process import copies, sandbox
from patchmill.verify.process.program import Program
from patchmill.verify.process.workspace import workspace

SYNTAX_ERROR = "syntax"

_LIMITS = sandbox.Limits(wall_s=30.0, cpu_s=30, output_bytes=64 * 1024**2)
PROGRAM = Program(name="yamllint", package="yamllint")
_FINDINGS_LEFT = 1
_SYNTAX_NAMES = frozenset({"syntax", "syntax-error"})
_NOT_SEEN = "new-lines"  # the copy has the same ends of lines everywhere
# A key that is there twice loses its first value, and an alias that stands for nothing breaks the file.
_ALWAYS = frozenset({"anchors", "key-duplicates"})
_PROBLEM = re.compile(
    r"(?P<file>\d+/[^:\n]+):(?P<line>\d+):(?P<column>\d+): \[\w+\] (?P<message>.*) \((?P<rule>[a-z-]+)\)\s*",
    re.DOTALL,
)
# Rules that point at a word, and what the words for true and false mean.
_OF_WORDS = frozenset({"truthy", "anchors", "octal-values"})
_TRUTHY = "truthy"
_TRUTHS = {
    **dict.fromkeys(("y", "yes", "on", "true"), "true"),
    **dict.fromkeys(("n", "no", "off", "false"), "false"),
}
_WORD = re.compile(r"[*&]?(?P<word>[\w-]+)")
# YAML ends lines with these, too, which nobody else does.
_MORE_LINE_ENDS = str.maketrans(dict.fromkeys("\x85\u2028\u2029", " "))


class Yamllint:
    """The linter for how YAML is written; it builds no value of what it reads."""

    name = "yamllint"
    tools = frozenset({"yamllint"})
    baseline = "key-duplicates and anchors"
    tells_fixes = False
    built_in = False

    def missing(self) -> str | None:
        """Say what brings yamllint; None if it is here."""
        return PROGRAM.missing()

    def reads(self, path: str) -> bool:  # noqa: ARG002 - any will do
        """Every file of its language."""
        return True

    def canonical_rule(self, rule: str) -> str | None:
        """The rule's name, such as line-length; `syntax` for syntax errors."""
        name = rule.strip().lower().removeprefix("yamllint/")
        if name in _SYNTAX_NAMES:
            return SYNTAX_ERROR
        return name if name in YAMLLINT_RULES and name != _NOT_SEEN else None

    def rule_name(self, rule: str) -> str:
        """The rule itself: its name is words."""
        return rule

    def rule_page(self, rule: str) -> str:  # noqa: ARG002 - none has one
        """Nothing: it has no pages."""
        return ""

    def enabled(self, rules: Collection[str], settings: Mapping[str, Any]) -> set[str]:
        """The rules that are on under select and ignore; syntax errors always are."""
        selected = set(settings.get("select", rules)) - set(settings.get("ignore", ()))
        return {rule for rule in rules if rule == SYNTAX_ERROR or rule in selected}

    def diagnose(
        self, versions: Sequence[str], *, path: str, rules: Collection[str], settings: Mapping[str, Any]
    ) -> list[FileReport] | CheckerFailure:
        """Check all versions in one process for `rules` and the baseline, whatever directives they carry."""
        on = (_ALWAYS - set(settings.get("ignore", ()))) | (set(rules) & YAMLLINT_RULES)
        name = copies.safe_name(path, suffixes=LANGUAGES["yaml"].suffixes)
        with workspace(sum(map(len, versions))) as folder:
            texts = [_undirected(text) for text in versions]
            arguments = ["--format", "parsable", "--config-data", json.dumps(_configuration(on, settings))]
            arguments += ["--", *(f"{folder}/{one}" for one in copies.write(folder, name, texts))]
            completed = PROGRAM.run(
                arguments, cwd=folder, limits=_LIMITS, fine=frozenset({0, _FINDINGS_LEFT})
            )
        if isinstance(completed, CheckerFailure):
            return completed
        said = completed.stderr.decode(errors="replace").strip()
        if said:  # a crash has the return code of findings
            return PROGRAM.failed(said.rsplit("\n", 1)[-1])
        return _reports(completed.stdout.decode(errors="replace"), folder, texts)


def _undirected(text: str) -> str:
    return copies.without_directives(copies.plain(text), "yamllint").translate(_MORE_LINE_ENDS)


def _configuration(on: Collection[str], settings: Mapping[str, Any]) -> dict[str, Any]:
    """All that yamllint is told: these rules, with the options that are allowed."""
    rules: dict[str, Any] = {rule: "enable" if rule in on else "disable" for rule in YAMLLINT_RULES}
    for name, setting in YAMLLINT.items():
        rule, _, option = name.partition(".")
        if option and rule in on and name in settings and setting.accepts(settings[name]):
            options = rules[rule] if isinstance(rules[rule], dict) else {}
            rules[rule] = {**options, option: settings[name]}
    return {"extends": settings.get("extends", "default"), "rules": rules}


def _reports(output: str, folder: Path, texts: Sequence[str]) -> list[FileReport]:
    """What is found in each text; a problem begins with a path of ours, since a key may have line ends.

    The folder's name is drawn, so that no text can hold it.
    """
    found: list[list[Diagnostic]] = [[] for _ in texts]
    lines = [split_lines(text) for text in texts]
    for told in re.split(rf"^{re.escape(str(folder))}/", output, flags=re.MULTILINE):
        problem = _PROBLEM.fullmatch(told)
        if problem is not None:
            number = copies.number_of(problem["file"])
            found[number].append(_diagnostic(problem, lines[number]))
    return [FileReport.of(diagnostics, syntax_error=SYNTAX_ERROR) for diagnostics in found]


def _diagnostic(problem: re.Match[str], lines: Sequence[str]) -> Diagnostic:
    """A problem of yamllint's: it names the point where one begins; of some a word begins there."""
    line, column = int(problem["line"]), int(problem["column"])
    text = lines[line - 1] if line <= len(lines) else ""
    word = _WORD.match(text, column - 1) if problem["rule"] in _OF_WORDS else None
    start, end = (word.start("word") + 1, word.end("word") + 1) if word else (column, column)
    diagnostic = Diagnostic(
        rule=problem["rule"],
        message=" ".join(problem["message"].split()),
        start_line=line,
        start_column=start,
        end_line=line,
        end_column=end,
    )
    meant = _TRUTHS.get(word["word"].lower()) if word and problem["rule"] == _TRUTHY else None
    return diagnostic if meant is None else replace(diagnostic, repair=(_put(diagnostic, meant),))


def _put(found: Diagnostic, text: str) -> ToolEdit:
    return ToolEdit(
        start_line=found.start_line,
        start_column=found.start_column,
        end_line=found.end_line,
        end_column=found.end_column,
        text=text,
    )
