"""Names that pass for others: letters of another script, or forms that the language folds into plain ones.

A file shows which letters its names are made of. An edit may use these and ASCII, and no others: so no table
of everything that looks alike is needed, only one of the letters that look like ASCII ones, for files whose
names are written in such a script.
"""

import re
import unicodedata
from collections.abc import Collection

# Of Cyrillic and Greek, what a reader takes for a letter of ASCII.
_LIKE_ASCII = frozenset(
    "\u0430\u0441\u0435\u0456\u0458\u043e\u0440\u0455\u0443\u0445\u0501\u051b\u051d\u04bb\u04cf"
    "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425\u0405\u0406\u0408"
    "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03bf\u03bd\u03c1"
)
_WORD = re.compile(r"\w+")
_ALPHABETS = ("CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU")


def lookalikes(names: Collection[str], known: Collection[str]) -> list[str]:
    """Those of some names that nobody should have to tell from others; `known` are names of the file."""
    letters = {letter for name in known for letter in name}
    return sorted(name for name in set(names) - set(known) if _passes_for_another(name, letters))


def disguised(text: str, source: str) -> list[str]:
    """Words of a text, in strings and comments too, in which some letters pass for ASCII among real ones."""
    if text.isascii():
        return []
    known = set(_WORD.findall(source))
    return sorted(
        word
        for word in set(_WORD.findall(text)) - known
        if not word.isascii()
        and any(letter.isascii() and letter.isalpha() for letter in word)
        and all(letter.isascii() or letter in _LIKE_ASCII for letter in word)
    )


def _passes_for_another(name: str, letters: set[str]) -> bool:
    odd = [letter for letter in name if not letter.isascii()]
    if not odd:
        return False
    if unicodedata.normalize("NFKC", name) != name or not set(odd) <= letters:
        return True
    foreign = any(unicodedata.name(letter, "").startswith(_ALPHABETS) for letter in odd)
    mixed = foreign and any(letter.isascii() and letter.isalpha() for letter in name)
    return mixed or all(letter in _LIKE_ASCII or not letter.isalpha() for letter in name)
