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

from patchmill.edit.span import Hunk, split_lines
from patchmill.job.record import ToolEdit
from patchmill.verify.guards.asked import (
    OF_ERRORS,
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
    brought,
    differences,
    differing,
    extent,
    is_long,
    size,
    telling,
    told,
    within,
)
from patchmill.verify.guards.tallies import NEGATIONS, OPPOSITES, Tallies
from patchmill.verify.guards.words import BUILTINS, COMMON, MEANING, WORD, Sign, is_comment, signs_of
from patchmill.verify.outline.read import Lines
from patchmill.verify.tool_fixes import edits_as_hunks

_SILENCES = re.compile(
    r"noqa|type|pylint|eslint|oxlint|biome|ts|nosec|pyright|mypy|fmt|isort|ruff", re.IGNORECASE
)
_TRUTHS = (("True", "False"), ("False", "True"), ("true", "false"), ("false", "true"))
_HOLD_GLOBALS = frozenset({"Number", "globalThis"})  # where JavaScript has its global functions as well
_NEAR_SIGNS = 3
_FEW_LINES = 20
_MOST_EXCHANGED = 3


class Exchanges:
    """The exchanges of some hunks of a source."""

    def __init__(self, lines: Sequence[str], hunks: Sequence[Hunk], ground: Ground) -> None:
        self._ground = ground
        points = [point for point in ground.points if _touches(point.own, hunks)]
        self._points = points
        self._names = " ".join(point.name for point in points)
        self._said = frozenset().union(*(point.said for point in points))
        self._shown = frozenset().union(*(point.shown for point in points))
        repairs = _repairs(lines, points, hunks)
        own = {line for point in points for line in point.own}
        runs = _runs([*hunks, *repairs])
        self._numbers = [number for first, last in runs for number in (*range(first, last + 1), 0)]
        self._old = self._signs(_applied(lines, (), runs))
        self._new = self._signs(_applied(lines, hunks, runs))
        # What an edit adds far from the findings, a repair does not have: others judge that.
        near = [run for run in runs if not own.isdisjoint(range(run[0] - 1, run[1] + 2))]
        versions = ((), repairs, hunks) if repairs else ()
        self._near = [self._signs(_applied(lines, each, near)) for each in versions]
        self._lines = lines
        self._own = frozenset(own)
        self._marked = frozenset(line for point in points for line in point.marked)
        self._own_words = frozenset(
            sign.text
            for line in own
            if line <= len(lines)
            for sign in signs_of(lines[line - 1], hashes=ground.hashes)
        )

    def found(self) -> list[str]:
        """Say in words what is exchanged without being asked for."""
        if not self._points or not all(point.reproduced for point in self._points):
            return []
        if is_long(self._old, self._new):
            return ["the edit changes more than can be compared: change only what the finding needs"]
        if self._near:
            old, repaired, new = self._near
            deviations = list(self._deviations(old, repaired, new))
            away, asked = size(deviations), size(differing(old, repaired))
            # If it has nothing of the repair, it is as far from that as both are from the source.
            repair = extent(old, repaired)
            apart = repair + extent(old, new)
            shares = not repair or extent(repaired, new) < apart
            if shares and (not repair or away <= max(_NEAR_SIGNS, asked // 2)):
                words = [words for part in deviations for words in self._deviates(part)]
                tallies = Tallies(repaired, new, self._points, self._known)
                words = words or _turned(old, repaired, new) or _reordered(repaired, new, self._names)
                return words or tallies.found(close=True)
        tallies = self._tallies
        parts = list(differing(self._old, self._new))
        words = [words for part in parts for words in self._exchanged(part)] or self._swapped(parts)
        words = tallies.asserted() or words or _reordered(self._old, self._new, self._names)
        return words or tallies.found(close=False)

    @cached_property
    def _tallies(self) -> Tallies:
        return Tallies(self._old, self._new, self._points, self._known)

    @cached_property
    def _brings_none(self) -> bool:
        """Whether the checker's repair brings a `None`, as for a default, which a type may tell as well."""
        old, repaired = (sum(line.count(Sign("None")) for line in lines) for lines in self._near[:2])
        return repaired > old

    @cached_property
    def _new_signs(self) -> frozenset[Sign]:
        return frozenset(sign for line in self._new for sign in line)

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(WORD.findall("".join(self._lines)))

    def _signs(self, lines: Iterable[str]) -> list[Signs]:
        return [signs_of(line, hashes=self._ground.hashes) for line in lines]

    def _deviations(
        self, old: Sequence[Signs], repaired: Sequence[Signs], edited: Sequence[Signs]
    ) -> Iterator[Part]:
        """Where the edit differs from the checker's own repair, but for what it leaves as it was."""
        free = brought(old, repaired)
        counts = [
            Counter(sign.text for line in lines for sign in line if sign.tells)
            for lines in (old, repaired, edited)
        ]
        said = {text for text, count in (counts[0] & counts[1]).items() if counts[2][text] < count}
        there = set(old)
        for low, high, start, end in differences(repaired, edited):
            new = edited[start:end]
            if high > low and new and there.issuperset(new) and not there.issuperset(repaired[low:high]):
                continue
            if high == low and all(map(is_comment, new)):
                continue
            if not all(map(_is_import, (*repaired[low:high], *new))) or _quoted(new) - _quoted(old):
                for part in within(repaired[low:high], new, free[low:high], low, said=said):
                    if part.old or not is_comment(part.new):
                        yield part

    def _deviates(self, part: Part) -> list[str]:
        """Why a difference from the checker's repair matters, if it does."""
        lost = telling(part.kept)
        come = telling(part.new)
        quoted = {sign.text for sign in part.new if sign.quoted}
        lost = [sign for sign in lost if sign.text not in quoted or sign.quoted]
        unbound = len(lost) > 1 and lost[0].text == "as" and lost[1] not in self._new_signs
        spared = (unbound or OF_UNUSED.search(self._names)) and not come
        silences = lost and all(sign.quoted for sign in lost) and _SILENCES.fullmatch(lost[0].text)
        if lost and not spared and not silences:
            return [f"`{told(lost)}` is changed or gone, and the rule's own repair keeps it"]
        holds = len(come) == 1 and (
            (come[0].text in self._ground.imported and part.new[-1].text == "[")
            or (come[0].text in _HOLD_GLOBALS and part.new[-1].text == ".")
        )
        holds |= self._brings_none and {sign.text for sign in come} == {"|", "None"}
        if part.between and come and not holds:
            return [f"`{told(come)}` is more than what the finding asks for"]
        if _turns(part.old) != _turns(part.new):
            return [f"`{told(part.new) or told(part.old)}` turns around what the rule's own repair says"]
        for before, after in zip(telling(part.old), come, strict=False):
            if _means_otherwise(before.text, after.text):
                return [f"`{after.text}` stands where the rule's own repair has `{before.text}`"]
        if come and not part.old and not holds and any(self._is_made_up(sign) for sign in come):
            return [f"`{told(come)}` is more than what the finding asks for"]
        foreign = [sign for sign in come if not sign.quoted and self._is_foreign(sign.text)]
        return [f"`{told(foreign)}` is another name than the finding is about"] if foreign else []

    def _exchanged(self, part: Part) -> list[str]:
        """Why signs may not give way to others, if they may not."""
        old, new = telling(part.old), telling(part.new)
        turned = _turns(old) != _turns(new) and {*old, *new} <= {*map(Sign, NEGATIONS)}
        if turned and not self._tallies.turns and not self._asked(OF_OPERATORS, [*old, *new], part):
            return [f"`{told([*old, *new])}` turns around what is said there, and no finding asks for that"]
        removed = any(point.removal for point in self._points) or OF_ORDER.search(self._names)
        if old and not new and self._is_beside(part) and not removed:
            return [f"`{told(old)}` is gone, and no finding asks for that"]
        remark = any(Sign("#", quoted=True) in line for line in self._old[part.line : part.line + 1])
        text = len(old) > _MOST_EXCHANGED and all(sign.quoted for sign in old) and not remark
        if text and not new and not removed and not OF_TEXT.search(self._names):
            return [f"`{told(old)}` is gone, and no finding asks for that"]
        if len(old) != len(new) or len(old) > _MOST_EXCHANGED:
            return []
        return [
            f"`{before.text}` becomes `{after.text}`, and no finding asks for that"
            for before, after in zip(old, new, strict=True)
            if self._is_exchange(before, after, part)
        ]

    def _swapped(self, parts: Sequence[Part]) -> list[str]:
        """Signs of which each stands where the other one did, or that went to another place in their line."""
        if OF_ORDER.search(self._names):
            return []
        both = [(telling(part.old), telling(part.new), part.line) for part in parts]
        turned = [
            old or new
            for old, new, line in both
            if old != new
            and any(
                (new, old, line) == other
                or (
                    not (old and new)
                    and line == other[2]
                    and Counter(old + other[0]) == Counter(new + other[1])
                )
                for other in both
            )
        ]
        return [f"`{told(signs)}` is in another place, and no finding asks for that" for signs in turned[:1]]

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
            same |= before.text in self._said and {before.text, after.text} == {"True", "False"}
            same |= self._tallies.turns > 0 and OPPOSITES.get(before.text) == after.text
            return not same and not self._asked(OF_OPERATORS, [after], part)
        if before.quoted or after.quoted:
            return False
        known = before.is_name and after.is_name and self._is_foreign(after.text)
        of = OF_ERRORS if OF_ERRORS.search(self._names) else OF_NAMES
        return known and not self._asked(of, [after], part) and not self._is_tight(part)

    def _is_foreign(self, name: str) -> bool:
        """Whether a word is a name of elsewhere in the file, which neither is imported nor belongs here."""
        if not WORD.fullmatch(name) or name not in (BUILTINS if name in COMMON else self._known):
            return False
        asked = name in self._said or (name in BUILTINS and name in self._shown)
        return not asked and name not in self._own_words and name not in self._ground.imported

    def _is_made_up(self, sign: Sign) -> bool:
        """Whether a name is neither of a language nor of a finding's lines or its checker's words."""
        known = self._own_words | self._said | self._shown | self._ground.imported | COMMON
        return sign.is_name and sign.text not in known

    def _asked(self, of: re.Pattern[str], signs: Iterable[Sign], part: Part) -> bool:
        """Whether the rule is about such things and points there, or the checker's words have a sign."""
        spanned = any(
            point.doubles or sign.text in point.spanned for point in self._points for sign in part.old
        )
        rule = bool(of.search(self._names)) and spanned and not self._is_beside(part)
        return rule or any(sign.text in self._said for sign in signs)

    def _is_beside(self, part: Part) -> bool:
        """Whether a line belongs to a finding's statement, and nothing points at it."""
        line = self._numbers[min(part.line, len(self._numbers) - 1)] if self._numbers else 0
        return line in self._own and line not in self._marked

    def _is_tight(self, part: Part) -> bool:
        """Whether the checker points at just what is exchanged."""
        return any(sign.text in point.pointed for point in self._points for sign in telling(part.old))


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


def _reordered(base: Sequence[Signs], new: Sequence[Signs], names: str) -> list[str]:
    """Lines that say the same in another order, such as a call with arguments that changed places."""
    if OF_ORDER.search(names):
        return []
    return [
        f"`{told(after)}` is in another order, and no finding asks for that"
        for low, high, start, end in differences(base, new)
        for before, after in zip(base[low:high], new[start:end], strict=False)
        if before != after and telling(before) != telling(after) and Counter(before) == Counter(after)
    ]


def _turned(old: Sequence[Signs], repaired: Sequence[Signs], new: Sequence[Signs]) -> list[str]:
    """Truth values for which the opposite comes in, which the checker's repair does not bring."""
    counts = [Counter(sign.text for line in lines for sign in line) for lines in (old, repaired, new)]
    before, meant, after = counts
    return [
        f"`{value}` becomes `{other}`, and no finding asks for that"
        for value, other in _TRUTHS
        if after[value] < before[value] and after[other] > max(before[other], meant[other])
    ]


def _quoted(lines: Iterable[Signs]) -> set[Sign]:
    return {sign for line in lines for sign in line if sign.quoted and sign.tells}


def _is_import(line: Signs) -> bool:
    """Whether a line begins to import; what it may import is for other guards to say."""
    return not line or line[0].text in {"import", "from"}


def _turns(signs: Iterable[Sign]) -> int:
    return sum(sign.text in NEGATIONS and not sign.quoted for sign in signs) % 2


def _means_otherwise(before: str, after: str) -> bool:
    """Whether an operator stands for another one, or a value for none; truth values are a matter of taste."""
    if before in MEANING and after[:1].isdigit():
        return True
    both = before in MEANING and after in MEANING and MEANING[before] != MEANING[after]
    return both and not {before, after} <= {"True", "False", "true", "false"}
