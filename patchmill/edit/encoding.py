"""The encodings that a file may have on disk: text is code points in here, and its own bytes outside."""

import codecs
import re

from patchmill.edit.span import split_lines

UTF_8 = "utf-8"
# Those in which ASCII is ASCII, so that code stays code; by Python's names for them.
_KNOWN = frozenset(
    {
        *(UTF_8, "ascii", "koi8-r", "koi8-u", "mac-roman", "cp437", "cp850", "cp852", "cp866", "cp874"),
        *(f"iso8859-{part}" for part in range(1, 17) if part != 12),  # noqa: PLR2004 - there is no part 12
        *(f"cp125{page}" for page in range(9)),
        *("shift_jis", "cp932", "euc_jp", "euc_kr", "cp949", "gb2312", "gbk", "gb18030", "big5", "cp950"),
    }
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,39}", re.ASCII)
_SHOWN = 5
# As Python itself looks for it: in a comment, in the first line or in the second after a comment or a blank.
_DECLARED = re.compile(r"[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)", re.ASCII)
_BLANK = re.compile(r"[ \t\f]*(?:#.*)?[\r\n]*\Z")


def canonical(name: str) -> str | None:
    """Give Python's name of an encoding, `iso8859-1` for `latin-1`; None if no file may have it."""
    if _NAME.fullmatch(name) is None:
        return None
    try:
        found = codecs.lookup(name).name
    except LookupError:
        return None
    found = UTF_8 if found == "utf-8-sig" else found
    return found if found in _KNOWN else None


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


def read(data: bytes, encoding: str) -> str | None:
    """Give the text that bytes are; None if they are none, or would not be written back the same."""
    try:
        text = data.decode(encoding)
        return text if text.encode(encoding) == data else None
    except UnicodeError:
        return None


def lacking(text: str, encoding: str) -> list[str]:
    """Name the characters, each as `U+20AC`, that an encoding cannot write, or not so that they come back."""
    if text.isascii() or encoding == UTF_8:
        return []
    missing = sorted(character for character in {*text} if not _has(encoding, character))
    return [f"U+{ord(character):04X}" for character in missing[:_SHOWN]]


def _has(encoding: str, character: str) -> bool:
    try:
        return character.encode(encoding).decode(encoding) == character
    except UnicodeError:
        return False
    except LookupError:  # it is none of text, so nobody can say
        return True
