"""A set of hunks on trial: the text that they make, whether they apply, and whether they stay in scope."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from patchmill.edit.apply import apply_hunks
from patchmill.edit.encoding import UTF_8
from patchmill.edit.span import Hunk
from patchmill.verify.cookie import unwritable
from patchmill.verify.evidence import Check, CheckName, Result

Hunks = tuple[Hunk, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Meant:
    """Hunks that whoever made them means to go together, and the indexes of the findings they are for."""

    hunks: Hunks
    findings: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Hunks, the edited text if they apply, and the checks `applies` and `in_scope`."""

    hunks: Hunks
    text: str | None
    checks: tuple[Check, ...]

    @property
    def usable(self) -> bool:
        """Whether there is a text that is worth checking."""
        return self.text is not None and all(check.result is Result.PASSED for check in self.checks)


def candidate(
    source: str, hunks: Sequence[Hunk], scope: tuple[int, int] | None, encoding: str = UTF_8
) -> Candidate:
    """Try hunks on the source; `scope` is the lines that they may touch, 1-based, both included.

    `encoding` is that of the file's bytes, which the edited text must be writable in.
    """
    ordered = in_order(hunks)
    text: str | None = None
    try:
        text = apply_hunks(source, ordered)
    except ValueError as error:
        applies = Check(check=CheckName.APPLIES, result=Result.FAILED, detail=str(error))
    else:
        reason = unwritable(source, text, encoding)
        result = Result.PASSED if reason is None else Result.FAILED
        applies = Check(check=CheckName.APPLIES, result=result, detail=reason or lines_of(ordered))
    return Candidate(hunks=ordered, text=text, checks=(applies, _in_scope(ordered, scope)))


def in_order(hunks: Iterable[Hunk]) -> Hunks:
    """Hunks by their place in the file, each once."""
    return tuple(sorted(set(hunks), key=lambda hunk: (hunk.start_line, hunk.end_line, hunk.replacement)))


def lines_of(hunks: Iterable[Hunk]) -> str:
    """Name the lines of the source that hunks change, in words."""
    return ", ".join(
        f"before line {hunk.start_line}"
        if hunk.end_line < hunk.start_line
        else f"line {hunk.start_line}"
        if hunk.end_line == hunk.start_line
        else f"lines {hunk.start_line} to {hunk.end_line}"
        for hunk in hunks
    )


def _in_scope(hunks: Hunks, scope: tuple[int, int] | None) -> Check:
    if scope is None:
        return Check(check=CheckName.IN_SCOPE, result=Result.PASSED, detail="the whole file")
    first, last = scope
    outside = [hunk for hunk in hunks if hunk.start_line < first or hunk.end_line > last]
    if not outside:
        return Check(check=CheckName.IN_SCOPE, result=Result.PASSED, detail=f"lines {first} to {last}")
    detail = f"{lines_of(outside)}: only lines {first} to {last} may change"
    return Check(check=CheckName.IN_SCOPE, result=Result.FAILED, detail=detail)
