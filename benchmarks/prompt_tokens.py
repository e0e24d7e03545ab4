"""What a first call takes in tokens by edit format, beside showing the whole file and getting it back whole.

`python -m benchmarks.prompt_tokens [CASES]` writes the prompt of each lint case with a known answer as a
worker does, and that answer in each format, and counts both by the model's vocabulary. No model is asked.
"""

import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console
from rich.table import Table

from patchmill.call.excerpts import WHOLE_FILE_LINES, Layout
from patchmill.call.prompt import first_parts
from patchmill.call.tokens import count_tokens
from patchmill.dev.standin.blocks import write_blocks
from patchmill.dev.standin.chat.json_answers import as_json
from patchmill.dev.standin.chat.request import ChatRequest, Message
from patchmill.dev.standin.prompt import read_task
from patchmill.dev.standin.source_text import Change, SourceText, changes
from patchmill.edit.formats import EDIT_FORMATS
from patchmill.edit.protocol import EditFormat
from patchmill.edit.span import line_content, split_lines
from patchmill.evaluate.cases import DEVELOPMENT, Case, read_cases
from patchmill.job.record import Finding, KindName, Task
from patchmill.kinds import KINDS
from patchmill.kinds.languages import language_of
from worker.stages import layout_of

SUBMITTED_LINES = 80  # what is submitted is mostly as long as this, and most hand-made cases are not
PROMPT_BAR, ANSWER_BAR = 40, 15  # percent of the whole-file way
PROSE = "Repair the reported finding\n\nThe code is changed as the checker's rule wants it, and nothing else."
WHOLE_RULES = "Answer with a title, an explanation, and the whole file as it shall be, in one fenced block.\n"
_FINDING = ("tool", "rule", "message", "severity", "start_line", "start_column", "end_line", "end_column")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked, the file as it should become, and where its imports and definitions are."""

    task: Task
    gold: str
    layout: Layout | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Tokens of one call: the rules, which every prompt shares, what follows them, and the answer."""

    rules: int
    asked: int
    answer: int | None  # None where the right answer lies outside of what the prompt shows

    @property
    def prompt(self) -> int:
        """All tokens of the prompt."""
        return self.rules + self.asked


def main() -> None:
    """Measure, and print one table."""
    named = sys.argv[1] if sys.argv[1:] else DEVELOPMENT
    cases = [
        Asked(task=task, gold=gold, layout=layout_of(task))
        for task, gold in _lint_cases(named)
        if gold != task.source
    ]
    console = Console(width=120)
    _print(console, "all lint cases", cases)
    for fewest in (WHOLE_FILE_LINES + 1, SUBMITTED_LINES):
        files = [case for case in cases if len(split_lines(case.task.source)) >= fewest]
        _print(console, f"those in files of {fewest} lines and more", files)
    console.print(
        f"bars, of the medians: prompt at most {PROMPT_BAR} %, answer at most {ANSWER_BAR} %; "
        "the schema of json and tool counts as a part of the prompt"
    )


def _print(console: Console, title: str, cases: Sequence[Asked]) -> None:
    whole = [_whole(case.task, case.gold) for case in cases]
    table = Table(title=f"{len(cases)} cases, {title}: tokens, median / total, in % of the whole-file way")
    for heading in ("format", "prompt", "%", "after the rules", "%", "answer", "%", "not shown"):
        table.add_column(heading, justify="left" if heading == "format" else "right")
    measured = {name: [_size(each, case) for case in cases] for name, each in EDIT_FORMATS.items()}
    for name, sizes in {"whole file": whole, **measured}.items():
        table.add_row(name, *_row(sizes, whole))
    console.print(table)


def _row(sizes: Sequence[Size], whole: Sequence[Size]) -> list[str]:
    pairs = [(size, other) for size, other in zip(sizes, whole, strict=True) if size.answer is not None]
    answers = [(size.answer or 0, other.answer or 0) for size, other in pairs]
    columns = (
        [(size.prompt, other.prompt) for size, other in zip(sizes, whole, strict=True)],
        [(size.asked, other.asked) for size, other in zip(sizes, whole, strict=True)],
        answers,
    )
    cells = [cell for column in columns for cell in _cells(column)]
    return [*cells, str(len(sizes) - len(pairs))]


def _cells(column: Sequence[tuple[int, int]]) -> tuple[str, str]:
    """Say the median and the total, and both in percent of the whole-file way."""
    ours, others = zip(*column, strict=True)
    medians, totals = (statistics.median(ours), statistics.median(others)), (sum(ours), sum(others))
    shares = [f"{100 * one / other:.0f}" for one, other in (medians, totals)]
    return f"{medians[0]:,.0f} / {totals[0]:,}", " / ".join(shares)


def _whole(task: Task, gold: str) -> Size:
    """Count the whole-file way: rules, the file as it is, what is asked, the file as it shall be."""
    kind = KINDS[task.kind]
    file = f"File `{task.path}` ({task.language}):\n```{task.language}\n{task.source}```"
    asked = f"{file}\n\n{kind.describe(task)}"
    return Size(
        rules=count_tokens(f"{kind.rules}\n{WHOLE_RULES}"),
        asked=count_tokens(asked),
        answer=count_tokens(f"{PROSE}\n\n```{task.language}\n{gold}```\n"),
    )


def _size(edit_format: EditFormat, case: Asked) -> Size:
    task = case.task
    rules, *asked = first_parts(task, KINDS[task.kind], edit_format, layout=case.layout)
    tool = edit_format.tool
    schema = edit_format.answer_schema if tool is None else tool.parameters
    fixed = rules + ("" if schema is None else json.dumps(schema, separators=(",", ":")))
    text = "\n\n".join(asked)
    answer = _answer(edit_format, rules, text, task.source, case.gold)
    return Size(
        rules=count_tokens(fixed),
        asked=count_tokens(text),
        answer=None if answer is None else count_tokens(answer),
    )


def _answer(edit_format: EditFormat, rules: str, asked: str, source: str, gold: str) -> str | None:
    """Write the right answer as who reads the prompt can; None if it lies outside of what is shown."""
    read = read_task(asked, anchored=edit_format.name == "anchored_lines")
    if read is None:
        raise ValueError("a prompt without a file")
    old, new = _lines(source), _lines(gold)
    changed = [change for change in changes(old, new) if not _is_shown(change, read.shown)]
    if changed:
        return None
    # Who writes knows the whole file here, so that no line is quoted but what the place needs to be unique.
    task = replace(read, source=SourceText(old), shown=frozenset(range(1, len(old) + 1)))
    blocks = write_blocks(task, SourceText(new))
    if not blocks:
        return None
    words = "\n\n".join([PROSE, *blocks])
    if edit_format.answer_schema is None and edit_format.tool is None:
        return words
    return as_json(words, ChatRequest(model="", messages=[Message(role="system", content=rules)]))


def _lines(text: str) -> list[str]:
    return [line_content(line) for line in split_lines(text)]


def _is_shown(change: Change, shown: frozenset[int]) -> bool:
    """Whether the prompt shows the lines that a change replaces, or of an insertion a neighbour."""
    if change.old_start < change.old_end:
        return all(line in shown for line in range(change.old_start + 1, change.old_end + 1))
    return change.old_start in shown or change.old_start + 1 in shown


def _lint_cases(named: str) -> Iterator[tuple[Task, str]]:
    """Give the lint cases of a set, each with the file as it should become."""
    for case in read_cases(named):
        if case.findings and case.gold is not None:
            yield _task(case), case.gold


def _task(case: Case) -> Task:
    values: list[dict[str, Any]] = [{name: found.get(name) for name in _FINDING} for found in case.findings]
    findings = tuple(Finding(index=index, **each) for index, each in enumerate(values))
    language = language_of(case.path) or "python"
    return Task(kind=KindName.FIX, path=case.path, language=language, source=case.source, findings=findings)


if __name__ == "__main__":
    main()
