from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchmill.call.prompt import prompt_versions
from patchmill.job.ladder import Policy
from patchmill.job.record import (
    Annotation,
    ContextFile,
    Finding,
    KindName,
    Options,
    Priority,
    Scope,
    Task,
    ToolEdit,
    ToolFix,
)
from patchmill.job.retry import UnknownPolicy
from patchmill.job.work import task_key, terms_key

texts = st.text(max_size=12)
names = st.text("abc_.", min_size=1, max_size=8)
lines = st.integers(1, 500)
edits = st.builds(
    ToolEdit, start_line=lines, start_column=lines, end_line=lines, end_column=lines, text=texts
)
fixes = st.builds(ToolFix, safe=st.booleans(), edits=st.lists(edits, max_size=2).map(tuple))
findings = st.builds(
    Finding,
    index=st.just(0),
    tool=names,
    rule=names,
    message=texts,
    severity=names,
    start_line=lines,
    end_line=lines,
    start_column=st.none() | lines,
    end_column=st.none() | lines,
    fixes=st.lists(fixes, max_size=2).map(tuple),
)
settings = st.dictionaries(
    names, st.booleans() | st.integers(2, 500) | st.lists(names, max_size=2), max_size=2
)


def numbered(found: list[Finding]) -> tuple[Finding, ...]:
    return tuple(replace(finding, index=index) for index, finding in enumerate(found))


tasks = st.builds(
    Task,
    kind=st.sampled_from(KindName),
    path=names.map("src/{}".format),
    language=names,
    source=texts,
    findings=st.lists(findings, max_size=3).map(numbered),
    what=st.frozensets(st.sampled_from(Annotation)),
    instruction=st.none() | texts,
    scope=st.none() | st.builds(Scope, start_line=lines, end_line=lines),
    context=st.lists(st.builds(ContextFile, path=names, content=texts), max_size=2).map(tuple),
    checkers=st.dictionaries(names, settings, max_size=2),
    reported=st.dictionaries(names, st.lists(names, max_size=2), max_size=2),
    options=st.builds(Options, model=st.none() | names, max_calls=st.none() | st.integers(1, 8)),
)

FINDING = Finding(
    index=0,
    tool="ruff",
    rule="B006",
    message="m",
    severity="warning",
    start_line=4,
    end_line=4,
    fixes=(
        ToolFix(
            safe=True,
            edits=(ToolEdit(start_line=4, start_column=1, end_line=4, end_column=2, text="x"),),
        ),
    ),
)
OTHER = replace(FINDING, index=1, rule="F401", start_line=1, end_line=1)
TASK = Task(
    kind=KindName.FIX,
    path="src/app.py",
    language="python",
    source="import os\n",
    findings=(FINDING, OTHER),
    scope=Scope(start_line=1, end_line=80),
    checkers={"ruff": {"select": ["B"], "line-length": 100}},
)


def with_finding(**changes: Any) -> Task:
    return replace(TASK, findings=(replace(FINDING, **changes), OTHER))


def with_options(**changes: Any) -> Task:
    return replace(TASK, options=replace(TASK.options, **changes))


def with_edit(**changes: Any) -> Task:
    [fix] = FINDING.fixes
    edited = replace(fix, edits=(replace(fix.edits[0], **changes),))
    return with_finding(fixes=(edited,))


