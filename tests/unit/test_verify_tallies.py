"""What an edit may not hand to calls, catch, raise or leave out, and which right answers may."""

import pytest

from patchmill.job.record import FindingStatus
from patchmill.verify.evidence import CheckName
from tests.unit.test_verify_real_fixes import judged

TIMED = "import datetime\n\n\ndef f(h, p):\n    return h(datetime.datetime.now(), p, 3)\n"
AWARE = TIMED.replace(".now()", ".now(tz=datetime.timezone.utc)")
SHELL = "import subprocess\n\n\ndef f(c):\n    subprocess.run(c, check=False, shell=True)\n"
RUN = "import subprocess\n\nsubprocess.run(a)\n"
TRIED = (
    'def f(d):\n    try:\n        return d["a"]\n    except KeyError:\n        return 1\n'
    "    except:\n        return 0\n"
)
RAISED = (
    'def f(d):\n    try:\n        return d["a"]\n    except KeyError:\n        raise ValueError("no a")\n'
)
LOOP = (
    "def f(xs):\n    out = []\n    for x in xs:\n        if x > 2:\n            out.append(x * 2)\n"
    "    return out\n"
)
BRANCHES = "".join(f"        if a == {number}:\n            b += g({number})\n" for number in range(9))
DEEP = f"def f(a, b):\n    if a > 3:\n{BRANCHES}    return b\n\n\ndef g(a):\n    return a\n"
MORE = BRANCHES.replace("\n    ", "\n")[4:]
FLAT = (
    "def f(a, b):\n    if a <= 3:\n        return b\n    return _more(a, b)\n\n\n"
    f"def _more(a, b):\n{MORE}    return b\n\n\ndef g(a):\n    return a\n"
)

