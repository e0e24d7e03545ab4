"""zizmor, isolated and offline: GitHub workflows, actions and Dependabot's configuration.

It is told to honour no comment and no configuration. It says which files it has read, and of the others only
that there were some: those are taken for files that do not parse.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from patchmill.edit.span import line_content, split_lines
from patchmill.kinds.checker_settings import ZIZMOR
from patchmill.kinds.languages import LANGUAGES
from patchmill.verify.checker import CheckerFailure, Diagnostic, FileReport
from patchmill.verify.process import copies, sandbox
from patchmill.verify.process.program import Program
from patchmill.verify.process.workspace import workspace

SYNTAX_ERROR = "zizmor/unread"

_LIMITS = sandbox.Limits(output_bytes=64 * 1024**2)
PROGRAM = Program(name="zizmor", package="zizmor")
_NOTHING_READ = 3
_ENVIRONMENT = {"RAYON_NUM_THREADS": "1", "TOKIO_WORKER_THREADS": "1"}
_RULE = re.compile(r"(?:zizmor[/:])?([a-z]+(?:-[a-z]+)*)")
# By these names it tells actions and Dependabot's configuration from workflows.
_NAMES = ("action.yml", "action.yaml", "dependabot.yml", "dependabot.yaml")
_ITS_OWN = re.compile(r"(?:^|/)(?:\.github/workflows/[^/]+\.ya?ml|action\.ya?ml|\.github/dependabot\.ya?ml)$")


class Zizmor:
    """The auditor of GitHub workflows; it fetches nothing that they name."""

    name = "zizmor"
    tools = frozenset({"zizmor"})
    baseline = "zizmor's audits"
    tells_fixes = False
    built_in = False

    def missing(self) -> str | None:
        """Say what brings zizmor; None if it is here."""
        return PROGRAM.missing()

    def reads(self, path: str) -> bool:
        """Those that GitHub reads, or that are called like actions; other YAML is no affair of zizmor's."""
        return _ITS_OWN.search(path) is not None

    def canonical_rule(self, rule: str) -> str | None:
        """The audit as zizmor's SARIF names it, such as zizmor/artipacked."""
        match = _RULE.fullmatch(rule.strip().lower())
        return None if match is None else f"zizmor/{match[1]}"

    def rule_name(self, rule: str) -> str:
        """The audit's name, which is words."""
        return rule.removeprefix("zizmor/")

    def rule_page(self, rule: str) -> str:  # noqa: ARG002 - none has one
        """Nothing: it has no pages."""
        return ""

    def enabled(self, rules: Collection[str], settings: Mapping[str, Any]) -> set[str]:
        """The audits that are not ignored."""
        return set(rules) - self._ignored(settings)

    def diagnose(
        self,
        versions: Sequence[str],
        *,
        path: str,
        rules: Collection[str],  # noqa: ARG002 - the baseline has them all
        settings: Mapping[str, Any],
    ) -> list[FileReport] | CheckerFailure:
        """Audit all versions in one process, whatever comments they carry."""
        name = copies.safe_name(path, suffixes=LANGUAGES["yaml"].suffixes, names=_NAMES)
        arguments = ["--offline", "--no-config", "--no-ignores", "--no-progress", "--color=never"]
        arguments += ["--collect=all", "--format=json-v1", "--no-exit-codes", *_configuration(settings), "--"]
        texts = [copies.plain(text) for text in versions]
        with workspace(sum(map(len, texts))) as folder:
            paths = [f"{folder}/{one}" for one in copies.write(folder, name, texts)]
            completed = PROGRAM.run(
                [*arguments, *paths],
                cwd=folder,
                limits=_LIMITS,
                fine=frozenset({0, _NOTHING_READ}),
                environment=_ENVIRONMENT,
            )
        if isinstance(completed, CheckerFailure):
            return completed
        said = completed.stderr.decode(errors="replace")
        try:
            entries = [] if completed.returncode == _NOTHING_READ else json.loads(completed.stdout)
        except ValueError:
            return PROGRAM.failed(said)
        # The folder's name is drawn, so that no text that zizmor quotes can hold it.
        read = {number for number, one in enumerate(paths) if f"completed {one}\n" in said}
        ignored = self._ignored(settings)
        return _reports(entries, texts, read=read, ignored=ignored)

    def _ignored(self, settings: Mapping[str, Any]) -> set[str | None]:
        return set(map(self.canonical_rule, settings.get("ignore", ())))


def _configuration(settings: Mapping[str, Any]) -> list[str]:
    return [
        f"--{name}={settings[name]}"
        for name, setting in ZIZMOR.items()
        if name != "ignore" and name in settings and setting.accepts(settings[name])
    ]


def _reports(
    entries: Iterable[Mapping[str, Any]], texts: Sequence[str], *, read: set[int], ignored: set[str | None]
) -> list[FileReport]:
    found: list[list[Diagnostic]] = [[] for _ in texts]
    lines = [split_lines(text) for text in texts]
    for entry in entries:
        places = [place for place in entry["locations"] if "Local" in place["symbolic"]["key"]]
        main = next((place for place in places if place["symbolic"]["kind"] == "Primary"), None)
        if main is not None:
            number = copies.number_of(main["symbolic"]["key"]["Local"]["verbatim_path"])
            found[number].append(_diagnostic(entry, main, lines[number]))
    return [
        _report([one for one in diagnostics if one.rule not in ignored], read=number in read)
        for number, diagnostics in enumerate(found)
    ]


def _diagnostic(entry: Mapping[str, Any], place: Mapping[str, Any], lines: Sequence[str]) -> Diagnostic:
    location = place["concrete"]["location"]
    start_line, start_column = _place(location["start_point"], lines)
    end_line, end_column = _place(location["end_point"], lines)
    return Diagnostic(
        rule=f"zizmor/{entry['ident']}",
        message=f"{entry['desc']}: {place['symbolic']['annotation']}",
        start_line=start_line,
        start_column=start_column,
        end_line=end_line,
        end_column=end_column,
    )


def _place(point: Mapping[str, Any], lines: Sequence[str]) -> tuple[int, int]:
    """A row and a column in bytes of UTF-8, both from 0, as Patchmill counts."""
    row, column = point["row"], point["column"]
    if row >= len(lines):
        return max(1, len(lines)), len(line_content(lines[-1])) + 1 if lines else 1
    return row + 1, len(lines[row].encode()[:column].decode("utf-8", "replace")) + 1


def _report(diagnostics: Sequence[Diagnostic], *, read: bool) -> FileReport:
    if read:
        return FileReport(diagnostics=tuple(diagnostics), syntax_error=None)
    wrong = Diagnostic(
        rule=SYNTAX_ERROR,
        message="zizmor cannot read it as a workflow, an action or a Dependabot configuration",
        start_line=1,
        start_column=1,
        end_line=1,
        end_column=1,
    )
    return FileReport(diagnostics=(wrong,), syntax_error=wrong)
