"""Ask a child process whether edited files only add hints and docstrings to their source."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from patchmill.job.record import Annotation
from patchmill.verify.process import bare_python, sandbox
from patchmill.verify.proof.refusal import Refusal, Rule
from patchmill.verify.syntax.grammar import BY_LANGUAGE, packages

# What ruff assumes, too, where nobody says which Python the code must run on.
DEFAULT_TARGET = (3, 10)
_CHILD = "patchmill.verify.proof.child"
_ERASURE_CHILD = "patchmill.verify.erasure.child"
_LIMITS = sandbox.Limits(wall_s=45.0, cpu_s=45)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """The answer for one edited file: proven if nothing is refused; `gain` counts hints and docstrings."""

    parsed: bool
    gain: int
    refusals: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unproven:
    """No answer: the source cannot be parsed, or the child process failed and might not when tried again."""

    detail: str
    failed: bool = False


def prove(
    source: str,
    edited: Sequence[str],
    *,
    path: str,
    what: frozenset[Annotation],
    target: tuple[int, int] | None,
    language: str = "python",
) -> list[Proof] | Unproven:
    """Prove edited files, in one process; `what` is all that may be added, `target` the oldest Python."""
    request: dict[str, Any] = {"source": source, "candidates": list(edited), "what": sorted(what)}
    if language == "python":
        child = _CHILD
        request |= {"path": path, "target": target or DEFAULT_TARGET}
    else:
        child = _ERASURE_CHILD
        grammar = BY_LANGUAGE[language]
        folders = packages("tree_sitter", grammar.module)
        if folders is None:
            return Unproven(detail=f"{grammar.module} is not installed", failed=True)
        request |= {"packages": folders, "module": grammar.module, "entry": grammar.entry}
    try:
        completed = bare_python.run(child, stdin=json.dumps(request).encode(), limits=_LIMITS)
    except OSError as error:
        return Unproven(detail=f"the proof could not be started: {error.strerror}", failed=True)
    if completed.failure is not None:
        return Unproven(detail=f"the proof gave no answer: {completed.failure}", failed=True)
    answer = json.loads(completed.stdout)
    if answer["source_error"] is not None:
        reader = (
            f"Python {'.'.join(map(str, sys.version_info[:2]))}" if language == "python" else "tree-sitter"
        )
        return Unproven(detail=f"{reader} cannot parse the source: {answer['source_error']}")
    return [
        Proof(
            parsed=proof["parsed"],
            gain=proof["gain"],
            refusals=tuple(
                Refusal(Rule(rule), int(line), str(detail)) for rule, line, detail in proof["refusals"]
            ),
        )
        for proof in answer["proofs"]
    ]
