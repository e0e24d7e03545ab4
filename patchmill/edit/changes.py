"""A unified diff to the lines of the new version that it shows, and those that it adds."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from io import StringIO

from unidiff.errors import UnidiffParseError
from unidiff.patch import Hunk as ParsedHunk
from unidiff.patch import PatchedFile, PatchSet

# The parser keeps an object for each line, so a diff of millions of empty lines would fill the memory.
MAX_LINES = 200_000
_HUNK = re.compile(r"@@ -[0-9]{1,9}(?:,[0-9]{1,9})? \+[0-9]{1,9}(?:,[0-9]{1,9})? @@")
_MOVED = re.compile(r"(?:rename|copy) to (.*)")
_PREFIX = re.compile(r"([abciow12])/")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\([0-7]{3}|.)")
_NAMED_ESCAPES = dict(zip("abtnvfr", "\a\b\t\n\v\f\r", strict=True))
_NOWHERE = "/dev/null"
# What stands in for a header line that says nothing here; inside a hunk it is as wrong as the line was.
_UNREAD = "index\n"


class UnreadableDiff(ValueError):
    """The text is not a unified diff from one version to another; the message is a sentence with the line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedHunk:
    """The new side of one hunk: lines 1-based, both included; `start_line = end_line + 1` if it has none.

    Lines are counted as git does, by LF alone. `added` are those that the old version does not have,
    `below_deleted` those right above which it has lines that are gone, `lines` the texts of all of them
    without their ends, and `old_lines` their numbers in the old version, None for those added.
    """

    start_line: int
    end_line: int
    added: frozenset[int]
    below_deleted: frozenset[int] = frozenset()
    lines: tuple[str, ...] = ()
    old_lines: tuple[int | None, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedFile:
    """A file of the new version, with its hunks in order; a file that was only renamed has none.

    `old_path` is its path in the old version, as far as there are hunks and it was there.
    """

    path: str
    hunks: tuple[ChangedHunk, ...]
    old_path: str | None = None


def read_diff(text: str) -> dict[str, ChangedFile]:
    """Give the files that a diff changes, by their path in the new version.

    Deleted files, binary files and changes of mode show no line and are left out; an empty text changes
    nothing.

    Raises:
        UnreadableDiff: the text is no diff, is broken off, is longer than `MAX_LINES`, shows a merge, or
            tells of one file twice, as the diffs of several commits do.
    """
    feed = _Feed()
    try:
        parsed = [file for file in PatchSet(feed.lines(StringIO(text, newline="\n"))) if file.target_file]
    except UnidiffParseError as error:
        # What follows the colon is the line itself, which may be of any length.
        reason = str(error).partition(":")[0].lower()
        raise UnreadableDiff(f"line {feed.number} of the diff: {reason}") from None
    if not parsed and not feed.headed and text.strip():
        raise UnreadableDiff("the diff names no file: `---` and `+++` lines are missing")
    prefixed = _prefixed(parsed)
    files: dict[str, ChangedFile] = {}
    for file in parsed:
        if file.target_file == _NOWHERE:
            continue
        path = _path(file.target_file, prefixed=prefixed)
        if path in files:
            raise UnreadableDiff(
                f"line {file.diff_line_no} of the diff: {path[:200]!r} is there twice; "
                "one diff from the base to the head is needed"
            )
        old_path = None if file.source_file == _NOWHERE else _path(file.source_file, prefixed=prefixed)
        files[path] = ChangedFile(path=path, hunks=_hunks(path, file), old_path=old_path)
    for path in feed.moved:
        files.setdefault(path, ChangedFile(path=path, hunks=()))
    return files


@dataclass(slots=True)
class _Feed:
    """Hands a diff's lines to the parser without the headers that it reads slowly or takes for others.

    Names come from the `---` and `+++` lines alone: a `diff --git` line cannot be taken apart where a name
    has spaces.
    """

    number: int = 0
    headed: bool = False
    moved: list[str] = field(default_factory=list)

    def lines(self, lines: Iterable[str]) -> Iterator[str]:
        """Give each line, checked; `number` is always that of the last one given."""
        for self.number, line in enumerate(lines, 1):
            if self.number > MAX_LINES:
                raise UnreadableDiff(f"the diff has more than {MAX_LINES} lines")
            if line.startswith("@@"):
                self._check_hunk(line)
                yield line
            elif line.startswith((" ", "+", "-", "\\", "\n", "\r")):
                yield line
            else:
                self._note(line.rstrip("\r\n"))
                yield _UNREAD

    def _check_hunk(self, line: str) -> None:
        if not _HUNK.match(line):
            kind = "a merge's combined diff" if line.startswith("@@@") else "no hunk header that can be read"
            raise UnreadableDiff(f"line {self.number} of the diff: {kind}")

    def _note(self, line: str) -> None:
        if line.startswith(("diff ", "Binary file")):
            self.headed = True
        elif moved := _MOVED.fullmatch(line):
            self.moved.append(_unquoted(moved[1]))


def _prefixed(files: Iterable[PatchedFile]) -> bool:
    """Whether names begin with git's `a/` and `b/` or the like, which differ; real folders are the same."""
    for file in files:
        names = [_unquoted(name) for name in (file.source_file, file.target_file)]
        if _NOWHERE not in names:
            letters = [match[1] if (match := _PREFIX.match(name)) else None for name in names]
            return None not in letters and letters[0] != letters[1]
    return True


def _path(name: str, *, prefixed: bool) -> str:
    path = _unquoted(name)
    return path[2:] if prefixed and _PREFIX.match(path) else path


def _unquoted(name: str) -> str:
    """A name as git writes it in C quotes, read; its octal escapes are bytes of UTF-8."""
    quoted = _QUOTED.fullmatch(name.rstrip("\r"))
    if quoted is None:
        return name.rstrip("\r")
    parts, at = bytearray(), 0
    for escape in _ESCAPE.finditer(quoted[1]):
        parts += _bytes(quoted[1][at : escape.start()])
        told = escape[1]
        parts += bytes([int(told, 8) & 0xFF]) if len(told) > 1 else _bytes(_NAMED_ESCAPES.get(told, told))
        at = escape.end()
    return (parts + _bytes(quoted[1][at:])).decode(errors="replace")


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _hunks(path: str, file: PatchedFile) -> tuple[ChangedHunk, ...]:
    hunks: list[ChangedHunk] = []
    done = 0
    for parsed in file:
        hunk = _hunk(parsed)
        if hunk.start_line <= done:
            raise UnreadableDiff(f"the hunks of {path[:200]!r} overlap, are out of order or begin at line 0")
        hunks.append(hunk)
        done = hunk.end_line
    return tuple(hunks)


def _hunk(parsed: ParsedHunk) -> ChangedHunk:
    # A side without lines names the line before it.
    start = parsed.target_start + (parsed.target_length == 0)
    added: list[int] = []
    below_deleted: list[int] = []
    lines: list[str] = []
    old_lines: list[int | None] = []
    deleted = False
    for line in parsed:
        number = line.target_line_no
        if number is None:
            deleted = deleted or line.is_removed
            continue
        lines.append(line.value.rstrip("\r\n"))
        old_lines.append(line.source_line_no)
        if line.is_added:
            added.append(number)
        if deleted:
            below_deleted.append(number)
        deleted = False
    return ChangedHunk(
        start_line=start,
        end_line=start + parsed.target_length - 1,
        added=frozenset(added),
        below_deleted=frozenset(below_deleted),
        lines=tuple(lines),
        old_lines=tuple(old_lines),
    )
