"""When two jobs are the same work: the digest of everything that decides what comes out of a job.

Of a task it is what was asked; of a worker it is whom it asks, in which words, and by which version it
judges. Who asked, when, how urgently and for how much money at most decides nothing of that.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import PurePosixPath
from typing import Any

from patchmill.job.ladder import Policy
from patchmill.job.record import Finding, Task, ToolEdit

_FINDING = tuple(field.name for field in fields(Finding) if field.name not in {"index", "fixes"})
_EDIT = tuple(field.name for field in fields(ToolEdit))


def task_key(task: Task) -> bytes | None:
    """Digest what a task asks for; None when it wants no other job's result.

    Checkers see a file alone, in a folder of its own, so of its path the name counts; the folders count too
    where an instruction or another file can speak of them.
    """
    if not task.options.reuse:
        return None
    alone = task.instruction is None and not task.context
    return _digest(
        {
            "kind": task.kind,
            "path": _name(task.path) if alone else task.path,
            "language": task.language,
            "source": task.source,
            "encoding": task.encoding,
            "findings": [_finding(finding) for finding in sorted(task.findings, key=lambda one: one.index)],
            "what": sorted(task.what),
            "instruction": task.instruction,
            "scope": None if task.scope is None else task.scope.as_pair(),
            "context": [(file.path, file.content) for file in task.context],
            "checkers": task.checkers,
            "baseline": _baseline(task),
            "options": [
                task.options.model,
                task.options.escalate,
                task.options.tool_fixes,
                task.options.edit_format,
                task.options.max_calls,
            ],
        }
    )


def terms_key(policy: Policy, *, prompts: Iterable[str], gateway: str, version: str) -> bytes:
    """Digest what a worker brings to every task.

    That is the ladder of projects that set none, the versions of its prompts, whose models answer, and the
    version that verifies.
    """
    ladder = {name: value for name, value in asdict(policy).items() if name != "unknown"}
    return _digest({"policy": ladder, "prompts": sorted(prompts), "gateway": gateway, "version": version})


def _digest(parts: Any) -> bytes:
    # Surrogates would be refused by UTF-8; as escapes they are as good as any other text here.
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).digest()


def _name(path: str) -> str:
    return PurePosixPath(path.replace("\\", "/")).name


def _finding(finding: Finding) -> list[Any]:
    fixes = [
        [fix.safe, [[getattr(edit, name) for name in _EDIT] for edit in fix.edits]] for fix in finding.fixes
    ]
    return [*(getattr(finding, name) for name in _FINDING), fixes]


def _baseline(task: Task) -> list[tuple[str, str]]:
    """Give the rules that must not appear anew: those of the task's findings, and of its run's other ones."""
    own = {(finding.tool.lower(), finding.rule) for finding in task.findings}
    named = {(tool.lower(), rule) for tool, rules in task.reported.items() for rule in rules}
    return sorted(own | named)
