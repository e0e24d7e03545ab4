"""What an edit exchanges within a finding's own statement though nothing asks for it.

Within that statement an edit is freer than beside it, but not free. Where the checker has a repair of its own
and the edit comes close to it, all that the repair keeps must stay, and nothing may come in elsewhere than
where the repair changes something. Where there is none, or the edit goes another way, no number, operator,
known name or word of a text may give way to another one, nothing may be turned around, and no way out of the
function may come in, unless the rule or the checker's words speak of it.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise

from patchmill.edit.span import Hunk, split_lines
from patchmill.job.record import ToolEdit
from patchmill.verify.guards.asked import (
    OF_LEAVING,
    OF_NAMES,
    OF_NUMBERS,
    OF_OPERATORS,
    OF_ORDER,
    OF_TEXT,
    OF_UNUSED,
)
from patchmill.verify.guards.ground import Ground, Point
from patchmill.verify.guards.parts import (
    Part,
    Signs,
    blocks,
    brought,
    differing,
    extent,
    size,
    telling,
    within,
)
from patchmill.verify.guards.words import COMMON, MEANING, WORD, Sign, is_comment, signs_of
from patchmill.verify.outline.read import Lines
from patchmill.verify.tool_fixes import edits_as_hunks

_NEGATIONS = frozenset({"not", "!", "!=", "!==", "~"})
_LEAVES = frozenset({"return", "raise", "throw", "break", "continue", "assert", "yield", "del", "exit"})
_SILENCES = re.compile(
    r"noqa|type|pylint|eslint|oxlint|biome|ts|nosec|pyright|mypy|fmt|isort|ruff", re.IGNORECASE
)
_OPPOSITES = {"==": "!=", "<": ">=", ">": "<=", "and": "or", "===": "!==", "&&": "||"}
_OPPOSITES |= {after: before for before, after in _OPPOSITES.items()}
_MOST_LINES = 500  # comparing takes the third power of their number
_NEAR_SIGNS = 3
_FEW_LINES = 20
_MOST_EXCHANGED = 3


class Exchanges:
    """The exchanges of some hunks of a source."""

    def __init__(self, lines: Sequence[str], hunks: Sequence[Hunk], ground: Ground, *, hashes: bool) -> None:
        self._ground = ground
        self._hashes = hashes
        points = [point for point in ground.points if _touches(point.own, hunks)]
        self._points = points
        self._names = " ".join(point.name for point in points)
        self._said = frozenset().union(*(point.said for point in points))
        repairs = _repairs(lines, points, hunks)
        runs = _runs([*hunks, *repairs])
        self._numbers = [number for first, last in runs for number in (*range(first, last + 1), 0)]
        self._old = self._signs(_applied(lines, (), runs))
        self._new = self._signs(_applied(lines, hunks, runs))
        self._repaired = self._signs(_applied(lines, repairs, runs)) if repairs else None
        self._lines = lines
        own = {line for point in points for line in point.own}
        self._own = frozenset(own)
        self._marked = frozenset(line for point in points for line in point.marked)
        self._own_words = frozenset(
            sign.text
            for line in own
            if line <= len(lines)
            for sign in signs_of(lines[line - 1], hashes=hashes)
        )

    def found(self) -> list[str]:
        """Say in words what is exchanged without being asked for."""
        known = bool(self._points) and all(point.reproduced for point in self._points)
        if not known or max(len(self._old), len(self._new)) > _MOST_LINES:
            return []
        if self._repaired is not None:
            deviations = list(self._deviations(self._repaired))
            away, asked = size(deviations), size(differing(self._old, self._repaired))
            # If it has nothing of the repair, it is as far from that as both are from the source.
            repair = extent(self._old, self._repaired)
            apart = repair + extent(self._old, self._new)
            shares = not repair or extent(self._repaired, self._new) < apart
            if shares and away <= max(_NEAR_SIGNS, asked // 2):
                words = [words for part in deviations for words in self._deviates(part)]
                return words or self._reordered(self._repaired) or self._repeated()
        parts = list(differing(self._old, self._new))
        words = self._asserted() + [words for part in parts for words in self._exchanged(part)]
        return words or self._renumbered() or self._reordered(self._old) or self._leaves() or self._repeated()

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(WORD.findall("".join(self._lines)))

    @cached_property
    def _raises(self) -> bool:
        """Whether an assertion becomes a `raise`, whose condition is the other way round."""
        gone, come = self._counted(self._old), self._counted(self._new)
        return gone["assert"] > come["assert"] and come["raise"] > gone["raise"]

    def _asserted(self) -> list[str]:
        """An assertion that becomes a `raise` under the condition that was asserted."""
        turning = _NEGATIONS | _OPPOSITES.keys() | {"else"}
        before, after = self._counted(self._old), self._counted(self._new)
        if not self._raises or any(before[sign] != after[sign] for sign in turning):
            return []
        return ["what was asserted is now the condition of the `raise`: turn it around"]

    @staticmethod
    def _counted(lines: Iterable[Signs]) -> Counter[str]:
        return Counter(sign.text for line in lines for sign in line if not sign.quoted)

    def _signs(self, lines: Iterable[str]) -> list[Signs]:
        return [signs_of(line, hashes=self._hashes) for line in lines]

    def _deviations(self, repaired: Sequence[Signs]) -> Iterator[Part]:
        """Where the edit differs from the checker's own repair, but for what it leaves as it was."""
        free = brought(self._old, repaired)
        told = [
            Counter(sign.text for line in lines for sign in line if sign.tells)
            for lines in (self._old, repaired, self._new)
        ]
        said = {text for text, count in (told[0] & told[1]).items() if told[2][text] < count}
        there = set(self._old)
        for low, high, start, end in blocks(repaired, self._new):
            new = self._new[start:end]
            if high > low and new and there.issuperset(new) and not there.issuperset(repaired[low:high]):
                continue
            if high == low and all(map(is_comment, new)):
                continue
            if not all(map(_is_import, (*repaired[low:high], *new))):
                for part in within(repaired[low:high], new, free[low:high], low, said=said):
                    if part.old or not is_comment(part.new):
                        yield part

    def _deviates(self, part: Part) -> list[str]:
        """Why a difference from the checker's repair matters, if it does."""
        lost = telling(part.kept)
        come = telling(part.new)
        quoted = {sign.text for sign in part.new if sign.quoted}
        lost = [sign for sign in lost if sign.text not in quoted or sign.quoted]
        spared = OF_UNUSED.search(self._names) and not come
        silences = lost and all(sign.quoted for sign in lost) and _SILENCES.fullmatch(lost[0].text)
        if lost and not spared and not silences:
            return [f"`{_told(lost)}` is changed or gone, and the rule's own repair keeps it"]
        holds = len(come) == 1 and come[0].text in self._ground.imported and part.new[-1].text == "["
        if part.between and come and not holds:
            return [f"`{_told(come)}` is more than what the finding asks for"]
        if _turns(part.old) != _turns(part.new):
            return [f"`{_told(part.new) or _told(part.old)}` turns around what the rule's own repair says"]
        for before, after in zip(telling(part.old), come, strict=False):
            if _means_otherwise(before.text, after.text):
                return [f"`{after.text}` stands where the rule's own repair has `{before.text}`"]
        foreign = [sign for sign in come if not sign.quoted and self._is_foreign(sign.text)]
        return [f"`{_told(foreign)}` is another name than the finding is about"] if foreign else []

    def _exchanged(self, part: Part) -> list[str]:
        """Why signs may not give way to others, if they may not."""
        old, new = telling(part.old), telling(part.new)
        turned = _turns(old) != _turns(new) and {*old, *new} <= {*map(Sign, _NEGATIONS)}
        if turned and not self._raises and not self._asked(OF_OPERATORS, [*old, *new], part):
            return [f"`{_told([*old, *new])}` turns around what is said there, and no finding asks for that"]
        removed = any(point.removal for point in self._points) or OF_ORDER.search(self._names)
        if old and not new and self._is_beside(part) and not removed:
            return [f"`{_told(old)}` is gone, and no finding asks for that"]
        if len(old) != len(new) or len(old) > _MOST_EXCHANGED:
            return []
        return [
            f"`{before.text}` becomes `{after.text}`, and no finding asks for that"
            for before, after in zip(old, new, strict=True)
            if self._is_exchange(before, after, part)
        ]

    def _is_exchange(self, before: Sign, after: Sign, part: Part) -> bool:
        if before == after or after.text in self._said:
            return False
        if before.quoted and after.quoted:
            # As when a long string becomes two, or a placeholder gets its name.
            known = after.text in before.text or after.text in self._own_words
            return not known and not self._asked(OF_TEXT, [after], part) and not self._is_tight(part)
        if before.is_number and after.is_number:
            same = before.value == after.value
            return not same and not self._asked(OF_NUMBERS, [after], part) and not self._is_tight(part)
        if before.text in MEANING and after.text in MEANING:
            same = MEANING[before.text] == MEANING[after.text]
            same |= self._raises and _OPPOSITES.get(before.text) == after.text
            return not same and not self._asked(OF_OPERATORS, [after], part)
        if before.text in COMMON or after.text in COMMON or before.quoted or after.quoted:
            return False
        known = before.is_name and after.is_name and self._is_foreign(after.text)
        return known and not self._asked(OF_NAMES, [after], part) and not self._is_tight(part)

    def _is_foreign(self, name: str) -> bool:
        """Whether a word is a name of elsewhere in the file, which neither is imported nor belongs here."""
        if not WORD.fullmatch(name) or name in COMMON or name not in self._known:
            return False
        return name not in self._own_words and name not in self._said and name not in self._ground.imported

    def _asked(self, of: re.Pattern[str], signs: Iterable[Sign], part: Part) -> bool:
        """Whether the rule is about such things and points there, or the checker's words have a sign."""
        rule = bool(of.search(self._names)) and not self._is_beside(part)
        return rule or any(sign.text in self._said for sign in signs)

    def _is_beside(self, part: Part) -> bool:
        """Whether a line belongs to a finding's statement, and nothing points at it."""
        line = self._numbers[min(part.line, len(self._numbers) - 1)] if self._numbers else 0
        return line in self._own and line not in self._marked

    def _is_tight(self, part: Part) -> bool:
        """Whether the checker points at just what is exchanged."""
        return any(sign.text in point.pointed for point in self._points for sign in telling(part.old))

    def _reordered(self, base: Sequence[Signs]) -> list[str]:
        """Lines that say the same in another order, such as a call with arguments that changed places."""
        if OF_ORDER.search(self._names):
            return []
        return [
            f"`{_told(telling(new))}` is in another order, and no finding asks for that"
            for low, high, start, end in blocks(base, self._new)
            for old, new in zip(base[low:high], self._new[start:end], strict=False)
            if old != new and telling(old) != telling(new) and Counter(old) == Counter(new)
        ]

    def _renumbered(self) -> list[str]:
        """Numbers that are gone where others come in, such as that of a constant which gets a name."""
        before, after = (
            Counter(sign.value for line in lines for sign in line if sign.is_number)
            for lines in (self._old, self._new)
        )
        gone, come = before - after, after - before
        free = any(point.whole for point in self._points) or OF_NUMBERS.search(self._names)
        if not gone or not come or free:
            return []
        return [f"`{next(iter(gone))}` becomes `{next(iter(come))}`, and no finding asks for that"]

    def _repeated(self) -> list[str]:
        """Lines that come in twice, one right after the other."""
        before = Counter(pairwise(self._old))
        return [
            f"`{_told(line)}` is there twice"
            for (line, after), count in Counter(pairwise(self._new)).items()
            if line == after and len(telling(line)) > 1 and count > before[line, after]
        ]

    def _leaves(self) -> list[str]:
        """Ways out of what runs that come in, though no rule speaks of them."""
        before, after = (
            Counter(sign.text for line in lines for sign in line if not sign.quoted and sign.text in _LEAVES)
            for lines in (self._old, self._new)
        )
        if after.total() <= before.total() or OF_LEAVING.search(self._names) or _LEAVES & self._said:
            return []
        more = ", ".join(sorted(after - before))
        return [f"`{more}` comes in, and no finding asks for that"]


