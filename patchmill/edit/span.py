"""Lines as Patchmill counts them: only LF, CRLF and CR end a line, and every byte belongs to one."""

import re
from dataclasses import dataclass

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")


def split_lines(text: str) -> list[str]:
    """Split text into lines with their ends kept; joining them gives the text back. Empty text has none."""
    return _LINE.findall(text)


def line_content(line: str) -> str:
    """A line without its end."""
    return line[:-2] if line.endswith("\r\n") else line.removesuffix("\n").removesuffix("\r")


def line_end(line: str) -> str:
    """The end of a line: LF, CRLF or CR; empty for a last line that has none."""
    return line[len(line_content(line)) :]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hunk:
    """A replacement of whole lines: 1-based, both included; `end_line = start_line - 1` inserts before."""

    start_line: int
    end_line: int
    original: str
    replacement: str
