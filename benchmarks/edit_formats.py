"""What an answer costs in output tokens by its edit format: the same edits, and beside them the whole file.

`python -m benchmarks.edit_formats` lets the stand-in mend the bundled example and files of two installed
packages, writes each answer down in every format, and counts it by the model's vocabulary. No model is asked.
"""

import statistics
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from patchmill.call.prompt import first_parts, first_turn
from patchmill.call.tokens import count_tokens
from patchmill.cli import example_jobs, ruff_findings
from patchmill.dev.standin.chat.json_answers import as_json
from patchmill.dev.standin.chat.request import ChatRequest, Message
from patchmill.dev.standin.model import Turn, answer
from patchmill.edit.apply import apply_hunks, locate
from patchmill.edit.formats import EDIT_FORMATS
from patchmill.edit.protocol import EditFormat
from patchmill.job.record import Annotation, Finding, KindName, Task
from patchmill.kinds import KINDS

PACKAGES = ("celery", "kombu")  # they are installed wherever Patchmill is
RULES = {"select": ["B", "C4", "E7", "F", "PIE", "RET", "SIM", "UP"]}
CASES = 50
MOST_FINDINGS = 5
LARGEST_FILE = 40_000  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The output tokens of one answer, by format."""

    tokens: dict[str, int]


def main() -> None:
    """Measure, and print one table."""
    table = Table(title="output tokens: median per case / total")
    for heading in ("cases", "", "whole file", *EDIT_FORMATS):
        table.add_column(heading, justify="right")
    measured = {
        "the example's": [cost for task in _example() if (cost := _cost(task)) is not None],
        "lint fixes": _lint_costs(),
    }
    for name, costs in measured.items():
        table.add_row(
            str(len(costs)), name, *(_cell(costs, column) for column in ("whole file", *EDIT_FORMATS))
        )
    Console().print(table)


def _cell(costs: Sequence[Cost], column: str) -> str:
    tokens = [cost.tokens[column] for cost in costs]
    return f"{statistics.median(tokens):.0f} / {sum(tokens)}"


def _cost(task: Task) -> Cost | None:
    """Count the answer to a task in each format; None if the stand-in has none."""
    written = {name: _written(task, each) for name, each in EDIT_FORMATS.items()}
    edited = {name: _edited(task, EDIT_FORMATS[name], text) for name, text in written.items()}
    if task.source in edited.values():
        return None
    if len(set(edited.values())) > 1:
        raise ValueError(f"the formats do not hold the same edits: {task.path}")
    counted = {name: count_tokens(text) for name, text in written.items()}
    return Cost(tokens={"whole file": count_tokens(task.source), **counted})


def _written(task: Task, edit_format: EditFormat) -> str:
    """Let the stand-in answer in a format; of a call the arguments."""
    asked = first_turn(first_parts(task, KINDS[task.kind], edit_format))
    said = answer([Turn(role=message["role"], text=message["content"]) for message in asked])
    if edit_format.answer_schema is None and edit_format.tool is None:
        return said
    rules = Message(role="system", content=edit_format.instructions)
    return as_json(said, ChatRequest(model="", messages=[rules]))


def _edited(task: Task, edit_format: EditFormat, text: str) -> str:
    located = locate(task.source, edit_format.parse(text).edits)
    return apply_hunks(task.source, located.hunks)


def _example() -> Iterator[Task]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        example_jobs.write_files(folder)
        for job in example_jobs.make_jobs(folder):
            what = frozenset(map(Annotation, job.request.get("what", ())))
            source = job.request["file"]["content"]
            yield _task(job.path, source, job.findings, kind=KindName(job.kind), what=what)


def _lint_costs() -> list[Cost]:
    costs: list[Cost] = []
    used: Counter[str] = Counter()
    for path, source, found in _linted():
        # The rule that was measured least so far, so that no rule is all there is.
        for rule in sorted({finding["rule"] for finding in found}, key=lambda rule: (used[rule], rule)):
            task = _task(path, source, [one for one in found if one["rule"] == rule][:MOST_FINDINGS])
            cost = _cost(task)
            if cost is not None:
                used[rule] += 1
                costs.append(cost)
                break
        if len(costs) == CASES:
            break
    return costs


def _linted() -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    """Files with findings that ruff could mend itself: path, text, findings."""
    for package in PACKAGES:
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            raise FileNotFoundError(package)
        folder = Path(spec.origin).parent
        paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.py"))
        for path, found in ruff_findings.find(folder, paths, RULES).items():
            fixable = [finding for finding in found if finding["fixes"]]
            source = (folder / path).read_text(encoding="utf-8")
            if fixable and len(source) <= LARGEST_FILE:
                yield path, source, fixable


def _task(path: str, source: str, found: Sequence[dict[str, Any]], **more: Any) -> Task:
    findings = tuple(
        Finding(**{**finding, "index": index, "fixes": ()}) for index, finding in enumerate(found)
    )
    wanted = {"kind": KindName.FIX, **more}
    return Task(path=path, language="python", source=source, findings=findings, **wanted)


if __name__ == "__main__":
    main()
