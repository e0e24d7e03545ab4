"""Suggestions made by hand, as a job would store them, and the diff of a file that is all new."""

import uuid
from collections.abc import Sequence
from typing import Any

from patchmill.deliver.suggestion import Offered, OfferedFile
from patchmill.edit.apply import anchored
from patchmill.edit.span import Hunk, split_lines
from patchmill.store.ids import new_id
from patchmill.store.jobs import FindingRow
from patchmill.store.results import CheckRow, SuggestionRow

PATH = "src/app.py"


def hunk(source: str, start: int, end: int, text: str) -> Hunk:
    """Replace the lines from `start` to `end`; none of them, where `end` is `start` less one."""
    original = "".join(split_lines(source)[start - 1 : end])
    return Hunk(start_line=start, end_line=end, original=original, replacement=text)


def suggestion(source: str, change: Hunk, /, **fields: Any) -> SuggestionRow:
    """Offer a hunk as a verified suggestion of the model; `fields` say what is otherwise."""
    shown = anchored(source, change)
    known: dict[str, Any] = {
        "id": new_id(),
        "path": PATH,
        "start_line": shown.start_line,
        "end_line": shown.end_line,
        "original": shown.original,
        "replacement": shown.replacement,
        "title": "A title",
        "explanation": "",
        "status": "verified",
        "source": "model",
        "safety": "safe",
        "requires": (),
        "committable": True,
        "findings": (0,),
    }
    return SuggestionRow(**{**known, **fields})


def group(source: str, changes: Sequence[Hunk], /, **fields: Any) -> list[SuggestionRow]:
    """Offer hunks that need each other."""
    ids = [new_id() for _ in changes]
    return [
        suggestion(
            source,
            change,
            id=identity,
            requires=tuple(other for other in ids if other != identity),
            committable=False,
            **fields,
        )
        for identity, change in zip(ids, changes, strict=True)
    ]


def finding(index: int = 0, /, **fields: Any) -> FindingRow:
    """Report a finding on line 1; `fields` say what is otherwise."""
    known: dict[str, Any] = {
        "index": index,
        "fingerprint": f"{index:032x}",
        "tool": "ruff",
        "rule": "B006",
        "message": "Do not use mutable defaults",
        "severity": "warning",
        "start_line": 1,
        "start_column": None,
        "end_line": 1,
        "end_column": None,
        "status": "verified",
        "reason": None,
    }
    return FindingRow(**{**known, **fields})


def offered(
    source: str,
    rows: Sequence[SuggestionRow],
    *,
    findings: Sequence[FindingRow] | None = None,
    diff: str | None = None,
    path: str = PATH,
) -> Offered:
    """Offer suggestions of one file, each with the checks that passed."""
    evidence: dict[uuid.UUID, list[CheckRow]] = {
        row.id: [
            CheckRow(suggestion_id=row.id, call_id=None, check=check, result="passed", detail=detail)
            for check, detail in (("parses", ""), ("finding_gone", "ruff B006"))
        ]
        for row in rows
    }
    file = OfferedFile(
        path=path,
        source=source,
        findings=[finding()] if findings is None else findings,
        suggestions=rows,
        evidence=evidence,
    )
    return Offered(files=[file], diff=diff)


def new_file_diff(source: str, path: str = PATH) -> str:
    """Write the diff that adds a file."""
    lines = source.split("\n")
    closed = not lines[-1]
    lines = lines[:-1] if closed else lines
    if not lines:
        return f"diff --git a/{path} b/{path}\nnew file mode 100644\nindex 0000000..e69de29\n"
    shown = "".join(f"+{line}\n" for line in lines) + ("" if closed else "\\ No newline at end of file\n")
    return (
        f"diff --git a/{path} b/{path}\nnew file mode 100644\n"
        f"--- /dev/null\n+++ b/{path}\n@@ -0,0 +1,{len(lines)} @@\n{shown}"
    )
