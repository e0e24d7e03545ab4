"""A model's prose as plain text that is safe to show to reviewers on any forge."""

import re
import unicodedata
from collections.abc import Iterable

TITLE_LIMIT = 120
EXPLANATION_LIMIT = 600

_HEADING = re.compile(r"#{1,6}(?:\s+|$)")
_BOLD = re.compile(r"\*\*(.+)\*\*")
_NO_CHANGE = re.compile(r"[\s>#*_`-]*NO CHANGE[*_`]*\s*:[*_`]*\s*(.*)")
_BLANK = re.compile(r"[^\S\n]+")
_BLANK_LINES = re.compile(r"\n{3,}")
_SPARE = 10  # times the limit: what is read of a long text, for markup that will go
_UNSEEN = frozenset({"Cc", "Cf", "Cs"})

# First what reads badly is taken away. The bounds keep each pattern linear in the length of the text.
_TIDY = (
    (re.compile(r"<[A-Za-z/!?][^<>]*>"), ""),  # HTML tags and comments
    (re.compile(r"!?\[([^\[\]]*)\]\([^()]*\)"), r"\1"),  # links and images keep their text
    (re.compile(r"[A-Za-z][A-Za-z0-9+.\-]{0,30}://"), ""),  # a bare address without scheme is no link
    (re.compile(r"(?<!#)#+(?=\d)"), ""),  # issue references notify, and may close an issue
    (re.compile(r"(?<!@)@+(?=\w)"), ""),  # mentions notify
    (re.compile(r"^[ /]*/(?=\w)", re.MULTILINE), ""),  # a forge obeys comment lines such as "/close"
)
# Then what is left, or was made by taking away, is broken by a space: that can create nothing new.
_BREAK = (
    (re.compile(r"<(?=[A-Za-z/!?])"), "< "),
    (re.compile(r"\](?=[(:])"), "] "),
    (re.compile(r":(?=//)"), ": "),
    (re.compile(r"(www)(?=\.)", re.IGNORECASE), r"\1 "),
)


def plain(text: str, *, limit: int) -> str:
    """Reduce text to at most `limit` plain characters on trimmed lines.

    Control and invisible format characters go; links, images, HTML, bare addresses, mentions, issue
    references and slash commands stay readable but lose their effect.
    """
    text = text[: limit * _SPARE].replace("\r\n", "\n").replace("\r", "\n")
    text = "".join(map(_visible, text))
    for pattern, kept in _TIDY + _BREAK:
        text = pattern.sub(kept, text)
    lines = (_BLANK.sub(" ", line).strip() for line in text.split("\n"))
    text = _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip()
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def title_in(lines: Iterable[str]) -> str:
    """Give the first line of an answer's prose that says anything, without marks of headings."""
    for line in filter(None, map(str.strip, lines)):
        text = line
        if heading := _HEADING.match(text):
            text = text[heading.end() :]
        if bold := _BOLD.fullmatch(text):
            text = bold[1]
        if title := plain(text, limit=TITLE_LIMIT):
            return title
    return ""


def declined_in(lines: Iterable[str]) -> str | None:
    """Give the reason in a NO CHANGE line of an answer's prose; None if there is no such line."""
    for line in lines:
        found = _NO_CHANGE.fullmatch(line)
        if found:
            return plain(found[1].rstrip("*_` "), limit=EXPLANATION_LIMIT) or "no reason given"
    return None


def _visible(char: str) -> str:
    """The character, a space for a tab or an exotic line separator, nothing for what cannot be seen."""
    if char == "\n":
        return char
    if char.isspace():
        return " "
    return "" if unicodedata.category(char) in _UNSEEN else char
