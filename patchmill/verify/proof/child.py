"""The child process of the proof: reads a source and candidates as JSON, writes a verdict on each.

Run by `bare_python`, standard library only; hostile text is parsed here and nowhere else.
"""

import ast
import json
import re
import sys
import tokenize
import unicodedata
import warnings
from collections import Counter
from typing import Any

from patchmill.verify.proof.additions import HINTS, Addition, Kind, additions
from patchmill.verify.proof.facts import Facts
from patchmill.verify.proof.refusal import Refusal, Rule
from patchmill.verify.proof.rules import EXISTING_TYPES, Rules
from patchmill.verify.proof.tokens import Tokens, difference

# Deep enough for real code, shallow enough that the C stack lasts.
_RECURSION = 3_000
_MOST_REFUSALS = 20
_INVISIBLE = frozenset({"Cf", "Co", "Cs", "Cc", "Cn"})
_LOOKS_EMPTY = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
_UNUSUAL = re.compile(r"[^\t\n\f\x20-\x7e]")
# Cyrillic and Greek letters that look like Latin ones, beside a Latin letter in one word.
_LOOKALIKES = (
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u0501\u04bb\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421"
    "\u0422\u0425\u03bf\u03bd\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7"
)
_MIXED = re.compile(rf"\w*(?:[A-Za-z]\w*[{_LOOKALIKES}]|[{_LOOKALIKES}]\w*[A-Za-z])\w*")
_CannotParse = (SyntaxError, ValueError, RecursionError, MemoryError, tokenize.TokenError)


class _File:
    """A text, parsed in every way that the proof needs; raises one of `_CannotParse`."""

    def __init__(self, text: str) -> None:
        self.text = text.replace("\r\n", "\n").replace("\r", "\n")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self.tree = ast.parse(self.text.removeprefix("\ufeff"))
            # Finds what only the compiler refuses, such as a hint on a name declared global.
            compile(self.tree, "<file>", "exec", dont_inherit=True)
        self.warnings = len(caught)
        self.tokens = Tokens(self.text.removeprefix("\ufeff"))
        self.invisible = Counter(filter(_is_invisible, _UNUSUAL.findall(self.text)))


def main() -> None:
    """Answer one request from standard input."""
    sys.setrecursionlimit(_RECURSION)
    request = json.load(sys.stdin.buffer)
    sys.stdout.write(json.dumps(answer(request)))


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Prove `candidates` against `source`; see `prove`, which asks this of a child process.

    `source_error` says why nothing can be proven, else `proofs` has one entry for each candidate, with
    `parsed`, `gain` and `refusals` as (rule, line, detail).
    """
    try:
        source = _File(request["source"])
        facts = Facts(source.tree, request["path"])
    except _CannotParse as error:
        return {"source_error": _words(error), "proofs": []}
    target = (int(request["target"][0]), int(request["target"][1]))
    what = frozenset(request["what"])
    proofs = []
    for text in request["candidates"]:
        try:
            edited = _File(text)
        except _CannotParse as error:
            refusal = Refusal(Rule.NOT_PARSED, getattr(error, "lineno", None) or 1, _words(error))
            proofs.append({"parsed": False, "gain": 0, "refusals": [refusal]})
            continue
        try:
            rules = Rules(
                facts,
                edited.tree,
                what=what,
                target=target,
                path=request["path"],
                typed_lines=edited.tokens.typed_lines,
            )
            added, refusals = _prove(source, facts, edited, rules, existing=EXISTING_TYPES in what)
        except RecursionError:
            added, refusals = [], [Refusal(Rule.CODE_CHANGED, 1, "too deeply nested to compare")]
        gain = sum(addition.kind in HINTS or addition.kind is Kind.DOCSTRING for addition in added)
        proofs.append({"parsed": True, "gain": gain, "refusals": refusals[:_MOST_REFUSALS]})
    return {"source_error": None, "proofs": proofs}


def _prove(
    source: _File, facts: Facts, edited: _File, rules: Rules, *, existing: bool
) -> tuple[list[Addition], list[Refusal]]:
    """What an edited file adds, and every rule that it breaks."""
    added, changed = additions(source.tree, edited.tree, existing=existing)
    if changed is not None:
        return added, [changed]
    moved = difference(source.tokens, edited.tokens, added)
    refusals = [moved] if moved is not None else []
    refusals += _plain_docstrings(edited, added)
    refusals += rules.broken(added)
    if facts.text_is_read is not None:
        refusals.append(
            Refusal(Rule.SOURCE_IS_READ, 1, f"{facts.text_is_read} may read the text of the file")
        )
    confusable = mixed_words(edited.text) - mixed_words(source.text)
    if confusable:
        words = ", ".join(sorted(confusable))[:80]
        refusals.append(Refusal(Rule.CONFUSABLE_CHARACTER, 1, f"letters that only look Latin, in {words!a}"))
    unseen = edited.invisible - source.invisible
    if unseen:
        names = ", ".join(sorted(f"U+{ord(character):04X}" for character in unseen))
        refusals.append(Refusal(Rule.INVISIBLE_CHARACTER, 1, f"adds characters that cannot be seen: {names}"))
    if edited.text.startswith("\ufeff") != source.text.startswith("\ufeff"):
        refusals.append(Refusal(Rule.TOKENS_CHANGED, 1, "the byte order mark is changed"))
    if edited.warnings > source.warnings:
        refusals.append(
            Refusal(Rule.NEW_WARNING, 1, "Python warns of the edited file, and not of the source")
        )
    if not refusals and not any(
        addition.kind in HINTS or addition.kind is Kind.DOCSTRING for addition in added
    ):
        refusals.append(Refusal(Rule.ADDS_NOTHING, 1, "no hint and no docstring is added"))
    return added, refusals


def _plain_docstrings(edited: _File, added: list[Addition]) -> list[Refusal]:
    """A docstring is one string token, neither several joined nor one in brackets."""
    refusals = []
    for addition in added:
        node = addition.node
        if addition.kind is not Kind.DOCSTRING or node.end_lineno is None or node.end_col_offset is None:
            continue
        first = edited.tokens.index(node.lineno, node.col_offset)
        after = edited.tokens.index(node.end_lineno, node.end_col_offset)
        tokens = edited.tokens.all[first:after]
        if len(tokens) != 1 or tokens[0].type != tokenize.STRING:
            refusals.append(Refusal(Rule.DOCSTRING_NOT_PLAIN, addition.line, "not one plain string"))
    return refusals


def mixed_words(text: str) -> Counter[str]:
    """Count the words in which letters of another script stand for Latin ones."""
    return Counter() if text.isascii() else Counter(_MIXED.findall(text))


def _is_invisible(character: str) -> bool:
    return (
        character in _LOOKS_EMPTY
        or "\ufe00" <= character <= "\ufe0f"
        or "\U000e0100" <= character <= "\U000e01ef"
        or unicodedata.category(character) in _INVISIBLE
    )


def _words(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"line {error.lineno or 1}: {error.msg}"
    return str(error)[:300] or type(error).__name__
