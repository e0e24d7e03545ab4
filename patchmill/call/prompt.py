"""From a task to messages: fixed rules first, then the file, then what is asked, then repair turns.

Nothing volatile stands before the end, so that the gateway can serve the common beginning from its cache.
Which lines of the file are shown is for `excerpts` to say.
"""

import hashlib
import json
import re
from collections.abc import Sequence

from patchmill.call.excerpts import Extent, Layout, excerpts, extents
from patchmill.edit.formats import EDIT_FORMATS
from patchmill.edit.protocol import EditFormat, Message
from patchmill.edit.span import split_lines
from patchmill.job.record import ContextFile, Task
from patchmill.kinds import KINDS
from patchmill.kinds.kind import Kind

_ONLY_A_PART = (
    "So far only excerpts were shown; what is unique there may come again elsewhere. Now all lines:"
)
_FENCE = re.compile(r"`{3,}")


def prompt_version(kind: Kind, edit_format: EditFormat) -> str:
    """Identify what all prompts of a kind and an edit format have in common; it changes with the wording."""
    tool = edit_format.tool
    asked = edit_format.answer_schema if tool is None else [tool.name, tool.description, tool.parameters]
    form = json.dumps(asked, sort_keys=True)
    digest = hashlib.sha256(f"{_rules(kind, edit_format)}\0{form}".encode()).hexdigest()
    return f"{kind.name}/{edit_format.name}/{digest[:8]}"


def prompt_versions() -> list[str]:
    """Identify all prompts that there are."""
    formats = EDIT_FORMATS.values()
    return [prompt_version(kind, edit_format) for kind in KINDS.values() for edit_format in formats]


def first_parts(
    task: Task,
    kind: Kind,
    edit_format: EditFormat,
    *,
    mended: Sequence[tuple[int, int]] = (),
    extent: Extent | None = None,
    context_files: int | None = None,
    layout: Layout | None = None,
) -> list[str]:
    """Write the parts of a first call: the rules, the file, each context file, then what is asked.

    `mended` are line ranges that other edits change already. Without an `extent` it is the best for the task;
    `context_files` is how many of them are shown, all by default. Excerpts follow the file's `layout`, if
    it is known.
    """
    shown = task.context[:context_files]
    file = _file(task, edit_format, extent or extents(task)[0], layout)
    parts = [_rules(kind, edit_format), file, *map(_context, shown)]
    if mended:
        lines = ", ".join(f"{start}-{end}" for start, end in sorted(mended))
        parts.append(f"Lines that are mended already; leave them as they are: {lines}")
    if task.scope is not None:
        parts.append(f"Allowed lines: {task.scope.start_line}-{task.scope.end_line}")
    return [*parts, kind.describe(task)]


def first_turn(parts: Sequence[str]) -> list[Message]:
    """Put the parts of a first call into messages: the rules are the system's, the rest is the user's."""
    rules, *asked = parts
    return [{"role": "system", "content": rules}, {"role": "user", "content": _joined(asked)}]


def repair_parts(
    answer: str, feedback: str, edit_format: EditFormat, *, whole: Task | None = None
) -> list[str]:
    """Write the parts of a repair turn: an answer that failed, the reason why, and that another is wanted.

    The file of `whole` is added entire, for a model that has only seen a part of it.
    """
    said = [f"These edits cannot be used:\n{feedback}", "Answer again, in the same form."]
    if whole is not None:
        said[1:1] = [_ONLY_A_PART, _file(whole, edit_format, Extent.WHOLE)]
    return [answer, *said]


def repair_turn(messages: Sequence[Message], parts: Sequence[str], edit_format: EditFormat) -> list[Message]:
    """Append the parts of a repair turn, as the edit format writes it; the beginning stays as it was."""
    answer, *said = parts
    return [*messages, *edit_format.turn(answer, _joined(said))]


def _joined(parts: Sequence[str]) -> str:
    return "\n\n".join(parts)


def _rules(kind: Kind, edit_format: EditFormat) -> str:
    return f"{kind.rules}\n{edit_format.instructions}"


def _file(task: Task, edit_format: EditFormat, extent: Extent, layout: Layout | None = None) -> str:
    lines = split_lines(task.source)
    shown = [edit_format.shown(number, line) for number, line in enumerate(lines, start=1)]
    head = f"File `{task.path}` ({task.language})"
    if extent is Extent.WHOLE:
        return f"{head}, whole:\n{_fenced(shown)}"
    pieces = [
        f"{start}-{end}:\n{_fenced(shown[start - 1 : end])}"
        for start, end in excerpts(lines, task, extent, layout)
    ]
    return "\n".join([f"{head}, excerpts of {len(lines)} lines:", *pieces])


def _context(file: ContextFile) -> str:
    return f"Context file `{file.path}`:\n{_fenced(split_lines(file.content))}"


def fence_bytes(text: str) -> int:
    """Give how long the fence around a text is: longer than any run inside, so that none can end it."""
    return max((len(run) for run in _FENCE.findall(text)), default=2) + 1


def _fenced(lines: Sequence[str]) -> str:
    text = "".join(lines)
    fence = "`" * fence_bytes(text)
    end = "" if not text or text.endswith(("\n", "\r")) else "\n"
    return f"{fence}\n{text}{end}{fence}"
