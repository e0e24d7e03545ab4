"""From a task to messages: fixed rules first, then the file, then what is asked, then repair turns.

Nothing volatile stands before the end, so that the gateway can serve the common beginning from its
cache. Submitted text is not parsed here: enclosing functions and blocks are found by indentation.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from enum import StrEnum

from patchmill.edit.formats import EDIT_FORMATS
from patchmill.edit.protocol import EditFormat, Message
from patchmill.edit.span import split_lines
from patchmill.job.record import ContextFile, KindName, Task
from patchmill.kinds import KINDS
from patchmill.kinds.kind import Kind

WHOLE_FILE_LINES = 150  # up to here the whole file is shown; it costs less than a missing line
MARGIN_LINES = 3  # shown around a finding that lies in no function

_OPENS_BLOCK = re.compile(r"\s*(?:async\s+def|def|class)\b")
_IMPORT = re.compile(r"(?:import|from)\b")
# The same for languages with braces, roughly: a line too many costs little, and one too few a wrong answer.
_ANY_IMPORT = re.compile(
    r"(?:import|from|use|using|require|require_relative|package|namespace|extern crate|source)\b"
    r"|#\s*include\b|(?:const|let|var)\b[^=]*=\s*require\b|export\b.*\bfrom\b|<\?php\b"
)
_FENCE = re.compile(r"`{3,}")


class Extent(StrEnum):
    """How much of the file a prompt shows, the most first."""

    WHOLE = "the whole file"
    EXCERPTS = "the imports and the enclosing functions"
    FUNCTIONS = "the enclosing functions"
    MARGIN = "the lines around what is asked for"


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


def extents(task: Task) -> tuple[Extent, ...]:
    """Give the extents in which a task can be shown, the best first and each smaller than the one before."""
    lines = split_lines(task.source)
    if task.kind is KindName.ANNOTATE or not _asked(task):
        return (Extent.WHOLE,)
    return tuple(Extent)[0 if len(lines) <= WHOLE_FILE_LINES else 1 :]


def first_parts(
    task: Task,
    kind: Kind,
    edit_format: EditFormat,
    *,
    mended: Sequence[tuple[int, int]] = (),
    extent: Extent | None = None,
    context_files: int | None = None,
) -> list[str]:
    """Write the parts of a first call: the rules, the file, each context file, then what is asked.

    `mended` are line ranges that other edits change already. Without an `extent` it is the best for the task;
    `context_files` is how many of them are shown, all by default.
    """
    shown = task.context[:context_files]
    file = _file(task, edit_format, extent or extents(task)[0])
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
        said.insert(1, _file(whole, edit_format, Extent.WHOLE))
    return [answer, *said]


def repair_turn(messages: Sequence[Message], parts: Sequence[str], edit_format: EditFormat) -> list[Message]:
    """Append the parts of a repair turn, as the edit format writes it; the beginning stays as it was."""
    answer, *said = parts
    return [*messages, *edit_format.turn(answer, _joined(said))]


def _joined(parts: Sequence[str]) -> str:
    return "\n\n".join(parts)


def _rules(kind: Kind, edit_format: EditFormat) -> str:
    return f"{kind.rules}\n{edit_format.instructions}"


def _file(task: Task, edit_format: EditFormat, extent: Extent) -> str:
    lines = split_lines(task.source)
    shown = [edit_format.shown(number, line) for number, line in enumerate(lines, start=1)]
    head = f"File `{task.path}` ({task.language})"
    if extent is Extent.WHOLE:
        return f"{head}, whole:\n{_fenced(shown, task.language)}"
    spans = _around(lines, task, extent)
    if extent is Extent.EXCERPTS:
        spans += _imports(lines, _IMPORT if task.language == "python" else _ANY_IMPORT)
    excerpts = [
        f"Lines {start}-{end}:\n{_fenced(shown[start - 1 : end], task.language)}"
        for start, end in _merge(spans)
    ]
    return "\n".join([f"{head}, excerpts of {len(lines)} lines:", *excerpts])


def _context(file: ContextFile) -> str:
    return f"Context file `{file.path}`:\n{_fenced(split_lines(file.content), '')}"


def _fenced(lines: Sequence[str], language: str) -> str:
    """Fence lines with more backticks than any run inside, so that the text cannot end its own fence."""
    text = "".join(lines)
    longest = max((len(run) for run in _FENCE.findall(text)), default=2)
    fence = "`" * (longest + 1)
    end = "" if not text or text.endswith(("\n", "\r")) else "\n"
    return f"{fence}{language}\n{text}{end}{fence}"


def _imports(lines: Sequence[str], begins: re.Pattern[str]) -> list[tuple[int, int]]:
    """Find the top-level imports, those in brackets or braces with all their lines."""
    spans = []
    number = 1
    while number <= len(lines):
        if not begins.match(lines[number - 1]):
            number += 1
            continue
        end = number
        for opening, closing in ("()", "{}"):
            if opening in lines[number - 1] and closing not in lines[number - 1]:
                while end < len(lines) and closing not in lines[end - 1]:
                    end += 1
        spans.append((number, end))
        number = end + 1
    return spans


def _asked(task: Task) -> list[tuple[int, int]]:
    """Give the lines that are asked for: those of each finding, or for an instruction the scope."""
    if task.findings:
        return [(finding.start_line, finding.end_line) for finding in task.findings]
    return [] if task.scope is None else [task.scope.as_pair()]


def _around(lines: Sequence[str], task: Task, extent: Extent) -> list[tuple[int, int]]:
    """Give what is asked for with the lines around it; a scope was chosen with what belongs to it."""
    if not task.findings:
        return [_margin(lines, start, end) for start, end in _asked(task)]
    enclosing = _enclosing if task.language == "python" else _block
    spans = [enclosing(lines, start, end) for start, end in _asked(task)]
    if extent is not Extent.MARGIN:
        return spans
    margins = [_margin(lines, start, end) for start, end in _asked(task)]
    return [(max(a, c), min(b, d)) for (a, b), (c, d) in zip(spans, margins, strict=True)]


def _margin(lines: Sequence[str], start: int, end: int) -> tuple[int, int]:
    return max(1, start - MARGIN_LINES), min(len(lines), end + MARGIN_LINES)


def _block(lines: Sequence[str], start: int, end: int) -> tuple[int, int]:
    """Find the outermost block around a range that is not too long to be shown, by indentation alone."""
    best = _margin(lines, start, end)
    first, last = min(start, len(lines)), min(max(start, end), len(lines))
    while (depth := _depth(lines, first, last)) > 0:
        while first > 1 and _is_inside(lines[first - 1], depth):
            first -= 1
        while last < len(lines) and _is_inside(lines[last - 1], depth):
            last += 1
        if last - first >= WHOLE_FILE_LINES:
            break
        best = min(best[0], first), max(best[1], last)
    return best


def _depth(lines: Sequence[str], first: int, last: int) -> int:
    """Give the indentation of a range: that of its line with the least."""
    return min((_indent(line) for line in lines[first - 1 : last] if line.strip()), default=0)


def _is_inside(line: str, depth: int) -> bool:
    return not line.strip() or _indent(line) >= depth


def _enclosing(lines: Sequence[str], start: int, end: int) -> tuple[int, int]:
    """Find the innermost function or class around a range, by indentation, with its decorators."""
    opener = _opener(lines, start)
    if opener is None:
        return _margin(lines, start, end)
    depth = _indent(lines[opener - 1])
    last = max(end, opener)
    for number in range(opener + 1, len(lines) + 1):
        line = lines[number - 1]
        if line.strip() and _indent(line) <= depth and not line.lstrip().startswith((")", "]", "}")):
            break
        if line.strip():
            last = max(last, number)
    first = opener
    while first > 1 and lines[first - 2].lstrip().startswith("@") and _indent(lines[first - 2]) == depth:
        first -= 1
    return first, last


def _opener(lines: Sequence[str], number: int) -> int | None:
    """Walk up from a line to the def or class that it belongs to."""
    index = min(number, len(lines))
    while index >= 1 and not lines[index - 1].strip():
        index -= 1
    if index < 1:
        return None
    depth = _indent(lines[index - 1])
    if _OPENS_BLOCK.match(lines[index - 1]):
        return index
    for above in range(index - 1, 0, -1):
        line = lines[above - 1]
        if line.strip() and _indent(line) < depth:
            if _OPENS_BLOCK.match(line):
                return above
            depth = _indent(line)
    return None


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" \t"))


def _merge(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join spans that overlap or touch, in the order of the file."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged
