"""The JSON object in which a model proposes edits: old lines and the lines that take their place.

How it is read:

- Text is a list of lines, as asked for, or a string; a line that holds line ends is several lines.
- What is not JSON to its end still gives the edits that are complete, and one rejection for the rest.
- A key that comes twice with different values leaves open what is meant: `ambiguous`.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from patchmill.edit.answer_text import joined, without_unstorable
from patchmill.edit.prose import EXPLANATION_LIMIT, TITLE_LIMIT, plain
from patchmill.edit.protocol import Edit, Proposal, Rejection, RejectionReason
from patchmill.edit.span import line_content, split_lines

_LINES = {"type": "array", "items": {"type": "string"}}
_EDIT = {
    "type": "object",
    "properties": {"search": _LINES, "replace": _LINES},
    "required": ["search", "replace"],
    "additionalProperties": False,
}
ANSWER_SCHEMA = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "explanation": {"type": "string"},
        "edits": {"type": "array", "items": _EDIT},
        "no_change": {"type": ["string", "null"]},
    },
    "required": ["title", "explanation", "edits", "no_change"],
    "additionalProperties": False,
}

_BEGINS = re.compile(r'\{\s*"(?:title|explanation|edits|no_change)"\s*:')
_EDITS = re.compile(r'"edits"\s*:\s*\[')
_PROSE = re.compile(r'"(title|explanation)"\s*:\s*(?=")')
_BETWEEN = re.compile(r"[\s,]*")
_TRIED = 10  # places at which the answer's object may begin
_SINGLE = frozenset({"edits", "no_change", "search", "replace"})  # keys that must not come twice


@dataclass(frozen=True, slots=True)
class _Twice:
    """An object in which a key came twice, with different values."""

    key: str


@dataclass(frozen=True, slots=True)
class _Fault:
    reason: RejectionReason
    detail: str


@dataclass(slots=True)
class _Read:
    """What an answer holds: its object, or what could be read of it, and what is wrong with the rest."""

    document: Mapping[str, Any]
    faults: list[_Fault] = field(default_factory=list)


# What every format with this object says of it.
EXAMPLE_AND_RULES = """\
{"title": "one short line", "explanation": "one to three plain sentences", "edits": \
[{"search": ["old line"], "replace": ["new line"]}], "no_change": null}

- search copies whole lines exactly, just enough to be unique in the file; replace repeats those that stay.
- To delete, replace is []; search is [] only if the file is empty.
- To change nothing, edits is [] and no_change the reason.
"""


def proposal_in(text: str) -> Proposal:
    """Read the object in a text, which may stand in a fence or between other text; never raises.

    Complete edits become `edits` in their order, with LF ends; the others become rejections, numbered on
    after the edits. An answer without edits and without a reason for that is not declined.
    """
    read = _read(text)
    document, faults = read.document, read.faults
    edits: list[Edit] = []
    for edit in _edits(document.get("edits")):
        if isinstance(edit, Edit):
            edits.append(edit)
        else:
            faults.append(edit)
    return Proposal(
        title=plain(" ".join(_prose(document, "title").split()), limit=TITLE_LIMIT),
        explanation=plain(_prose(document, "explanation"), limit=EXPLANATION_LIMIT),
        edits=tuple(edits),
        rejections=tuple(
            Rejection(edit=number, reason=fault.reason, detail=fault.detail)
            for number, fault in enumerate(faults, start=len(edits))
        ),
        declined=None if edits or faults else _declined(document.get("no_change")),
    )


def _read(text: str) -> _Read:
    begins = [found.start() for found in islice(_BEGINS.finditer(text), _TRIED)]
    for at in begins:
        document, _ = _decoded(text, at)
        if isinstance(document, _Twice):
            return _Read({}, [_twice("the answer", document)])
        if isinstance(document, dict) and ("edits" in document or "no_change" in document):
            return _Read(document)
    return _broken(text, begins[0]) if begins else _Read({})


def _broken(text: str, at: int) -> _Read:
    """Read an object that is not JSON to its end: its prose, and its edits up to where it breaks."""
    document, _ = _decoded(text, at)
    if isinstance(document, dict):
        return _Read(document)
    opened = _EDITS.search(text, at)
    if opened is None:
        return _Read({}, [document])
    prose = {found[1]: _decoded(text, found.end())[0] for found in _PROSE.finditer(text, at, opened.start())}
    edits: list[Any] = []
    stop = _past_separator(text, opened.end())
    while text[stop : stop + 1] == "{":
        edit, after = _decoded(text, stop)
        if isinstance(edit, _Fault):
            break
        edits.append(edit)
        stop = _past_separator(text, after)
    # With the end of the list in hand, nothing is missing that matters.
    return _Read({**prose, "edits": edits}, [] if text[stop : stop + 1] == "]" else [document])


def _decoded(text: str, at: int) -> tuple[Any, int]:
    """Decode the JSON value at an index: the value, or a fault, and the index after it."""
    try:
        return _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        detail = f"the JSON of the answer ends or breaks at character {error.pos + 1}: {error.msg}"
    except RecursionError:
        detail = "the JSON of the answer is nested too deeply"
    return _Fault(RejectionReason.UNTERMINATED, detail), at


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Twice:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in _SINGLE and key in found and found[key] != value:
            return _Twice(key)
        found[key] = value
    return found


# Not strict, since models leave tabs and line ends in strings as they are. Whole numbers of thousands of
# digits cannot be read as such, and no number means anything here.
_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=float, strict=False)


def _past_separator(text: str, at: int) -> int:
    found = _BETWEEN.match(text, at)
    return found.end() if found else at


def _edits(value: Any) -> list[Edit | _Fault]:
    if value is None:
        return []
    if not isinstance(value, list):
        value = [value]
    return [_edit(item, f"edit {number}") for number, item in enumerate(value, start=1)]


def _edit(item: Any, where: str) -> Edit | _Fault:
    if isinstance(item, _Twice):
        return _twice(where, item)
    if not isinstance(item, dict):
        detail = f"{where} is no object with search and replace"
        return _Fault(RejectionReason.UNTERMINATED, detail)
    texts = {key: _text(item.get(key)) for key in ("search", "replace")}
    search, replace = texts.values()
    if search is None or replace is None:
        wrong = " and ".join(key for key, text in texts.items() if text is None)
        return _Fault(RejectionReason.UNTERMINATED, f"{where} has no list of lines in {wrong}")
    return Edit(search=search, replace=replace)


def _twice(where: str, found: _Twice) -> _Fault:
    return _Fault(RejectionReason.AMBIGUOUS, f"{where} has {found.key} twice, with different values")


def _text(value: Any) -> str | None:
    """Give lines, or a string, as text whose every line ends in LF; None for anything else."""
    if isinstance(value, str):
        lines = split_lines(value)
    elif isinstance(value, list) and all(isinstance(line, str) for line in value):
        lines = [part for line in value for part in split_lines(line) or [""]]
    else:
        return None
    return without_unstorable(joined([line_content(line) for line in lines]))


def _prose(document: Mapping[str, Any], key: str) -> str:
    value = document.get(key)
    return value if isinstance(value, str) else ""


def _declined(value: Any) -> str | None:
    if value is True or (isinstance(value, str) and value.strip()):
        return plain(value if isinstance(value, str) else "", limit=EXPLANATION_LIMIT) or "no reason given"
    return None