def _touches(own: frozenset[int], hunks: Sequence[Hunk]) -> bool:
    return any(line in own for hunk in hunks for line in range(hunk.start_line - 1, hunk.end_line + 2))


def _repairs(lines: Sequence[str], points: Sequence[Point], hunks: Sequence[Hunk]) -> list[Hunk]:
    """What the checker's own repairs change where hunks do, as far as they go together."""
    edits: list[ToolEdit] = []
    for edit in sorted({edit for point in points for edit in point.repair}, key=_start):
        if not edits or (edits[-1].end_line, edits[-1].end_column) <= _start(edit):
            edits.append(edit)
    return [
        repair
        for repair in edits_as_hunks(lines, edits) or ()
        if any(
            repair.start_line <= hunk.end_line + 1 and hunk.start_line <= repair.end_line + 1
            for hunk in hunks
        )
    ]


def _start(edit: ToolEdit) -> tuple[int, int]:
    return edit.start_line, edit.start_column


def _runs(hunks: Sequence[Hunk]) -> list[Lines]:
    """The lines that hunks touch, and the few between two of them, in runs."""
    runs: list[Lines] = []
    for hunk in sorted(hunks, key=lambda hunk: hunk.start_line):
        first, last = hunk.start_line, max(hunk.end_line, hunk.start_line - 1)
        if runs and first <= runs[-1][1] + _FEW_LINES:
            runs[-1] = runs[-1][0], max(runs[-1][1], last)
        else:
            runs.append((first, last))
    return runs


