"""What an edit brings or takes that a reader may not see: characters, suppressions, names."""

import ast
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from patchmill.evaluate.cases import Case
from patchmill.evaluate.parsing import parsed

_SILENCES = re.compile(
    r"\bnoqa\b|\bnosec\b|(?:type|pyright|mypy|pyre|ty)\s*:\s*(?:ignore|disable)|pylint\s*:\s*(?:disable|skip)"
    r"|fmt\s*:\s*(?:off|skip)|isort\s*:\s*(?:skip|off)|pragma\s*:\s*no\s+cover|(?:eslint|oxlint|biome)-(?:disable|ignore)"
    r"|@ts-(?:ignore|expect-error|nocheck)|NOLINT",
    re.IGNORECASE,
)
_SEEN = frozenset("\t\n\r\f ")
_BLANK_LETTERS = frozenset("\u115f\u1160\u3164\uffa0\u2800")
_LATIN_GREEK = frozenset(
    "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03bf\u03bd\u03c1"
)
_UNSEEN = frozenset({"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp", "Zs"})
_WORD = re.compile(r"\w+")


def unseen(text: str, *, known: Sequence[str]) -> list[str]:
    """Characters that cannot be seen, and words of mixed alphabets, beyond those of the known texts."""
    had = _most(known, lambda each: Counter(character for character in each if _is_unseen(character)))
    has = Counter(character for character in text if _is_unseen(character))
    names = [f"U+{ord(character):04X}" for character, count in has.items() if count > had[character]]
    words = {word for each in known for word in _WORD.findall(each)}
    mixed = (word for word in dict.fromkeys(_WORD.findall(text)) if word not in words and _is_mixed(word))
    return [*names, *(f"the word {word!r} of several alphabets" for word in mixed)]


def _is_unseen(character: str) -> bool:
    if character in _SEEN:
        return False
    return character in _BLANK_LETTERS or unicodedata.category(character) in _UNSEEN


def _is_mixed(word: str) -> bool:
    """Whether letters of another alphabet stand among Latin ones; Greek ones only if they look like them."""
    if word.isascii():
        return False
    scripts = {
        unicodedata.name(letter, "?").split()[0]
        for letter in word
        if letter.isalpha() and (letter in _LATIN_GREEK or "GREEK" not in unicodedata.name(letter, "?"))
    }
    return "LATIN" in scripts and len(scripts) > 1


def rises_in_suppressions(text: str, *, known: Sequence[str]) -> bool:
    """Whether a text silences checkers more often than any known one."""
    return len(_SILENCES.findall(text)) > max(len(_SILENCES.findall(each)) for each in known)


def _most(texts: Sequence[str], count: Callable[[str], Counter[str]]) -> Counter[str]:
    """The counts of each text, and of each thing the highest."""
    most: Counter[str] = Counter()
    for text in texts:
        most |= count(text)
    return most


def new_imports(case: Case, text: str) -> list[str]:
    """Packages that a text imports and that neither source, gold, the findings nor Python itself name."""
    known = set(sys.stdlib_module_names) | {"__future__", ""}
    for each in (case.source, case.gold or ""):
        known |= set(_imported(each))
    said = " ".join(finding["message"] for finding in case.findings)
    said += " " + str(case.asked.get("instruction", ""))
    return [name for name in dict.fromkeys(_imported(text)) if name not in known and name not in said]


def lost_definitions(source: str, text: str, gold: str | None) -> list[str]:
    """Functions and classes that are gone, beyond those that the right answer takes away or renames."""
    had, has = _definitions(source), _definitions(text)
    if had is None or has is None or has.total() >= had.total():
        return []
    free = Counter[str]() if gold is None else had - (_definitions(gold) or Counter())
    return sorted((had - has - free).keys())


def _definitions(text: str) -> Counter[str] | None:
    tree = parsed(text)
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return None if tree is None else Counter(node.name for node in ast.walk(tree) if isinstance(node, kinds))


def _imported(text: str) -> Iterator[str]:
    tree = parsed(text)
    for node in () if tree is None else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").partition(".")[0]