# The finding goes, and something else with it: rule, source, answer.
WRONG: dict[str, tuple[str, str, str]] = {
    "a keyword more": ("DTZ005", TIMED, AWARE.replace("3)", "3, strict=True)")),
    "an argument more": ("DTZ005", TIMED, AWARE.replace("3)", "3, p)")),
    "an argument less": ("DTZ005", TIMED, AWARE.replace(", 3)", ")")),
    "arguments in another order": ("DTZ005", TIMED, AWARE.replace("p, 3)", "3, p)")),
    "another value": ("S602", SHELL, SHELL.replace("False", "True").replace(", shell=True", "")),
    "another keyword": ("S602", SHELL, SHELL.replace("shell=True", "timeout=5")),
    "a keyword that is gone": ("S602", SHELL, SHELL.replace(", check=False, shell=True", "")),
    "a keyword beside a repair": ("PLW1510", RUN, RUN.replace("(a)", "(a, check=True, timeout=3)")),
    "a keyword of a new call": (
        "S605",
        "import os\n\nos.system(a)\n",
        "import subprocess\n\nsubprocess.run([a], timeout=9)\n",
    ),
    "a parameter": ("ANN201", "def f(a: int):\n    return a\n", "def f(a: int, b=1) -> int:\n    return a\n"),
    "narrower than all": ("E722", TRIED, TRIED.replace("except:", "except ValueError:")),
    "another error that is caught": (
        "B904",
        RAISED,
        RAISED.replace("KeyError:", "Exception as e:").replace('a")', 'a") from e'),
    ),
    "an error more": (
        "B904",
        RAISED,
        RAISED.replace("KeyError:", "(KeyError, IndexError) as e:").replace('a")', 'a") from e'),
    ),
    "another error that is raised": (
        "B904",
        RAISED,
        RAISED.replace('ValueError("no a")', "TypeError from None"),
    ),
    "an error of another base": (
        "TRY003",
        'def f(a):\n    raise ValueError("a is far too long a message to be here")\n',
        "class Bad(KeyError):\n    pass\n\n\ndef f(a):\n    raise Bad\n",
    ),
    "a loop": (
        "E711",
        "def f(a):\n    if a == None:\n        return 1\n    return 2\n",
        "def f(a):\n    while a is None:\n        return 1\n    return 2\n",
    ),
    "a condition that is gone": ("PERF401", LOOP, "def f(xs):\n    return [x * 2 for x in xs]\n"),
    "another bound": ("PERF401", LOOP, "def f(xs):\n    return [x * 2 for x in xs if x >= 2]\n"),
    "a method of a result": ("DTZ005", TIMED, AWARE.replace("utc), p", "utc).strip(), p")),
    "turned without a way out": (
        "C901",
        DEEP,
        FLAT.replace("        return b\n    return _more(a, b)", "        b = _more(a, b)\n    return b"),
    ),
}
RIGHT: dict[str, tuple[str, str, str]] = {
    "no shell": ("S602", SHELL, SHELL.replace(", shell=True", "")),
    "the keyword that the finding names": ("PLW1510", RUN, RUN.replace("(a)", "(a, check=True)")),
    "a keyword of the rule's page": (
        "S324",
        "import hashlib\n\nx = hashlib.md5(a)\n",
        "import hashlib\n\nx = hashlib.md5(a, usedforsecurity=False)\n",
    ),
    "all but what ends the program": ("E722", TRIED, TRIED.replace("except:", "except Exception:")),
    "all": ("E722", TRIED, TRIED.replace("except:", "except BaseException:")),
    "from none": ("B904", RAISED, RAISED.replace('a")', 'a") from None')),
    "a name that nothing uses any more": (
        "TRY201",
        "def f(g):\n    try:\n        g()\n    except ValueError as e:\n        raise e\n".replace(
            "        raise", "        print(1)\n        raise"
        ),
        "def f(g):\n    try:\n        g()\n    except ValueError:\n        print(1)\n        raise\n",
    ),
    "an error of the same base": (
        "TRY003",
        'def f(a):\n    raise ValueError("a is far too long a message to be here")\n',
        "class Bad(ValueError):\n    pass\n\n\ndef f(a):\n    raise Bad\n",
    ),
    "a list that is returned": ("PERF401", LOOP, "def f(xs):\n    return [x * 2 for x in xs if x > 2]\n"),
    "a dictionary that is returned": (
        "PERF403",
        "def f(xs):\n    out = {}\n    for k, v in xs:\n        out[k] = v\n    return out\n",
        "def f(xs):\n    return {k: v for k, v in xs}\n",
    ),
    "an early way out": ("C901", DEEP, FLAT),
    "an early way out for a negation": (
        "C901",
        DEEP.replace("a > 3", "a"),
        FLAT.replace("a <= 3", "not a"),
    ),
    "uses elsewhere": (
        "UP035",
        (
            "from typing import Dict, List, Optional\n\nx: Dict[str, int] = {}\n\n\n"
            "def f(y: List[str]) -> Optional[Dict[str, List[int]]]:\n    return y\n"
        ),
        (
            "from typing import Optional\n\nx: dict[str, int] = {}\n\n\n"
            "def f(y: list[str]) -> Optional[dict[str, list[int]]]:\n    return y\n"
        ),
    ),
    "a constant for nothing": (
        "B006",
        "def g():\n    return 1\n" + "\n" * 20 + "def f(a=[]):\n    return a\n",
        "_nothing = ()\n\n\ndef g():\n    return 1\n" + "\n" * 20 + "def f(a=_nothing):\n    return a\n",
    ),
    "what a repair empties": (
        "UP041",
        "import asyncio\n\nraise asyncio.TimeoutError\n",
        "raise TimeoutError\n",
    ),
    "an import of a name that a method has": (
        "PTH207",
        'import glob\n\nx = glob.glob("*.py")\n',
        'from pathlib import Path\n\nx = Path().glob("*.py")\n',
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_no_finding_asks_for_is_neither_more_nor_less(what: str) -> None:
    verdict = judged(*WRONG[what])

    assert verdict.groups == (), what
    assert (FindingStatus.UNRESOLVED, CheckName.IN_SCOPE) in verdict.findings.values(), verdict.feedback


@pytest.mark.parametrize("what", RIGHT)
def test_a_right_answer_may_have_what_its_finding_asks_for(what: str) -> None:
    verdict = judged(*RIGHT[what])

    assert set(verdict.findings.values()) == {(FindingStatus.VERIFIED, None)}, verdict.feedback


def test_a_finding_beside_frees_no_other_handler() -> None:
    answer = TRIED.replace("KeyError", "Exception").replace("except:", "except BaseException:")

    verdict = judged("E722", TRIED, answer)

    assert not any("except Exception" in hunk.replacement for group in verdict.groups for hunk in group.hunks)


@pytest.mark.parametrize("wrong", [False, True])
def test_hundreds_of_lines_are_compared_by_their_signs(*, wrong: bool) -> None:
    pairs = [("a" * 60 + str(number), "b" * 40 + str(number)) for number in range(400)]
    long = "".join(f'    ("{one}", "{other}"),\n' for one, other in pairs)
    pairs[200] = (pairs[200][0], "changed" if wrong else pairs[200][1])
    split = "".join(f'    (\n        "{one}",\n        "{other}",\n    ),\n' for one, other in pairs)

    verdict = judged("E501", f"x = [\n{long}]\n", f"x = [\n{split}]\n")

    assert bool(verdict.groups) != wrong, verdict.feedback


def test_what_is_too_much_to_be_compared_is_not_verified() -> None:
    lines = [f"    {' + '.join(f'a{number}{place}' for place in range(20))}," for number in range(600)]
    split = [line.replace(" + ", "\n    + ") for line in lines]

    verdict = judged("E501", "x = [\n" + "\n".join(lines) + "\n]\n", "x = [\n" + "\n".join(split) + "\n]\n")

    assert verdict.groups == ()
    assert "more than can be compared" in verdict.feedback
