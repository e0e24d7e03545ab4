"""The few instructions that can be followed without understanding: renaming, replacing, a first comment."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from patchmill.dev.standin.prompt import Task
from patchmill.dev.standin.source_text import SourceText

UNDERSTOOD = "'rename A to B', 'replace \"A\" with \"B\"' and 'add the comment \"A\"'"

_NAME = r"[`'\"]?(?P<{}>[A-Za-z_$][\w$]*)[`'\"]?"
_RENAME = re.compile(rf"rename\s+{_NAME.format('old')}\s+to\s+{_NAME.format('new')}", re.IGNORECASE)
_QUOTED = r"(?P<{0}_mark>[`'\"])(?P<{0}>[^\r\n]+?)(?P={0}_mark)"
_REPLACE = re.compile(
    rf"replace\s+{_QUOTED.format('old')}\s+(?:with|by)\s+{_QUOTED.format('new')}", re.IGNORECASE
)
_COMMENT = re.compile(rf"add\s+(?:the|a)\s+comment\s+{_QUOTED.format('text')}", re.IGNORECASE)

_HASH = frozenset({"python", "ruby", "bash", "yaml", "toml"})
_SLASHES = frozenset(
    {"javascript", "typescript", "tsx", "go", "rust", "java", "c", "cpp", "csharp", "kotlin", "swift"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """The new text, and in words what was done."""

    text: SourceText
    title: str


def follow(task: Task) -> Followed | None:
    """Follow the task's instruction by the letter; None if it is not one of the few, or changes nothing."""
    said = task.instruction or ""
    for pattern, act in _ACTS:
        found = pattern.search(said)
        followed = None if found is None else act(task, found)
        if followed is not None and followed.text.text != task.source.text:
            return followed
    return None


def _rename(task: Task, found: re.Match[str]) -> Followed | None:
    whole = re.compile(rf"(?<![\w$]){re.escape(found['old'])}(?![\w$])")
    new = found["new"]
    text = _each_line(task, lambda line: whole.sub(lambda _: new, line))
    return Followed(text=text, title=f"Rename {found['old']} to {new}")


def _replace(task: Task, found: re.Match[str]) -> Followed | None:
    text = _each_line(task, lambda line: line.replace(found["old"], found["new"]))
    return Followed(text=text, title="Replace a text as told")


def _comment(task: Task, found: re.Match[str]) -> Followed | None:
    mark = "#" if task.language in _HASH else "//" if task.language in _SLASHES else None
    if mark is None or not task.may_change(1):
        return None
    at = 1 if task.source.lines and task.source.lines[0].startswith("#!") else 0
    lines = [*task.source.lines[:at], f"{mark} {found['text']}", *task.source.lines[at:]]
    return Followed(text=SourceText(lines), title="Add a comment")


def _each_line(task: Task, change: Callable[[str], str]) -> SourceText:
    return SourceText(
        change(line) if task.may_change(number) else line
        for number, line in enumerate(task.source.lines, start=1)
    )


_ACTS = ((_RENAME, _rename), (_REPLACE, _replace), (_COMMENT, _comment))
