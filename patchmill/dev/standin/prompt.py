"""The task in a prompt: the file, its findings or wishes, and the lines that may change."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from patchmill.dev.standin.source_text import SourceText

_FILE = re.compile(r"File `(?P<path>.+)` \((?P<language>[^)]*)\), (?P<extent>whole|excerpts)\b.*:$")
_EXCERPT = re.compile(r"(?P<first>\d+)-(?P<last>\d+):$")
_FENCE = re.compile(r"(?P<fence>`{3,})[^`]*$")
_FINDING = re.compile(
    r"\d+\. lines? (?P<line>\d+)(?:-\d+)?(?:, columns? (?P<column>\d+)(?:-\d+)?)?"
    r"(?:,? to line \d+(?:, column \d+)?)?: (?P<message>.*)$"
)
_RULE = re.compile(r"(?:\S+ )?(?P<code>[A-Z]+\d+):|\S+ (?P<name>[@a-z][\w@/().-]*):")
_ANCHORED = re.compile(r"(?P<anchor>\d+[a-z]{2})\|(?P<text>.*)", re.DOTALL)
_INSTRUCTION = "Instruction:"
_QUOTED = "> "
_WISHES = re.compile(r"Add to this file: (?P<wishes>.+)$")
_ALLOWED = re.compile(r"Allowed lines: (?P<ranges>.+)$")
_RANGE = re.compile(r"(\d+)(?:-(\d+))?")
_VERSION = re.compile(r"Target version: (?P<version>py\d+)$")
_EXTENT = re.compile(r"excerpts of (\d+) lines")
_LINE_END = re.compile(r"\r\n|\n|\r")
# Python's parser refuses it, and whoever applies an edit keeps it at the file's beginning.
_BYTE_ORDER_MARK = "\ufeff"
# No file that fits into a prompt is longer; it keeps a mistyped line number from filling the memory.
_MOST_LINES = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedFinding:
    """One finding to fix; line and column count from 1, `rule` is None when the prompt names none."""

    line: int
    column: int | None
    rule: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What the prompt asks for.

    `shown` holds the lines that the prompt shows; the others are blank. `repairs` are the messages that came
    back on earlier answers. `anchors` are what shown lines are to be named by, None if by their text.
    """

    path: str
    language: str
    source: SourceText
    shown: frozenset[int]
    allowed: tuple[range, ...] | None
    findings: tuple[AskedFinding, ...]
    wishes: frozenset[str]
    target_version: str | None
    instruction: str | None
    repairs: tuple[str, ...]
    anchors: Mapping[int, str] | None = None

    @property
    def is_whole(self) -> bool:
        """Whether every line is shown."""
        return len(self.shown) == len(self.source.lines)

    def may_change(self, line: int) -> bool:
        """Whether a line is shown and inside the allowed lines."""
        return line in self.shown and (self.allowed is None or any(line in lines for lines in self.allowed))


@dataclass(slots=True)
class _Block:
    """A fenced block, and the last line of text before it."""

    heading: str
    lines: list[str]


def read_task(user_message: str, repairs: Sequence[str] = (), *, anchored: bool = False) -> Task | None:
    """The task of a first user message, and what was said to earlier answers; None when it names no file.

    With `anchored` each line of the file begins with its anchor.
    """
    heading: str | None = None
    in_file = False
    blocks: list[_Block] = []
    loose: list[str] = []
    for part in _parts(user_message):
        if isinstance(part, str):
            if heading is None and _FILE.match(part):
                heading = part
                in_file = True
            elif part.strip() and not _EXCERPT.match(part):
                in_file = False
            loose.append(part)
        elif in_file:
            blocks.append(part)
    found = _FILE.match(heading) if heading is not None else None
    if heading is None or found is None:
        return None
    source, shown = _whole(blocks) if found["extent"] == "whole" else _excerpts(heading, blocks)
    anchors: dict[int, str] | None = None
    if anchored:
        source, anchors = _without_anchors(source)
    task = Task(
        path=found["path"],
        language=found["language"],
        source=source,
        shown=shown,
        allowed=None,
        findings=tuple(_findings(loose)),
        wishes=frozenset(),
        target_version=None,
        instruction=_instruction(loose),
        repairs=tuple(repairs),
        anchors=anchors,
    )
    return _with_options(task, loose)


def _parts(message: str) -> Iterator[str | _Block]:
    """Lines of text one by one, fenced blocks as a whole."""
    heading = ""
    fence: str | None = None
    block: list[str] = []
    for line in _LINE_END.split(message.replace(_BYTE_ORDER_MARK, "")):
        if fence is not None:
            if line == fence:
                yield _Block(heading, block)
                fence, block = None, []
            else:
                block.append(line)
        elif opened := _FENCE.match(line):
            fence = opened["fence"]
        else:
            heading = line if line.strip() else heading
            yield line


def _whole(blocks: list[_Block]) -> tuple[SourceText, frozenset[int]]:
    lines = blocks[0].lines if blocks else []
    return SourceText(lines), frozenset(range(1, len(lines) + 1))


def _excerpts(heading: str, blocks: list[_Block]) -> tuple[SourceText, frozenset[int]]:
    placed: dict[int, str] = {}
    for block in blocks:
        if (found := _EXCERPT.match(block.heading)) is not None:
            placed.update(enumerate(block.lines, start=int(found["first"])))
    stated = _EXTENT.search(heading)
    length = max([int(stated[1]) if stated else 0, *placed])
    if length > _MOST_LINES:
        return SourceText([]), frozenset()
    return SourceText(placed.get(line, "") for line in range(1, length + 1)), frozenset(placed)


def _without_anchors(source: SourceText) -> tuple[SourceText, dict[int, str]]:
    """The text without the anchors of its lines, and these by line."""
    found = [_ANCHORED.fullmatch(line) for line in source.lines]
    lines = [match["text"] if match else line for match, line in zip(found, source.lines, strict=True)]
    return SourceText(lines), {line: match["anchor"] for line, match in enumerate(found, start=1) if match}


def _findings(lines: list[str]) -> Iterator[AskedFinding]:
    for line in lines:
        if (found := _FINDING.match(line)) is not None:
            rule = _RULE.match(found["message"])
            yield AskedFinding(
                line=int(found["line"]),
                column=int(found["column"]) if found["column"] else None,
                rule=rule["code"] or rule["name"] if rule else None,
            )


def _instruction(lines: list[str]) -> str | None:
    """The quoted lines below the heading."""
    if _INSTRUCTION not in lines:
        return None
    after = lines[lines.index(_INSTRUCTION) + 1 :]
    quoted = takewhile(lambda line: line.startswith(_QUOTED.rstrip()), after)
    return "\n".join(line.removeprefix(_QUOTED) for line in quoted)


def _with_options(task: Task, lines: list[str]) -> Task:
    for line in lines:
        if (found := _WISHES.match(line)) is not None:
            task = replace(task, wishes=frozenset(re.split(r"[,\s]+", found["wishes"].strip(" ."))))
        elif (found := _ALLOWED.match(line)) is not None:
            pairs = _RANGE.findall(found["ranges"])
            ranges = tuple(range(int(first), int(last or first) + 1) for first, last in pairs)
            task = replace(task, allowed=ranges)
        elif (found := _VERSION.match(line)) is not None:
            task = replace(task, target_version=found["version"])
    return task
