import json
import re
import subprocess
from collections import Counter
from typing import Any

import pytest
from ruff import find_ruff_bin

from patchmill.dev.standin.model import Turn, answer

BLOCK = re.compile(r"^<<<<<<< SEARCH\n(.*?)^=======\n(.*?)^>>>>>>> REPLACE$", re.DOTALL | re.MULTILINE)


def ruff(source: str, rules: str) -> list[dict[str, Any]]:
    command = [find_ruff_bin(), "check", "--isolated", "--no-cache", "--output-format", "json"]
    command += ["--select", rules, "--target-version", "py311", "--stdin-filename", "app.py", "-"]
    done = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def listed(source: str, rules: str) -> str:
    lines = [
        f"{number}. line {item['location']['row']}, columns {item['location']['column']}-"
        f"{item['end_location']['column']}: ruff {item['code']}: {item['message']}"
        for number, item in enumerate(ruff(source, rules), start=1)
    ]
    assert lines
    return "Findings to fix:\n" + "\n".join(lines) + "\n"


def ask(source: str, rules: str, *, options: str = "", repairs: int = 0) -> str:
    runs = re.findall(r"`+", source)
    fence = "`" * max(3, *(len(run) + 1 for run in runs), 3)
    file = f"File `src/app.py` (python), whole:\n{fence}python\n{source}{fence}\n"
    task = f"{file}\n{options}\n{listed(source, rules)}"
    turns = [Turn(role="system", text="rules"), Turn(role="user", text=task)]
    for _ in range(repairs):
        turns += [Turn(role="assistant", text="…"), Turn(role="user", text="It is still there.")]
    return answer(turns)


def apply(source: str, text: str) -> str:
    """The source with every block made, each found exactly once."""
    places: list[tuple[int, int, str]] = []
    for block in BLOCK.finditer(text):
        assert source.count(block[1]) == 1
        start = source.index(block[1])
        places.append((start, start + len(block[1]), block[2]))
    assert places
    for start, end, replacement in sorted(places, reverse=True):
        source = source[:start] + replacement + source[end:]
    compile(source, "app.py", "exec")
    return source


FIXABLE = [
    ("F401", "import os\nimport sys\n\nprint(sys)\n"),
    ("F401", "from os import path, sep, curdir\n\nprint(sep)\n"),
    ("B006", 'def f(a, b=[], c={}):\n    """Doc."""\n    b.append(c)\n    return b\n'),
    ("E711", "x = 'é'; y = x == None\nz = x == None\n"),
    ("E722", "try:\n    x = 1\nexcept:\n    x = 2\n"),
    ("E722,B904", "try:\n    x = 1\nexcept:\n    raise ValueError('x')\n"),
    ("B904", "try:\n    x = 1\nexcept (OSError, KeyError) as problem:\n    raise ValueError('x')\n"),
    (
        "B904",
        "try:\n    x = 1\nexcept (OSError):\n    if x:\n        raise ValueError(\n'x'\n        )\n",
    ),
    ("B904", "error = 1\ntry:\n    x = 1\nexcept OSError:\n    raise ValueError(error)\n"),
    ("D103", "def load_orders(path):\n    return path\n"),
    (
        "UP006,UP045",
        "from typing import List, Optional\n\n\ndef f(x: Optional[int]) -> List[int]:\n    return [x]\n",
    ),
    ("F841,RET503", "def f(a):\n    b = 1\n    if a:\n        return 2\n"),
    ("I001,F401", "import sys\nimport os\nimport abc\n\nprint(sys, abc)\n"),
    ("SIM108", "if input():\n    x = 1\nelse:\n    x = 2\n"),
]


@pytest.mark.parametrize(("rules", "source"), FIXABLE)
def test_the_answer_makes_the_findings_go_away_and_adds_none(rules: str, source: str) -> None:
    after = apply(source, ask(source, rules))
    assert ruff(after, rules) == []
    before_all, after_all = (
        Counter(item["message"] for item in ruff(text, f"{rules},E9,F")) for text in (source, after)
    )
    assert not after_all - before_all


def test_the_answer_says_who_wrote_it_below_a_title() -> None:
    title, _, explanation, *_ = ask(*reversed(FIXABLE[0])).splitlines()
    assert title == "Fix F401"
    assert "stand-in gateway" in explanation
    assert "not a language model" in explanation


