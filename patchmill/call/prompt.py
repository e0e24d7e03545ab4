"""From a task to messages: fixed rules first, then the file, then what is asked, then repair turns.

Nothing volatile stands before the end, so that the gateway can serve the common beginning from its
cache. Submitted text is not parsed here: enclosing functions and blocks are found by indentation.
"""

import re
from collections.abc import Iterable, Sequence

from patchmill.edit.protocol import EditFormat
from patchmill.edit.span import split_lines
from patchmill.job.record import KindName, Task
from patchmill.kinds.kind import Kind

WHOLE_FILE_LINES = 150  # up to here the whole file is shown; it costs less than a missing line
MARGIN_LINES = 3  # shown around a finding that lies in no function

Message = dict[str, str]

_OPENS_BLOCK = re.compile(r"\s*(?:async\s+def|def|class)\b")
_IMPORT = re.compile(r"(?:import|from)\b")
# The same for languages with braces, roughly: a line too many costs little, and one too few a wrong answer.
_ANY_IMPORT = re.compile(
    r"(?:import|from|use|using|require|require_relative|package|namespace|extern crate|source)\b"
    r"|#\s*include\b|(?:const|let|var)\b[^=]*=\s*require\b|export\b.*\bfrom\b|<\?php\b"
)
_FENCE = re.compile(r"`{3,}")


def first_turn(
    task: Task, kind: Kind, edit_format: EditFormat, *, mended: Sequence[tuple[int, int]] = ()
) -> list[Message]:
    """Write the messages of a first call; `mended` are line ranges that other edits change already."""
    parts = [_file(task), *_context(task)]
    if mended:
        lines = ", ".join(f"{start}-{end}" for start, end in sorted(mended))
        parts.append(f"Lines that are mended already; leave them as they are: {lines}")
    if task.scope is not None:
        parts.append(f"Allowed lines: {task.scope.start_line}-{task.scope.end_line}")
    parts.append(kind.describe(task))
    return [
        {"role": "system", "content": f"{kind.rules}\n{edit_format.instructions}"},
        {"role": "user", "content": "\n\n".join(parts)},
    ]


def repair_turn(messages: Sequence[Message], answer: str, feedback: str) -> list[Message]:
    """Append an answer that failed and the reason why; the beginning stays as it was."""
    return [
        *messages,
        {"role": "assistant", "content": answer},
        {
            "role": "user",
            "content": f"These edits cannot be used:\n{feedback}\n\nAnswer again, in the same form.",
        },
    ]


def _file(task: Task) -> str:
    lines = split_lines(task.source)
    head = f"File `{task.path}` ({task.language})"
    around = _around(lines, task)
    if not around or task.kind is KindName.ANNOTATE or len(lines) <= WHOLE_FILE_LINES:
        return f"{head}, whole:\n{_fenced(lines, task.language)}"
    shown = _merge([*_imports(lines, _IMPORT if task.language == "python" else _ANY_IMPORT), *around])
    excerpts = [
        f"Lines {start}-{end}:\n{_fenced(lines[start - 1 : end], task.language)}" for start, end in shown
    ]
    return "\n".join([f"{head}, excerpts of {len(lines)} lines:", *excerpts])


def _context(task: Task) -> list[str]:
    return [f"Context file `{file.path}`:\n{_fenced(split_lines(file.content), '')}" for file in task.context]


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


def _around(lines: Sequence[str], task: Task) -> list[tuple[int, int]]:
    """Give the lines around what is asked for: around each finding, or for an instruction the scope."""
    enclosing = _enclosing if task.language == "python" else _block
    if task.findings:
        return [enclosing(lines, finding.start_line, finding.end_line) for finding in task.findings]
    if task.scope is None:
        return []
    return [_margin(lines, task.scope.start_line, task.scope.end_line)]


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
