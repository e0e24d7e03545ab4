"""Talk on standard error, and untrusted text made safe to print."""

import sys
import unicodedata

# Characters that a terminal acts on instead of showing them: they can hide or fake what is printed.
_ACTED_ON = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_KEPT = frozenset("\n\t")
_SMALL = 0x100


def say(text: str) -> None:
    """Tell the user something, on standard error."""
    print(shown(text), file=sys.stderr, flush=True)


def some(count: int, thing: str) -> str:
    """Write how many things there are; the thing's plural ends in `s`."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def shown(text: str) -> str:
    """Write characters that a terminal would act on as escapes; line feeds and tabs are kept."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character in _KEPT or unicodedata.category(character) not in _ACTED_ON:
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < _SMALL else f"\\u{{{code:x}}}"
