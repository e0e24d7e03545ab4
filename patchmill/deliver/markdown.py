"""Untrusted text in Markdown: it is read as it stands, calls nobody, links nowhere and hides nothing."""

import re
import unicodedata

_TICKS = re.compile(r"`+")
_CODE = re.compile(r"`([^`]+)`")
# What a forge turns into a link, a notice to somebody, or a mention on another issue's page. Whatever has `://`
# counts, so that nobody needs to know which schemes it knows; a revision is neither a number nor a word.
_LINKED = re.compile(
    r"[\w+.-]{0,99}(?:://|www\.|mailto:)[^\s`]*|@[\w/-]*|#[0-9]+|(?<![^\W_])gh-[0-9]+"
    r"|(?<![^\W_])(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{7,40}(?![^\W_])",
    re.IGNORECASE,
)
# What Markdown begins with, or a reference of GitLab's: !1 a merge request, ~label, %milestone, &1 an epic.
_PUNCTUATION = re.compile(r"([\\`*_\[\]#~|$!%&^])")
# Begins a list, a rule, or a command such as "/close" where it begins a line.
_OPENER = re.compile(r"[0-9]*(?=[.)+-])|(?=/)")
_ENTITIES = str.maketrans({"<": "&lt;", ">": "&gt;"})


def fence(text: str, info: str) -> str:
    """Write text as a fenced block, byte for byte, ended by a line of its own; empty text has no line.

    The fence is longer than any run of backticks inside.
    """
    ticks = "`" * _longer_than_inside(text, at_least=3)
    stop = "" if not text or text.endswith("\n") else "\n"
    return f"{ticks}{info}\n{text}{stop}{ticks}"


def code(text: str) -> str:
    """Write text as code within a line."""
    shown = visible(text)
    ticks = "`" * _longer_than_inside(shown, at_least=1)
    pad = " " if shown.startswith(("`", " ")) or shown.endswith(("`", " ")) else ""
    return f"{ticks}{pad}{shown}{pad}{ticks}"


def prose(text: str, *, at_most: int) -> str:
    """Write text as one paragraph of plain words, cut after `at_most` characters.

    Code in single backticks stays code; names, numbers and addresses that would become links become code.
    """
    shown = visible(text)
    if len(shown) > at_most:
        shown = f"{shown[: at_most - 1].rstrip()}\N{HORIZONTAL ELLIPSIS}"
    parts: list[str] = []
    at = 0
    for match in _CODE.finditer(shown):
        parts += [_words(shown[at : match.start()]), match[0]]
        at = match.end()
    # Two pieces of code next to each other would else be one, with backticks inside.
    words = "".join([*parts, _words(shown[at:])]).replace("``", "` `")
    opener = _OPENER.match(words)
    return f"{opener[0]}\\{words[opener.end() :]}" if opener else words


def paragraphs(text: str, *, at_most: int) -> str:
    """Write text as `prose`, but keep the paragraphs that blank lines part."""
    written: list[str] = []
    for part in re.split(r"\n\s*\n", text):
        size = len(visible(part))
        if size and at_most > 0:
            written.append(prose(part, at_most=at_most))
        at_most -= size
    return "\n\n".join(written)


def visible(text: str) -> str:
    """Text on one line without the characters that steer or hide others: controls, formats, unassigned."""
    kept = "".join(
        character
        for character in text
        if character.isspace() or not unicodedata.category(character).startswith("C")
    )
    return " ".join(kept.split())


def _words(text: str) -> str:
    parts: list[str] = []
    at = 0
    for match in _LINKED.finditer(text):
        parts += [_escaped(text[at : match.start()]), f"`{match[0]}`"]
        at = match.end()
    return "".join([*parts, _escaped(text[at:])])


def _escaped(text: str) -> str:
    return _PUNCTUATION.sub(r"\\\1", text).translate(_ENTITIES)


def _longer_than_inside(text: str, *, at_least: int) -> int:
    return max([at_least, *(len(run) + 1 for run in _TICKS.findall(text))])