def test_a_cause_is_named_after_the_exception_that_was_caught() -> None:
    source = "try:\n    x = 1\nexcept OSError:\n    raise ValueError('x')\n"
    assert "except OSError as error:\n    raise ValueError('x') from error\n" in apply(
        source, ask(source, "B904")
    )


def test_defaults_of_one_function_are_all_filled_in() -> None:
    source = "def f(a=[], b={}):\n    return a, b\n"
    after = apply(source, ask(source, "B006"))
    assert after.startswith("def f(a=None, b=None):\n")
    assert after.count("is None:\n") == 2


def test_both_ends_of_one_fix_share_a_block() -> None:
    source = 'def f(a, b=[]):\n    """Say it.\n\n    At length.\n    """\n    return a, b\n'
    assert len(BLOCK.findall(ask(source, "B006"))) == 1


def test_neighbouring_lines_make_the_old_text_unique() -> None:
    source = "def f(x):\n    a = 1\n    return x == None\n\n\ndef g(x):\n    b = 2\n    return x == None\n"
    after = apply(source, ask(source, "E711"))
    assert after.count("x is None") == 2


def test_a_repair_turn_shows_more_of_the_surroundings() -> None:
    source = "a = 1\nb = 2\nc = a == None\nd = 4\ne = 5\n"
    first, second = ask(source, "E711"), ask(source, "E711", repairs=1)
    assert len(second) > len(first)
    assert apply(source, second) == apply(source, first)


def test_lines_outside_the_allowed_ones_are_left_alone() -> None:
    source = "import os\nimport sys\nimport abc\n"
    assert apply(source, ask(source, "F401", options="Allowed lines: 2-2\n")) == "import os\nimport abc\n"
    assert ask(source, "F401", options="Allowed lines: 9-9\n").startswith("NO CHANGE: ")


def test_a_finding_without_a_fix_is_declined() -> None:
    assert ask("def f(a, b, c, d, e, f):\n    pass\n", "PLR0913").startswith("NO CHANGE: ")


def test_rules_that_ruff_does_not_know_do_not_spoil_the_others() -> None:
    task = (
        "File `a.py` (python), whole:\n```python\nimport os\n```\n\nFindings to fix:\n"
        "1. line 1: pylint W0611: Unused import\n2. line 1: ruff F401: unused\n3. line 1: xyz ZZZ999: odd\n"
    )
    assert apply("import os\n", answer([Turn(role="user", text=task)])) == ""


def test_a_change_among_marker_lines_is_not_attempted() -> None:
    source = 'x = len == None\nTEXT = """\n=======\n"""\ny = any == None\n'
    assert apply(source, ask(source, "E711")).count("is None") == 2
    assert ask('"""\n======="""; x = len == None\n', "E711").startswith("NO CHANGE: ")


def test_excerpts_that_begin_deeper_are_mended_in_place() -> None:
    task = (
        "File `a.py` (python), excerpts of 60 lines:\n40-42:\n```python\n"
        "        if x == None:\n            return 1\n    def other(self, y):\n```\n"
        "43-44:\n```python\n        z = y != None\n        return z\n```\n\n"
        "Findings to fix:\n1. line 40: ruff E711: x\n2. line 43: ruff E711: y\n"
    )
    text = answer([Turn(role="user", text=task)])
    assert "        if x is None:\n" in text
    assert "        z = y is not None\n" in text
    assert "if True" not in text


def test_excerpts_lose_an_orphaned_import_only_after_a_complaint() -> None:
    task = (
        "File `a.py` (python), excerpts of 90 lines:\n1-2:\n```python\n"
        "from typing import Optional\nimport os\n```\n40-41:\n```python\n"
        "def f(x: Optional[int]):\n    return os.path\n```\n\n"
        "Findings to fix:\n1. line 40: ruff UP045: x\n"
    )
    turns = [Turn(role="user", text=task)]
    first = answer(turns)
    complaint = "New: F401 `typing.Optional` imported but unused"
    second = answer([*turns, Turn(role="assistant", text=first), Turn(role="user", text=complaint)])
    assert "from typing import Optional" not in first
    assert len(BLOCK.findall(first)) == 1
    assert len(BLOCK.findall(second)) == 2
