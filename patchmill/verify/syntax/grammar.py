"""The grammars, one line each, and a child process that parses by one of them."""

import importlib.util
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from patchmill.edit.span import line_content, split_lines
from patchmill.verify.checker import CheckerFailure, Diagnostic, FailureReason, FileReport
from patchmill.verify.process import bare_python, sandbox
from patchmill.verify.syntax.child import MOST_ERRORS

_CHILD = "patchmill.verify.syntax.child"
_LIMITS = sandbox.Limits(wall_s=30.0, cpu_s=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grammar:
    """A tree-sitter grammar: the module that holds it, and what the module calls it."""

    module: str
    entry: str = "language"

    def diagnose(
        self,
        versions: Sequence[str],
        *,
        path: str,  # noqa: ARG002 - a grammar looks at text alone
        rules: Collection[str],  # noqa: ARG002 - as above
        settings: Mapping[str, Any],  # noqa: ARG002 - as above
    ) -> list[FileReport] | CheckerFailure:
        """Parse all versions in one process; the diagnostics of a report are the places that do not parse.

        `syntax_error` is set only where there are too many to be compared: grammars lag behind their
        languages, so a text with an error in it may well be right.
        """
        folders = packages("tree_sitter", self.module)
        if folders is None:
            detail = f"{self.module} is not installed"
            return CheckerFailure(reason=FailureReason.CHECKER_UNAVAILABLE, detail=detail)
        # Lines are told apart by LF alone in there; any other end would shift the rows.
        texts = [_with_newlines(text) for text in versions]
        request = {"packages": folders, "module": self.module, "entry": self.entry, "versions": texts}
        try:
            completed = bare_python.run(_CHILD, stdin=json.dumps(request).encode(), limits=_LIMITS)
        except OSError as error:
            return CheckerFailure(reason=FailureReason.CHECKER_UNAVAILABLE, detail=f"tree-sitter: {error}")
        if completed.failure is not None:
            detail = f"tree-sitter: {completed.failure}"
            return CheckerFailure(reason=FailureReason.CHECKER_FAILED, detail=detail)
        answers = json.loads(completed.stdout)
        return [_report(errors, text) for errors, text in zip(answers, texts, strict=True)]


BY_LANGUAGE: dict[str, Grammar] = {
    "python": Grammar(module="tree_sitter_python"),
    "javascript": Grammar(module="tree_sitter_javascript"),
    "typescript": Grammar(module="tree_sitter_typescript", entry="language_typescript"),
    "tsx": Grammar(module="tree_sitter_typescript", entry="language_tsx"),
    "go": Grammar(module="tree_sitter_go"),
    "rust": Grammar(module="tree_sitter_rust"),
    "java": Grammar(module="tree_sitter_java"),
    "c": Grammar(module="tree_sitter_c"),
    "cpp": Grammar(module="tree_sitter_cpp"),
    "csharp": Grammar(module="tree_sitter_c_sharp"),
    "ruby": Grammar(module="tree_sitter_ruby"),
    "php": Grammar(module="tree_sitter_php", entry="language_php"),
    "bash": Grammar(module="tree_sitter_bash"),
    "json": Grammar(module="tree_sitter_json"),
    "yaml": Grammar(module="tree_sitter_yaml"),
    "toml": Grammar(module="tree_sitter_toml"),
    "css": Grammar(module="tree_sitter_css"),
    "html": Grammar(module="tree_sitter_html"),
    "kotlin": Grammar(module="tree_sitter_kotlin"),
    "swift": Grammar(module="tree_sitter_swift"),
}


def packages(*modules: str) -> list[str] | None:
    """Give the folders that hold these modules, found without importing them; None if one is missing."""
    specs = [importlib.util.find_spec(module) for module in modules]
    folders = [Path(spec.origin).parent.parent for spec in specs if spec is not None and spec.origin]
    return sorted({str(folder) for folder in folders}) if len(folders) == len(modules) else None


def _with_newlines(text: str) -> str:
    return "".join(f"{line_content(line)}\n" for line in split_lines(text)) if "\r" in text else text


def _report(errors: Sequence[Mapping[str, Any]], text: str) -> FileReport:
    lines = split_lines(text)
    found = tuple(_diagnostic(error, lines) for error in errors)
    if len(found) <= MOST_ERRORS:
        return FileReport(diagnostics=found, syntax_error=None)
    first = found[0]
    many = Diagnostic(
        rule="error",
        message=f"the text does not parse in more than {MOST_ERRORS:,} places",
        start_line=first.start_line,
        start_column=first.start_column,
        end_line=first.end_line,
        end_column=first.end_column,
    )
    return FileReport(diagnostics=found, syntax_error=many)


def _diagnostic(error: Mapping[str, Any], lines: Sequence[str]) -> Diagnostic:
    start_line, start_column = _place(error["start"], lines)
    end_line, end_column = _place(error["end"], lines)
    return Diagnostic(
        rule=error["rule"],
        message=error["message"],
        start_line=start_line,
        start_column=start_column,
        end_line=end_line,
        end_column=end_column,
    )


def _place(point: Sequence[int], lines: Sequence[str]) -> tuple[int, int]:
    """A row and a column in bytes, both from 0, as Patchmill counts; after the last line is its end."""
    row, column = point
    if row >= len(lines):
        return max(1, len(lines)), len(line_content(lines[-1])) + 1 if lines else 1
    before = lines[row].encode("utf-8", "replace")[:column]
    return row + 1, len(before.decode("utf-8", "replace")) + 1
