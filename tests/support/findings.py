"""What a finding points at."""

from patchmill.edit.span import split_lines
from patchmill.job.record import Finding, ToolEdit


def text_at(source: str, place: Finding | ToolEdit) -> str:
    """Give the text from the start to the end of a place within one line; columns do not count a BOM."""
    line = split_lines(source.removeprefix("\ufeff"))[place.start_line - 1]
    assert place.start_line == place.end_line
    assert place.start_column is not None
    assert place.end_column is not None
    return line[place.start_column - 1 : place.end_column - 1]
