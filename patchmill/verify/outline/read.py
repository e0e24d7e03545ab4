"""Ask a child process for the outline of a source and for what edits bring to it."""

import json
import marshal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from patchmill.edit.span import Hunk
from patchmill.verify.process import bare_python, sandbox
from patchmill.verify.syntax.grammar import BY_LANGUAGE, packages

Lines = tuple[int, int]  # first and last, 1-based, both included

_CHILD = "patchmill.verify.outline.child"
_LIMITS = sandbox.Limits(wall_s=45.0, cpu_s=45)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a finding is.

    `own` are the lines of the statements that it points at, of compound ones the header; `around` the
    outermost function that holds it, else its class, else its statements; `whole` the definition whose header
    it is in; `headers` those of all definitions that hold it, the outermost first.
    """

    own: tuple[Lines, ...]
    around: tuple[Lines, ...]
    whole: tuple[Lines, ...] = ()
    headers: tuple[Lines, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """What hunks bring: a fault that the language itself finds, modules, names with other than ASCII letters.

    `bound` are names that imports bind where hunks touch, each with what it stands for; of Python alone.
    `unparsed` says that the edited text could not be read, so that there is nothing to say of the others.
    """

    fault: str | None = None
    imports: tuple[str, ...] = ()
    bound: tuple[tuple[str, str], ...] = ()
    names: tuple[str, ...] = ()
    unparsed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """What was read of a source, and of each edited text in order; `read` is false if it could not be.

    `bound` are the names that imports bind, as those of an edited text.
    """

    read: bool
    imports: frozenset[str] = frozenset()
    bound: tuple[tuple[str, str], ...] = ()
    import_lines: tuple[Lines, ...] = ()
    functions: tuple[Lines, ...] = ()
    names: frozenset[str] = frozenset()
    places: tuple[Place, ...] = ()
    edited: tuple[Edited, ...] = field(default=())


def read(
    lines: Sequence[str],
    spans: Sequence[Lines],
    candidates: Sequence[Sequence[Hunk]],
    *,
    language: str,
    newer: bool = False,
) -> Outline | None:
    """Read a source, given as its lines, the places of spans in it, and what hunks that fit it bring.

    With `newer` the code is for a later Python than this one. None if nothing here can read the language, or
    the source. A candidate that ends the child is at fault.
    """
    entry = None if language == "python" else BY_LANGUAGE.get(language)
    if entry is None and language != "python":
        return None
    folders = [] if entry is None else packages("tree_sitter", entry.module)
    if folders is None:
        return None
    request: dict[str, Any] = {
        "grammar": None if entry is None else (entry.module, entry.entry, language),
        "packages": folders,
        "lines": list(lines),
        "spans": list(spans),
        "candidates": [[_plain(hunk) for hunk in hunks] for hunks in candidates],
        "newer": newer,
    }
    answer = _ask(request)
    if isinstance(answer, str) and candidates:
        # Whose fault was it? If the source is read alone, then of those that end the child when asked alone.
        answer = _ask({**request, "candidates": []})
        if not isinstance(answer, str):
            answer["edited"] = [_alone(request, hunks) for hunks in request["candidates"]]
    return None if isinstance(answer, str) else _outline(answer)


def _alone(request: dict[str, Any], hunks: Sequence[Any]) -> dict[str, Any]:
    answer = _ask({**request, "candidates": [hunks], "spans": []})
    if isinstance(answer, str):
        fault = f"no answer on the edited file: {answer}"
        return {"fault": fault, "imports": [], "bound": [], "names": [], "unparsed": True}
    return dict(answer["edited"][0])


def _ask(request: Mapping[str, Any]) -> dict[str, Any] | str:
    """The child's answer, or why there is none."""
    try:
        completed = bare_python.run(_CHILD, stdin=marshal.dumps(dict(request)), limits=_LIMITS)
    except OSError as error:
        return str(error)
    return completed.failure or dict(json.loads(completed.stdout))


def _plain(hunk: Hunk) -> tuple[int, int, str]:
    """A hunk as the 0-based range of lines that it replaces, and what stands there then."""
    return hunk.start_line - 1, max(hunk.start_line - 1, hunk.end_line), hunk.replacement


def _outline(answer: dict[str, Any]) -> Outline:
    if answer["unreadable"] is not None:
        return Outline(read=False)
    file = answer["file"]
    return Outline(
        read=True,
        imports=frozenset(file["imports"]),
        bound=_pairs(file["bound"]),
        import_lines=_lines(file["import_lines"]),
        functions=_lines(file["functions"]),
        names=frozenset(file["names"]),
        places=tuple(
            Place(**{name: _lines(place[name]) for name in ("own", "around", "whole", "headers")})
            for place in answer["places"]
        ),
        edited=tuple(
            Edited(
                fault=each["fault"],
                imports=tuple(each["imports"]),
                bound=_pairs(each["bound"]),
                names=tuple(each["names"]),
                unparsed=each["unparsed"],
            )
            for each in answer["edited"]
        ),
    )


def _pairs(pairs: Sequence[Sequence[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, target) for name, target in pairs)


def _lines(pairs: Sequence[Sequence[int]]) -> tuple[Lines, ...]:
    return tuple((first, last) for first, last in pairs)
