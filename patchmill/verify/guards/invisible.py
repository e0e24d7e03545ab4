"""Characters that a reviewer cannot see or that reorder what he sees: an edit may not bring any.

What stands in the lines that an edit replaces may stay: names in right-to-left scripts, emoji and form
feeds of the file are nobody's attack. By category: controls but for tab and line ends, format characters
(the marks of direction, zero widths, tags), private use, surrogates, the line and paragraph separators of
Unicode, and every blank but the space. By list: what Unicode calls ignorable by default beyond those, and
blanks that look like nothing.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from patchmill.edit.span import Hunk
from patchmill.verify.evidence import Check, CheckName, Result

_CATEGORIES = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp", "Zs"})
# Combining grapheme joiner, fillers, vowels and selectors without a shape, braille blank; then ranges that
# Unicode keeps for further ones: specials and the plane of tags and variation selectors.
_IGNORED = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8"
    "\U000e0000-\U000e0fff]"
)
_UNUSUAL = re.compile(r"[^\t\n\r\x20-\x7e\xa1-\xac\xae-\u02ff]")
_LONE_RETURN = re.compile(r"\r(?!\n)")
_SHOWN = 5


def invisible(text: str) -> Counter[str]:
    """Count the characters of a text that are not to be seen, each by itself."""
    found = Counter(character for character in _UNUSUAL.findall(text) if _is_invisible(character))
    found["\r"] = len(_LONE_RETURN.findall(text))
    return +found


def no_invisible(hunks: Sequence[Hunk], *, source: str, alike: Sequence[str] = ()) -> Check:
    """Check that hunks bring no more of such characters than the lines that they replace had.

    A carriage return alone is a line end only where the source uses it as one. `alike` are names that hunks
    bring and that pass for others (`lookalikes`): they hide as well.
    """
    added = invisible("".join(hunk.replacement for hunk in hunks))
    added -= invisible("".join(hunk.original for hunk in hunks))
    if added["\r"] and _LONE_RETURN.search(source):
        del added["\r"]
    if not added and alike:
        shown = ", ".join(ascii(name)[1:-1] for name in alike[:_SHOWN])
        detail = f"brings names with letters that no name of the file has, or that pass for others: {shown}"
        return Check(
            check=CheckName.NO_INVISIBLE, result=Result.FAILED, detail=f"{detail}; use ASCII letters"
        )
    if not added:
        return Check(
            check=CheckName.NO_INVISIBLE, result=Result.PASSED, detail="no invisible character added"
        )
    names = ", ".join(_named(character) for character in sorted(added)[:_SHOWN])
    more = f" and {len(added) - _SHOWN} more" if len(added) > _SHOWN else ""
    detail = f"adds {names}{more}: write the lines without, or use an escape such as \\u200b in a string"
    return Check(check=CheckName.NO_INVISIBLE, result=Result.FAILED, detail=detail)


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) in _CATEGORIES or _IGNORED.match(character) is not None


def _named(character: str) -> str:
    """A character's number and, where it has one, its name: never the character itself."""
    name = unicodedata.name(character, "control character" if ord(character) < 0xA0 else "")  # noqa: PLR2004
    return f"U+{ord(character):04X} {name}".rstrip()
