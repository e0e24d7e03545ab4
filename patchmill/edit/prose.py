"""A model's prose as plain text that is safe to show to reviewers on any forge."""

import html
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
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
# Characters of other categories that show nothing: joiners, fillers, and what selects variants.
_LOOKS_EMPTY = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
# Not `\b`: emphasis by underscores would hide behind it.
_START, _END = r"(?<![^\W_])", r"(?![^\W_])"
_REVISION = r"(?=[0-9]*[a-f])(?=[a-f]*[0-9])([0-9a-f]{6})[0-9a-f]{1,34}"
_ADDRESS = r"(www)(?=\.)|([\w-])(?=\.(?:biz|cn|com|edu|gov|io|net|org|ru|xyz|xn--\w+)"
_ENTITY = re.compile(r"&#?\w{1,31};")

# First what reads badly is taken away. The bounds keep each pattern linear in the length of the text.
_TIDY = (
    (re.compile(r"\\+(?=[!-/:-@\[\]^_`{-~])"), ""),  # Markdown's escapes, behind which the rest could hide
    (re.compile(r"`{3,}|~{3,}"), ""),  # fences: a forge applies what stands in one called "suggestion"
    (re.compile(r"<[A-Za-z/!?][^<>]*>"), ""),  # HTML tags and comments
    (re.compile(r"!?\[([^\[\]]*)\]\([^()]*\)"), r"\1"),  # links and images keep their text
    (re.compile(r"[A-Za-z][A-Za-z0-9+.\-]{0,30}://"), ""),  # a bare address without scheme is no link
    (re.compile(r"(?<!#)#+(?=\d)"), ""),  # issue references notify, and may close an issue
    (re.compile(r"(?<![^\W_])[!&](?=\d)"), ""),  # merge requests and epics
    (re.compile(_START + r"(GH)-(?=\d)", re.IGNORECASE), r"\1 "),  # issues once more
    (re.compile(r"(?<!@)@+(?=\w)"), ""),  # mentions notify
    (re.compile(r"^[ /]*/(?=\w)", re.MULTILINE), ""),  # a forge obeys comment lines such as "/close"
)
# Then what is left, or was made by taking away, is broken or shortened: that can create nothing new.
_BREAK = (
    # Revisions link to their page; a number has no letter, a word no digit.
    (re.compile(_START + _REVISION + _END, re.IGNORECASE), "\\1\N{HORIZONTAL ELLIPSIS}"),
    (re.compile(r"`(?=``)|~(?=~~)"), r"\g<0> "),
    (re.compile(r"<(?=[A-Za-z/!?])"), "< "),
    (re.compile(r"&(?=#?\w{1,31};|\d)"), "& "),
    (re.compile(r"\](?=[(:])"), "] "),
    # What GitLab calls things by: [issue:1], ~label, %milestone, $snippet.
    (re.compile(r"\[(?=(?:issue|epic|work_item|vulnerability|feature_flag|wiki_page|contact):)"), "[ "),
    (re.compile(r"(?<![^\W_]|~)~(?=[A-Za-z\"])|(?<![^\W_]|%)%(?=[\d\"])"), r"\g<0> "),
    (re.compile(r":(?=//)"), ": "),
    (re.compile(r"/(?=/[\w-]+\.)"), "/ "),  # an address for some readers, even without a scheme
    (re.compile(r"[#@](?=\w)|(?<![^\W_])!(?=\d)|\$(?=[\d$])"), r"\g<0> "),
    (re.compile(_START + r"(GH)-(?=\d)", re.IGNORECASE), r"\1 - "),
    # Addresses without a scheme; after other dots than these stand the attributes of code as well.
    (re.compile(_ADDRESS + _END + ")", re.IGNORECASE), r"\g<0> "),
)


def plain(text: str, *, limit: int) -> str:
    """Reduce text to at most `limit` plain characters on trimmed lines.

    Control and invisible format characters go; links, images, HTML, addresses, mentions, fences, slash
    commands, and references to issues and revisions stay readable but lose their effect, also where the text
    hides them behind escapes or entities.
    """
    text = _ENTITY.sub(lambda entity: html.unescape(entity[0]), text[: limit * _SPARE])
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = _LOOKS_EMPTY.sub("", "".join(map(_visible, text)))
    for pattern, kept in _TIDY:
        text = pattern.sub(kept, text)
    lines = (_BLANK.sub(" ", line).strip() for line in _broken(text).split("\n"))
    text = _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip()
    return text if len(text) <= limit else _cut(text, limit)


def _broken(text: str) -> str:
    for pattern, kept in _BREAK:
        text = pattern.sub(kept, text)
    return text


def _cut(text: str, limit: int) -> str:
    """The beginning of a text and an ellipsis; where a word ends early it may have become an address."""
    size = limit
    shown = text
    while len(shown) >= limit:
        size -= 1
        shown = _broken(text[:size].rstrip())
    return f"{shown}…"


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
