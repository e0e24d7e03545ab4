"""Cases with known answers: what is asked of one file, and the file as it should become.

A file of cases has one JSON object a line. `development` is the name of the set that comes with Patchmill.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from patchmill.errors import ConfigurationError

DEVELOPMENT = "development"
_SETS = Path(__file__).parent / "development"
_TEXTS = ("id", "kind", "path", "source", "origin", "licence")
_ASKING = ("findings", "instruction", "what", "scope", "context", "checkers")
_FIELDS = frozenset({*_TEXTS, *_ASKING, "gold"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case; `gold` is None where no right answer is known, and `asked` the fields of a job request."""

    id: str
    kind: str
    path: str
    source: str
    gold: str | None
    origin: str
    licence: str
    findings: Sequence[Mapping[str, Any]] = ()
    asked: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules of its findings, each once; for other cases what is asked for."""
        if self.findings:
            return tuple(dict.fromkeys(finding["rule"] for finding in self.findings))
        if self.kind == "annotate":
            return ("+".join(self.asked["what"]),)
        return ("instruction",)

    def request(self) -> dict[str, Any]:
        """Give what is asked as the request of a job, without options."""
        return {"kind": self.kind, "file": {"path": self.path, "content": self.source}, **self.asked}


def case_files(named: str) -> list[Path]:
    """Give the files that a name means: a bundled set, a folder of files, or the file itself.

    Raises:
        ConfigurationError: there is no such file.
    """
    path = _SETS if named == DEVELOPMENT else Path(named)
    if path.is_dir():
        return sorted(path.glob("*.jsonl"))
    if not path.is_file():
        raise ConfigurationError(
            f"there is no file {named}; name one with a case a line, or `{DEVELOPMENT}` for the bundled set"
        )
    return [path]


def read_cases(named: str) -> list[Case]:
    """Read all cases that a name means.

    Raises:
        ConfigurationError: a line is no case; the message says where and what to do.
    """
    cases: dict[str, Case] = {}
    for path in case_files(named):
        for where, line in _lines(path):
            case = _read(where, line)
            if case.id in cases:
                raise ConfigurationError(f"{where}: the id {case.id!r} is taken; give each case its own")
            cases[case.id] = case
    if not cases:
        raise ConfigurationError(f"{named} has no cases; write one JSON object a line")
    return list(cases.values())


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: is not UTF-8 ({error.reason} at byte {error.start})") from None
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield f"{path}:{number}", line


def _read(where: str, line: str) -> Case:
    try:
        given = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{where}: is no JSON ({error}); write each case on one line") from None
    wrong = _wrong(given)
    if wrong is not None:
        raise ConfigurationError(f"{where}: {wrong}")
    asked = {name: given[name] for name in _ASKING if name in given}
    return Case(
        **{name: given[name] for name in _TEXTS},
        gold=given.get("gold"),
        findings=tuple(given.get("findings", ())),
        asked=asked,
    )


def _wrong(given: Any) -> str | None:
    """Say what is wrong with a case and what would be right; the server judges what is asked in it."""
    if not isinstance(given, dict):
        return "must be an object"
    try:
        json.dumps(given, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return "has half of a surrogate pair (such as \\ud800) alone, which no text does"
    wrong = _wrong_fields(given)
    if wrong is not None:
        return wrong
    fitting = ("what",) if given["kind"] == "annotate" else ("findings", "instruction")
    if not any(given.get(name) for name in fitting):
        return f"the kind {given['kind']} needs {' or '.join(fitting)}"
    return _wrong_asking(given)


def _wrong_fields(given: Mapping[str, Any]) -> str | None:
    unknown = sorted(given.keys() - _FIELDS)
    if unknown:
        return f"has the unknown field {unknown[0]!r}; known are {', '.join(sorted(_FIELDS))}"
    lacking = [name for name in _TEXTS if not isinstance(given.get(name), str) or not given[name]]
    lacking = [name for name in lacking if name != "source" or not isinstance(given.get(name), str)]
    if lacking:
        return f"needs the text {lacking[0]!r}"
    if not given["id"].isprintable():
        return f"the id {given['id']!a} has characters that cannot be shown; use letters, digits and dashes"
    if given["kind"] not in {"fix", "annotate"}:
        return f"the kind {given['kind']!r} is not known; write fix or annotate"
    if not isinstance(given.get("gold"), str | None):
        return "gold must be the whole text of the right answer, or be left out"
    return None


def _wrong_asking(given: Mapping[str, Any]) -> str | None:
    findings, what = given.get("findings", []), given.get("what", ["types"])
    if not isinstance(what, list) or not all(isinstance(word, str) for word in what):
        return "what must be a list of words, such as types"
    whole = isinstance(findings, list) and all(
        isinstance(one, dict)
        and all(isinstance(one.get(name), str) for name in ("tool", "rule", "message"))
        and all(isinstance(one.get(name), int) for name in ("start_line", "end_line"))
        for one in findings
    )
    if not whole:
        return "findings must be a list of objects with tool, rule, message, start_line and end_line"
    return None
