"""The child process of this proof: reads a source and candidates as JSON, writes a verdict on each.

Run by `bare_python`, with the folders of the parser and the grammar in the request; hostile text is parsed
here and nowhere else. Trees are walked without recursion, since text decides how deep they are.
"""

import importlib
import json
import sys
from typing import Any

from patchmill.verify.erasure.rules import check_annotation, check_docstring, check_import
from patchmill.verify.erasure.tokens import Item, items, leaves, shape
from patchmill.verify.proof.refusal import Broken, Refusal, Rule

TYPES = "types"
DOCSTRINGS = "docstrings"
EXISTING_TYPES = "existing_types"
_MOST_REFUSALS = 20


class _File:
    """A text, parsed; `error` says where the grammar cannot read it."""

    def __init__(self, parser: Any, text: str) -> None:
        data = text.encode("utf-8", "replace")
        root = parser.parse(data).root_node
        self.root = root
        self.error = f"line {_first_error(root)}: it cannot be parsed" if root.has_error else None
        self.items = [] if root.has_error else items(root, data)


def main() -> None:
    """Answer one request from standard input."""
    request = json.load(sys.stdin.buffer)
    # At the end, so that nothing installed can stand in for the standard library.
    sys.path.extend(request["packages"])
    sys.stdout.write(json.dumps(answer(request)))


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Prove `candidates` against `source`, by the grammar that `module` gives under `entry`.

    The answer is that of `patchmill.verify.proof.child`.
    """
    tree_sitter = importlib.import_module("tree_sitter")
    grammar = getattr(importlib.import_module(request["module"]), request["entry"])
    parser = tree_sitter.Parser(tree_sitter.Language(grammar()))
    source = _File(parser, request["source"])
    if source.error is not None:
        return {"source_error": source.error, "proofs": []}
    proofs = []
    for text in request["candidates"]:
        edited = _File(parser, text)
        if edited.error is not None:
            line = _first_error(edited.root)
            refusals = [Refusal(Rule.NOT_PARSED, line, edited.error)]
            proofs.append({"parsed": False, "gain": 0, "refusals": refusals})
            continue
        gain, refusals = _Comparison(source, edited, frozenset(request["what"])).run()
        proofs.append({"parsed": True, "gain": gain, "refusals": refusals[:_MOST_REFUSALS]})
    return {"source_error": None, "proofs": proofs}


class _Comparison:
    """Both files side by side: without what is added the edited one must be the source."""

    def __init__(self, source: _File, edited: _File, what: frozenset[str]) -> None:
        self._source, self._edited = source, edited
        self._old, self._new = source.items, edited.items
        self._what = what
        self._words = frozenset(word for item in source.items for word in item.words)
        top = {child.type for child in source.root.children}
        self._is_module = bool(top & {"import_statement", "export_statement"})
        self._decorated = any(leaf.type == "@" for leaf in leaves(source.root))
        self._refusals: list[Refusal] = []
        self._imported: set[str] = set()
        self._gain = 0

    def run(self) -> tuple[int, list[Refusal]]:
        """Give how many hints and docstrings are added, and every rule that is broken."""
        self._imports()
        at = 0
        owed = ""  # of the gaps before what is left out: a line end there counts for what comes next
        for number, item in enumerate(self._new):
            old = self._old[at] if at < len(self._old) else None
            gap = item.gap or owed
            if old is not None and (old.kind, old.words) == (item.kind, item.words):
                if at and old.gap != gap:
                    self._refuse(Rule.TOKENS_CHANGED, item, "a line ends otherwise than in the source")
                    break
                at, owed = at + 1, ""
            elif item.kind == "token":
                was = "nothing" if old is None else " ".join(old.words)
                words = f"{item.words[0]!a:.80} stands where the source has {was!a:.80}"
                self._refuse(_rule_of(old), item, words)
                break
            else:
                at += self._added(item, old, number)
                owed = gap
        else:
            if at < len(self._old):
                gone = self._old[at]
                words = f"{' '.join(gone.words)!a:.80} of the source is missing"
                self._refusals.append(Refusal(_rule_of(gone), 1, words))
            elif shape(self._source.root) != shape(self._edited.root):
                words = "with the same tokens it would be read as other code"
                self._refusals.append(Refusal(Rule.CODE_CHANGED, 1, words))
        if not self._refusals and not self._gain:
            self._refusals.append(Refusal(Rule.ADDS_NOTHING, 1, "no hint and no docstring is added"))
        return self._gain, self._refusals

    def _imports(self) -> None:
        """Take in the names of new imports first: hints may stand before them."""
        there = {item.words for item in self._old if item.kind == "import"}
        for number, item in enumerate(self._new):
            if item.kind == "import" and item.words not in there:
                try:
                    self._imported |= check_import(
                        item,
                        words=self._words,
                        is_module=self._is_module,
                        before=self._new[:number],
                        after=self._new[number + 1 :],
                    )
                except Broken as broken:
                    self._refuse(broken.rule, item, broken.detail)

    def _added(self, item: Item, old: Item | None, number: int) -> int:
        """Judge what the source has not at this place; give how many of its items that takes the place of."""
        changed = old if item.kind == "annotation" and old is not None and old.kind == "annotation" else None
        try:
            self._check(item, changed, number)
        except Broken as broken:
            self._refuse(broken.rule, item, broken.detail)
        self._gain += item.kind != "import"
        return int(changed is not None)

    def _check(self, item: Item, changed: Item | None, number: int) -> None:
        after = self._new[number + 1] if number + 1 < len(self._new) else None
        if changed is not None and EXISTING_TYPES not in self._what:
            raise Broken(Rule.EXISTING_HINT_CHANGED, "a hint that was there is changed")
        wanted = DOCSTRINGS if item.kind == "comment" else TYPES
        if item.kind == "import" and EXISTING_TYPES in self._what:
            wanted = EXISTING_TYPES
        if changed is None and wanted not in self._what:
            raise Broken(Rule.NOT_ASKED_FOR, f"{wanted} were not asked for")
        if item.kind == "comment":
            check_docstring(item, self._new[number - 1] if number else None, after)
        elif item.kind == "annotation":
            known = self._words | self._imported
            check_annotation(item, after, known=known, decorated=self._decorated)
        if changed is not None and any(word.startswith(("//", "/*")) for word in changed.words):
            raise Broken(Rule.COMMENT_CHANGED, "a comment of the source is missing")

    def _refuse(self, rule: Rule, item: Item, detail: str) -> None:
        self._refusals.append(Refusal(rule, item.line, detail))


def _rule_of(gone: Item | None) -> Rule:
    """What is broken where something of the source is missing."""
    if gone is None or gone.kind in {"token", "import"}:
        return Rule.TOKENS_CHANGED
    return Rule.COMMENT_CHANGED if gone.kind == "comment" else Rule.EXISTING_HINT_CHANGED


def _first_error(root: Any) -> int:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.is_error or node.is_missing:
            return int(node.start_point[0]) + 1
        waiting.extend(child for child in reversed(node.children) if child.has_error or child.is_missing)
    return 1
