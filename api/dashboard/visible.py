"""Untrusted text made plain to see: no character may hide, reorder or fake what stands beside it."""

import unicodedata

from markupsafe import Markup, escape

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_BLANKS = frozenset({"\u00ad", "\u034f", "\u115f", "\u1160", "\u2800", "\u3164", "\uffa0"})
_SELECTORS = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))  # they change how the one before looks
_LAYOUT = frozenset("\n\t")


def is_unseen(character: str) -> bool:
    """Say whether a character takes no part in what is seen, or changes how others are seen."""
    if character.isascii():
        return not character.isprintable() and character not in _LAYOUT
    category = unicodedata.category(character)
    is_odd_space = category == "Zs"  # the plain one is ASCII
    is_selector = any(ord(character) in selectors for selectors in _SELECTORS)
    return category in _UNSEEN or is_odd_space or is_selector or character in _BLANKS


def plain(text: str) -> str:
    r"""Write unseen characters as escapes such as `\u{202e}`; safe wherever the text itself is."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(f"\\u{{{ord(each):x}}}" if is_unseen(each) else each for each in text)


def marked(text: str) -> Markup:
    """Write a piece of code as HTML, with a labelled mark in the place of each unseen character."""
    if text.isascii() and text.isprintable():
        return escape(text)
    parts = [_mark(each) if each == "\t" or is_unseen(each) else escape(each) for each in text]
    return Markup("").join(parts)


def _mark(character: str) -> Markup:
    if character == "\t":
        return Markup('<span class="tab">\t</span>')
    name = unicodedata.name(character, "control character")
    code = f"U+{ord(character):04X}"
    return Markup('<span class="unseen" title="{}">{}</span>').format(name, code)
