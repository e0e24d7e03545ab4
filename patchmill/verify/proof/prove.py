"""Ask a child process whether edited files only add hints and docstrings to their source."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from patchmill.job.record import Annotation
from patchmill.verify import bare_python, sandbox
from patchmill.verify.proof.refusal import Refusal, Rule

# What ruff assumes, too, where nobody says which Python the code must run on.
DEFAULT_TARGET = (3, 10)
_CHILD = "patchmill.verify.proof.child"
_LIMITS = sandbox.Limits(wall_s=45.0, cpu_s=45)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """The answer for one edited file: proven if nothing is refused; `gain` counts hints and docstrings."""

    parsed: bool
    gain: int
    refusals: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unproven:
    """No answer: the source cannot be parsed by this Python, or the child process failed."""

    detail: str


def prove(
    source: str,
    edited: Sequence[str],
    *,
    path: str,
    what: frozenset[Annotation],
    target: tuple[int, int] | None,
) -> list[Proof] | Unproven:
    """Prove edited files, in one process; `what` is all that may be added, `target` the oldest Python."""
    request = {
        "source": source,
        "candidates": list(edited),
        "path": path,
        "what": sorted(what),
        "target": target or DEFAULT_TARGET,
    }
    completed = bare_python.run(_CHILD, stdin=json.dumps(request).encode(), limits=_LIMITS)
    if completed.failure is not None:
        return Unproven(detail=f"the proof gave no answer: {completed.failure}")
    answer = json.loads(completed.stdout)
    if answer["source_error"] is not None:
        version = ".".join(map(str, sys.version_info[:2]))
        return Unproven(detail=f"Python {version} cannot parse the source: {answer['source_error']}")
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
