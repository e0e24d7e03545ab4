"""The encoding that a Python file declares for itself: an edit must fit it, and may not take it away."""

import codecs
import re

from patchmill.edit.encoding import UTF_8, lacking
from patchmill.edit.span import split_lines

# As Python itself looks for it: in a comment, in the first line or in the second after a comment or a blank.
_DECLARED = re.compile(r"[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)", re.ASCII)
_BLANK = re.compile(r"[ \t\f]*(?:#.*)?[\r\n]*\Z")


def declared(text: str) -> str | None:
    """Give the encoding that a text declares, by Python's name for it; None if there is none, or no such."""
    for line in split_lines(text)[:2]:
        found = _DECLARED.match(line.removeprefix("\ufeff"))
        if found is not None:
            try:
                return codecs.lookup(found[1]).name
            except LookupError:
                return None
        if not _BLANK.match(line):
            return None
    return None


def unwritable(source: str, edited: str, encoding: str = UTF_8) -> str | None:
    """Say why an edited text cannot be stored as the file is, or as it says, or would be read otherwise.

    `encoding` is that of the file's bytes.
    """
    missing = lacking(edited, encoding)
    if missing:
        return f"the file is {encoding}, which has no {', '.join(missing)}: do without, or use an escape"
    before, now = declared(source) or UTF_8, declared(edited) or UTF_8
    if source.isascii() and edited.isascii():
        return None
    if now != before:
        return f"the file declares that it is {before}, the edited one {now}: leave that line as it is"
    if before == UTF_8:
        return None
    absent = lacking("".join({*edited} - {*source}), before)
    if not absent:
        return None
    said = ", ".join(absent)
    return f"the file declares that it is {before}, which has no {said}: do without, or use an escape"