def _applied(lines: Sequence[str], hunks: Sequence[Hunk], runs: Sequence[Lines]) -> list[str]:
    """The lines of runs with hunks made, each of which lies in one, and a blank line after each run."""
    made: list[str] = []
    ordered = sorted(hunks, key=lambda hunk: (hunk.start_line, hunk.end_line))
    for first, last in runs:
        done = first - 1
        for hunk in ordered:
            if first <= hunk.start_line <= last + 1:
                made += [*lines[done : hunk.start_line - 1], *split_lines(hunk.replacement)]
                done = max(hunk.end_line, hunk.start_line - 1)
        made += [*lines[done:last], ""]
    return made


def _is_import(line: Signs) -> bool:
    """Whether a line begins to import; what it may import is for other guards to say."""
    return not line or line[0].text in {"import", "from"}


def _turns(signs: Iterable[Sign]) -> int:
    return sum(sign.text in _NEGATIONS and not sign.quoted for sign in signs) % 2


def _means_otherwise(before: str, after: str) -> bool:
    """Whether an operator stands for another one, or a value for none; truth values are a matter of taste."""
    if before in MEANING and after[:1].isdigit():
        return True
    both = before in MEANING and after in MEANING and MEANING[before] != MEANING[after]
    return both and not {before, after} <= {"True", "False", "true", "false"}


def _told(signs: Iterable[Sign]) -> str:
    return " ".join(sign.text for sign in signs)[:60]
