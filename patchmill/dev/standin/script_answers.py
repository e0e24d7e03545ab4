"""Fixes for findings in JavaScript and TypeScript: those that oxlint has itself."""

from patchmill.dev.standin import oxlint_process
from patchmill.dev.standin.lint_answers import Mended
from patchmill.dev.standin.prompt import Task
from patchmill.dev.standin.source_text import Change, SourceText, changes

LANGUAGES = frozenset(oxlint_process.ENDINGS)
_BY_OXLINT = "oxlint's own fixes"


def mend(task: Task) -> Mended | None:
    """Fix as many of the findings as oxlint can; None when there is no fix for any.

    Oxlint mends a whole file, so what it changes elsewhere than at the findings is taken back.
    """
    named = {finding.rule for finding in task.findings if finding.rule is not None}
    rules = {name: rule for name in named if (rule := oxlint_process.known_rule(name)) is not None}
    if not rules:
        return None
    fixed = oxlint_process.fix(task.source, language=task.language, rules=sorted(set(rules.values())))
    kept = [change for change in changes(task.source.lines, fixed.lines) if _is_asked(change, task)]
    if not kept:
        return None
    return Mended(
        text=_with_only(task.source, fixed, kept), rules=tuple(sorted(rules)), ways=(_BY_OXLINT,), together=()
    )


def _is_asked(change: Change, task: Task) -> bool:
    """Whether a change is on the line of a finding, or inserts beside it, where lines may be changed."""
    lines = range(change.old_start + 1, change.old_end + 1) or (change.old_start, change.old_start + 1)
    asked = any(finding.line in lines for finding in task.findings)
    decide = all if isinstance(lines, range) else any
    return asked and decide(task.may_change(line) for line in lines)


def _with_only(source: SourceText, fixed: SourceText, kept: list[Change]) -> SourceText:
    lines: list[str] = []
    position = 0
    for change in kept:
        lines += source.lines[position : change.old_start]
        lines += fixed.lines[change.new_start : change.new_end]
        position = change.old_end
    return SourceText([*lines, *source.lines[position:]])