_TASK = "kind path language source encoding findings what"
DIFFERENT: dict[str, Task] = {
    "kind": replace(TASK, kind=KindName.ANNOTATE),
    "name of the file": replace(TASK, path="src/__init__.py"),
    "language": replace(TASK, language="pyi"),
    "content": replace(TASK, source="import os\r\n"),
    "encoding": replace(TASK, encoding="iso8859-1"),
    "a finding less": replace(TASK, findings=(FINDING,)),
    "no finding": replace(TASK, findings=()),
    "findings in another order": replace(TASK, findings=(replace(OTHER, index=0), replace(FINDING, index=1))),
    "rule": with_finding(rule="B008"),
    "tool": with_finding(tool="flake8"),
    "message": with_finding(message="n"),
    "severity": with_finding(severity="error"),
    "place": with_finding(start_line=3),
    "column": with_finding(start_column=12),
    "fix of the tool": with_finding(fixes=()),
    "text of its edit": with_edit(text="y"),
    "place of its edit": with_edit(end_column=3),
    "what": replace(TASK, what=frozenset({Annotation.TYPES})),
    "instruction": replace(TASK, instruction="Rename it."),
    "scope": replace(TASK, scope=Scope(start_line=1, end_line=81)),
    "no scope": replace(TASK, scope=None),
    "context": replace(TASK, context=(ContextFile(path="a.py", content=""),)),
    "settings of a checker": replace(TASK, checkers={"ruff": {"select": ["B"], "line-length": 99}}),
    "rules of the run": replace(TASK, reported={"ruff": ["E741"]}),
    "model": with_options(model="mine"),
    "escalation": with_options(escalate=False),
    "fixes of tools": with_options(tool_fixes=False),
    "edit format": with_options(edit_format="json"),
    "number of calls": with_options(max_calls=1),
}
SAME: dict[str, Task] = {
    "folder": replace(TASK, path="lib/deep/app.py"),
    "priority": with_options(priority=Priority.BULK),
    "order of settings": replace(TASK, checkers={"ruff": {"line-length": 100, "select": ["B"]}}),
    "findings told in another order": replace(TASK, findings=(OTHER, FINDING)),
    "rules of the run that are the file's own": replace(TASK, reported={"Ruff": ["F401", "B006"]}),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_whatever_decides_the_result_is_in_the_key(name: str) -> None:
    assert task_key(DIFFERENT[name]) != task_key(TASK)


def test_no_two_of_these_differences_are_taken_for_each_other() -> None:
    keys = [task_key(task) for task in DIFFERENT.values()]

    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("name", SAME)
def test_what_decides_nothing_of_it_is_not(name: str) -> None:
    assert task_key(SAME[name]) == task_key(TASK)


@pytest.mark.parametrize("change", [{"instruction": "x"}, {"context": (ContextFile(path="a", content=""),)}])
def test_the_folder_counts_where_a_text_can_speak_of_it(change: dict[str, Any]) -> None:
    here = replace(TASK, **change)

    assert task_key(here) != task_key(replace(here, path="lib/app.py"))


@pytest.mark.parametrize(
    ("record", "weighed"),
    [
        (Task, f"{_TASK} instruction scope context checkers reported options"),
        (Options, "model escalate tool_fixes reuse edit_format max_calls priority"),
        (Finding, "index tool rule message severity start_line end_line start_column end_column fixes"),
        (ToolFix, "safe edits"),
        (ToolEdit, "start_line start_column end_line end_column text"),
        (ContextFile, "path content"),
    ],
)
def test_no_field_is_new_without_a_word_about_the_key(record: Any, weighed: str) -> None:
    """Whoever adds one decides whether it changes the result, in `job/work.py` and in the lists above."""
    assert [field.name for field in fields(record)] == weighed.split()


def test_a_task_that_wants_no_other_result_has_no_key() -> None:
    assert task_key(with_options(reuse=False)) is None


def essence(task: Task) -> Any:
    """Say the same as the key in another way: a tuple that is compared, not digested."""
    folder = task.path if task.instruction is not None or task.context else task.path.rpartition("/")[2]
    baseline = {(finding.tool.lower(), finding.rule) for finding in task.findings}
    baseline |= {(tool.lower(), rule) for tool, rules in task.reported.items() for rule in rules}
    return replace(task, path=folder, reported={"": [repr(one) for one in sorted(baseline)]})


@given(tasks, tasks)
def test_two_tasks_have_one_key_exactly_if_they_ask_for_the_same(one: Task, other: Task) -> None:
    assert (task_key(one) == task_key(other)) == (essence(one) == essence(other))


@given(tasks, st.data())
def test_a_change_of_one_field_is_seen_beside_all_others(task: Task, data: st.DataObject) -> None:
    changed = {
        name: getattr(data.draw(tasks), name)
        for name in data.draw(st.sets(st.sampled_from(list(Task.__dataclass_fields__)), max_size=2))
    }
    other = replace(task, **changed)

    assert (task_key(task) == task_key(other)) == (essence(task) == essence(other))


POLICY = Policy(model="flash", escalation_model="pro", fallback_model="old")
TERMS: dict[str, Callable[[], bytes]] = {
    "as they are": lambda: terms_key(POLICY, prompts=["a", "b"], gateway="https://g", version="1"),
    "model": lambda: terms_key(
        replace(POLICY, model="x"), prompts=["a", "b"], gateway="https://g", version="1"
    ),
    "repairs": lambda: terms_key(
        replace(POLICY, repairs=2), prompts=["a", "b"], gateway="https://g", version="1"
    ),
    "prompts": lambda: terms_key(POLICY, prompts=["a", "c"], gateway="https://g", version="1"),
    "gateway": lambda: terms_key(POLICY, prompts=["a", "b"], gateway="https://h", version="1"),
    "version": lambda: terms_key(POLICY, prompts=["a", "b"], gateway="https://g", version="2"),
}


def test_the_terms_are_those_of_ladder_prompts_gateway_and_version() -> None:
    keys = [make() for make in TERMS.values()]

    assert len(set(keys)) == len(keys)
    assert terms_key(POLICY, prompts=["b", "a"], gateway="https://g", version="1") == keys[0]
    patient = replace(POLICY, unknown=UnknownPolicy.FAIL)  # which changes no answer
    assert terms_key(patient, prompts=["a", "b"], gateway="https://g", version="1") == keys[0]


def test_every_prompt_has_its_version_in_the_terms() -> None:
    assert len(set(prompt_versions())) == len(prompt_versions()) > 1
