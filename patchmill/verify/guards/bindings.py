"""Names that imports bind: an edit may not let one stand for something else than before.

The rest of the file uses such a name for what it meant. It may stand for another thing where a finding is
about the import and its rule about names, or where the checker's words say what to import instead.
"""

import re
from collections.abc import Iterator, Sequence

from patchmill.verify.guards.asked import OF_NAMES
from patchmill.verify.guards.ground import Ground
from patchmill.verify.guards.words import BUILTINS
from patchmill.verify.outline.read import Edited, Outline

_WORD = re.compile(r"\w+")


def rebound(outline: Outline, edited: Edited, ground: Ground, lines: Sequence[str]) -> Iterator[str]:
    """Say in words which names stand for something else in the edited file."""
    meant: dict[str, set[str]] = {}
    for name, target in outline.bound:
        meant.setdefault(name, set()).add(target)
    if any(OF_NAMES.search(point.name) and point.own & ground.imports for point in ground.points):
        return
    said = frozenset().union(*(point.said for point in ground.points if not point.removal))
    for name, target in edited.bound:
        before = meant.get(name, set())
        if target in before:
            continue
        new = {*_WORD.findall(target)}.difference(*map(_WORD.findall, before))
        if before and not (new and new <= said):
            yield f"{name} stands for {target} and no more for {min(before)}, and no finding asks for that"
        elif not before and name in BUILTINS - said and any(name in _WORD.findall(line) for line in lines):
            yield f"{name} stands for {target} and no more for Python's own, and no finding asks for that"
