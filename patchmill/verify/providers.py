"""Hunks that bring a name, such as an import, and those that use it: where no checker would miss the name.

A checker that knows names reports one that is not there, so hunks find together by what it says of them. A
grammar reports nothing, and an edit without its import would be offered as it is.
"""

import re
from collections.abc import Callable, Sequence

from patchmill.edit.span import Hunk
from patchmill.verify.candidate import Hunks

_NAME = re.compile(r"[^\W\d]\w*")


def provided_for(source: str, hunks: Sequence[Hunk], *, touches: Callable[[Hunk], bool]) -> list[Hunks]:
    """Give disjoint sets of hunks that go together: one that touches no finding, and users of its names.

    Names are words that are new to the source. `touches` says whether a hunk changes lines of a finding.
    """
    known = frozenset(_NAME.findall(source))
    names = {hunk: frozenset(_NAME.findall(hunk.replacement)) - known for hunk in hunks}
    units: list[set[Hunk]] = []
    for provider in hunks:
        users = {other for other in hunks if names[other] & names[provider]}
        if touches(provider) or len(users) < 2:  # noqa: PLR2004 - it uses its own names itself
            continue
        meeting = [unit for unit in units if not unit.isdisjoint(users)]
        units = [unit for unit in units if unit not in meeting] + [users.union(*meeting)]
    return [tuple(unit) for unit in units]
