from patchmill.dev.standin.model import Turn, answer
from patchmill.dev.standin.prompt import AskedFinding, read_task

WHOLE = """File `src/app.py` (python), whole:
````python
import os
TEXT = '''
```
File `other.py` (python), whole:
1-2:
'''
````

Context file `src/models.py`:
```python
class Model: ...
```

Allowed lines: 1-1, 5
Target version: py39

Findings to fix:
1. line 3, columns 12-14: ruff B006: Do not use mutable data structures for argument defaults
2. line 9: ruff F401: `os` imported but unused
3. lines 4-6: pylint: something odd
4. line 5 to line 6: ruff UP036: old
5. line 7, column 3, to line 8, column 1: ruff I001: unsorted
"""

EXCERPTS = """File `src/app.py` (python), excerpts of 9 lines:
2-3:
```python
two
three
```
7-7:
```python
seven
```

Findings to fix:
1. line 7: ruff E711: Comparison to `None`
"""


def test_a_whole_file_is_read_with_its_findings_and_options() -> None:
    task = read_task(WHOLE)
    assert task is not None
    assert (task.path, task.language, task.target_version) == ("src/app.py", "python", "py39")
    assert task.source.lines[0] == "import os"
    assert task.source.lines[-1] == "'''"
    assert len(task.source.lines) == 6
    assert task.is_whole
    assert [line for line in range(1, 7) if task.may_change(line)] == [1, 5]
    assert task.findings == (
        AskedFinding(line=3, column=12, rule="B006"),
        AskedFinding(line=9, column=None, rule="F401"),
        AskedFinding(line=4, column=None, rule=None),
        AskedFinding(line=5, column=None, rule="UP036"),
        AskedFinding(line=7, column=3, rule="I001"),
    )


def test_excerpts_stand_at_their_lines_and_the_rest_is_blank() -> None:
    task = read_task(EXCERPTS)
    assert task is not None
    assert task.source.lines == ["", "two", "three", "", "", "", "seven", "", ""]
    assert task.shown == {2, 3, 7}
    assert not task.is_whole
    assert not task.may_change(4)


def test_carriage_returns_do_not_hide_the_fences() -> None:
    task = read_task(WHOLE.replace("\n", "\r\n"))
    assert task is not None
    assert task.source.lines[0] == "import os"
    assert len(task.source.lines) == 6


def test_wishes_are_read() -> None:
    task = read_task(
        "File `a.py` (python), whole:\n```python\nx = 1\n```\n\nAdd to this file: types, docstrings\n"
    )
    assert task is not None
    assert task.wishes == {"types", "docstrings"}


def test_an_absurd_line_number_does_not_fill_the_memory() -> None:
    prompt = EXCERPTS.replace("7-7", "9999999999-9999999999")
    assert answer([Turn(role="user", text=prompt)]).startswith("NO CHANGE: ")


def test_what_it_cannot_do_is_declined_by_reason() -> None:
    no_file = answer([Turn(role="system", text="rules"), Turn(role="user", text="Are you there?")])
    other = answer(
        [
            Turn(
                role="user",
                text="File `a.go` (go), whole:\n```go\nx\n```\n\nFindings to fix:\n1. line 1: vet x: y\n",
            )
        ]
    )
    no_task = answer(
        [Turn(role="user", text="File `a.py` (python), whole:\n```python\nx\n```\n\nBe nice.\n")]
    )
    assert answer([]).startswith("NO CHANGE: ")
    assert "no file" in no_file
    assert "in go" in other
    for declined in (no_file, other, no_task):
        assert declined.startswith("NO CHANGE: ")
        assert "stand-in gateway" in declined
        assert "not a language model" in declined
