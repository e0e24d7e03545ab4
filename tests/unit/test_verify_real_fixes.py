"""What ruff itself makes of typical code, as a model's edit: the guards must let right fixes pass."""

import json
import subprocess
from difflib import SequenceMatcher

import pytest
import ruff

from patchmill.edit.span import Hunk, split_lines
from patchmill.job.record import Finding, FindingStatus
from patchmill.verify.run import Verdict, verify_fix

# Rules and code that breaks them, each with a fix of ruff's own, safe or not.
SNIPPETS: dict[str, str] = {
    "B006": "def f(a=[]):\n    a.append(1)\n    return a\n",
    "B007": "def f(xs):\n    for i, x in enumerate(xs):\n        print(x)\n",
    "B009": 'def f(o):\n    return getattr(o, "name")\n',
    "B010": 'def f(o):\n    setattr(o, "name", 1)\n',
    "B011": "def f(o):\n    assert False, o\n",
    "B013": "def f(g):\n    try:\n        g()\n    except (ValueError,):\n        return 1\n",
    "B905": "def f(a, b):\n    return list(zip(a, b))\n",
    "C400": "def f(a):\n    return list(x + 1 for x in a)\n",
    "C401": "def f(a):\n    return set(x + 1 for x in a)\n",
    "C404": "def f(a):\n    return dict([(x, 1) for x in a])\n",
    "C405": "def f(a):\n    return set([a, 1])\n",
    "C408": "def f():\n    return dict()\n",
    "C411": "def f(a):\n    return list([x for x in a])\n",
    "C416": "def f(a):\n    return [x for x in a]\n",
    "C417": "def f(a):\n    return list(map(lambda x: x + 1, a))\n",
    "C419": "def f(a):\n    return all([x.ok for x in a])\n",
    "D200": 'def f(a):\n    """\n    Give a.\n    """\n    return a\n',
    "D400": 'def f(a):\n    """Give a"""\n    return a\n',
    "D403": 'def f(a):\n    """give a."""\n    return a\n',
    "E401": "import os, sys\n\nprint(os, sys)\n",
    "E703": "class A:\n    x = 1;\n    y = 2\n",
    "E711": "def g(x):\n    # why\n    return x == None\n",
    "E712": "def g(x):\n    if x == True:\n        return x\n    return 0\n",
    "E713": "def g(x, y):\n    return not x in y\n",
    "E714": "def g(x, y):\n    return not x is y\n",
    "E731": "def g(h):\n    f = lambda x: h(x)\n    return f\n",
    "EM101": 'def g(x):\n    raise ValueError("bad")\n',
    "F401": "import os\nimport sys\n\nprint(sys)\n",
    "F541": 'def g():\n    return f"plain"\n',
    "F632": 'def g(x):\n    return x is "a"\n',
    "F841": "def g(h):\n    x = h()\n    return 1\n",
    "FLY002": 'def g(x, y):\n    return ", ".join([x, y])\n',
    "FURB105": 'print("")\n',
    "FURB136": "def g(x, y):\n    return x if x > y else y\n",
    "I001": "import sys\nimport os\n\nprint(os, sys)\n",
    "ISC003": 'def g():\n    return (\n        "a" +\n        "b"\n    )\n',
    "PERF102": "def g(d):\n    for _, v in d.items():\n        print(v)\n",
    "PIE790": 'class A(Exception):\n    """Doc."""\n\n    pass\n',
    "PIE794": "class A:\n    x = 1\n    x = 1\n",
    "PIE804": 'def g(f):\n    return f(**{"a": 1})\n',
    "PIE808": "def g(n):\n    return list(range(0, n))\n",
    "PIE810": 'def g(s):\n    return s.startswith("a") or s.startswith("b")\n',
    "PLR1711": "def g(x):\n    print(x)\n    return None\n",
    "PLR1714": "def g(x):\n    return x == 1 or x == 2\n",
    "PLR1722": "def g():\n    exit(1)\n",
    "PLR5501": (
        "def g(x, y):\n    if x:\n        return 1\n    else:\n        if y:\n"
        "            return 2\n    return 3\n"
    ),
    "PLW0120": "def g(xs):\n    for x in xs:\n        print(x)\n    else:\n        print(xs)\n",
    "PT009": (
        "import unittest\n\n\nclass A(unittest.TestCase):\n    def test(self):\n"
        "        self.assertEqual(f(), 1)\n\n\ndef f():\n    return 1\n"
    ),
    "RET501": "def g(x):\n    print(x)\n    return None\n",
    "RET502": "def g(x):\n    if x:\n        return\n    return 1\n",
    "RET503": "def g(x):\n    if x:\n        return 1\n",
    "RET504": "def g(h):\n    x = h()\n    return x\n",
    "RET505": "def g(x):\n    if x:\n        return 1\n    else:\n        return 2\n",
    "RSE102": "def g():\n    raise ValueError()\n",
    "RUF005": "def g(x):\n    return [1] + x\n",
    "RUF010": 'def g(x):\n    return f"{str(x)}"\n',
    "RUF013": "def g(x: int = None):\n    return x\n",
    "RUF015": "def g(x):\n    return list(x)[0]\n",
    "RUF100": "x = 1  # noqa: E501\n",
    "SIM101": "def g(x):\n    return isinstance(x, int) or isinstance(x, str)\n",
    "SIM102": "def g(x, y):\n    if x:\n        if y:\n            return 1\n    return 2\n",
    "SIM103": "def g(x):\n    if x > 1:\n        return True\n    return False\n",
    "SIM105": "def g(h):\n    try:\n        h()\n    except ValueError:\n        pass\n",
    "SIM108": "def g(x):\n    if x:\n        y = 1\n    else:\n        y = 2\n    return y\n",
    "SIM110": "def g(xs):\n    for x in xs:\n        if x.ok:\n            return True\n    return False\n",
    "SIM114": "def g(x, y):\n    if x:\n        return 1\n    elif y:\n        return 1\n    return 2\n",
    "SIM117": "def g(a, b):\n    with a:\n        with b:\n            print(a, b)\n",
    "SIM118": "def g(d, k):\n    return k in d.keys()\n",
    "SIM201": "def g(x, y):\n    return not x == y\n",
    "SIM300": 'def g(x):\n    return "a" == x\n',
    "T201": "def g(x):\n    print(x)\n    return x\n",
    "TC003": (
        "from __future__ import annotations\n\nfrom collections.abc import Sequence\n\n\n"
        "def g(x: Sequence[int]) -> int:\n    return x[0]\n"
    ),
    "UP004": "class A(object):\n    x = 1\n",
    "UP006": "from typing import List\n\n\ndef g(x: List[int]) -> int:\n    return x[0]\n",
    "UP007": "from typing import Union\n\n\ndef g(x: Union[int, str]) -> int:\n    return 1\n",
    "UP008": (
        "class A(B):\n    def m(self):\n        return super(A, self).m()\n\n\nclass B:\n"
        "    def m(self):\n        return 1\n"
    ),
    "UP009": "# -*- coding: utf-8 -*-\nx = 1\n",
    "UP015": 'def g(p):\n    return open(p, "r")\n',
    "UP018": 'def g():\n    return str("a")\n',
    "UP028": "def g(xs):\n    for x in xs:\n        yield x\n",
    "UP030": 'def g(x):\n    return "{0}".format(x)\n',
    "UP031": 'def g(x):\n    return "%s" % (x,)\n',
    "UP032": 'def g(x):\n    return "{}".format(x)\n',
    "UP034": "def g(x):\n    return print((x))\n",
    "UP035": "from typing import Sequence\n\nx: Sequence[int] = []\n",
    "W291": "x = 1 \n",
    "W293": "def g(x):\n    \n    return x\n",
}

# What a person would do about rules that ruff does not mend, or mends otherwise: before and after.
BY_HAND: dict[str, tuple[str, str]] = {
    "B006": (
        "def f(x, a=[]):\n    a.append(x)\n    return a\n",
        "def f(x, a=None):\n    a = [] if a is None else a\n    a.append(x)\n    return a\n",
    ),
    "B008": (
        "def f(x=g()):\n    return x\n\n\ndef g():\n    return 1\n",
        "def f(x=None):\n    return g() if x is None else x\n\n\ndef g():\n    return 1\n",
    ),
    "B023": (
        "def f(xs):\n    fs = []\n    for x in xs:\n        fs.append(lambda: x)\n    return fs\n",
        "def f(xs):\n    fs = []\n    for x in xs:\n        fs.append(lambda x=x: x)\n    return fs\n",
    ),
    "B904": (
        "def f(g):\n    try:\n        g()\n    except ValueError:\n        raise KeyError\n",
        (
            "def f(g):\n    try:\n        g()\n    except ValueError as error:\n"
            "        raise KeyError from error\n"
        ),
    ),
    "BLE001": (
        "def f(g):\n    try:\n        g()\n    except Exception:\n        return 1\n",
        "def f(g):\n    try:\n        g()\n    except ValueError:\n        return 1\n",
    ),
    "D103": ("def f(a):\n    return a\n", 'def f(a):\n    """Give a."""\n    return a\n'),
    "DTZ005": (
        "import datetime\n\n\ndef f():\n    return datetime.datetime.now()\n",
        "import datetime\n\n\ndef f():\n    return datetime.datetime.now(tz=datetime.timezone.utc)\n",
    ),
    "E402": (
        "import os\n\nX = os.name\nimport sys\n\nprint(X, sys)\n",
        "import os\nimport sys\n\nX = os.name\n\nprint(X, sys)\n",
    ),
    "E501": (
        f"def f(a):\n    return a + {'1' * 50} + {'2' * 50}\n",
        f"def f(a):\n    return (\n        a + {'1' * 50}\n        + {'2' * 50}\n    )\n",
    ),
    "E722": (
        "def f(g):\n    try:\n        g()\n    except:\n        return 1\n",
        "def f(g):\n    try:\n        g()\n    except Exception:\n        return 1\n",
    ),
    "E741": (
        "def f(a):\n    l = len(a)\n    b = l + 1\n    return b + l\n",
        "def f(a):\n    length = len(a)\n    b = length + 1\n    return b + length\n",
    ),
    "ERA001": ("def g(x):\n    # y = x + 1\n    return x\n", "def g(x):\n    return x\n"),
    "F821": (
        "def f(a):\n    return json.dumps(a)\n",
        "import json\n\n\ndef f(a):\n    return json.dumps(a)\n",
    ),
    "F841": ("def f(g):\n    x = g(1)\n    return 2\n", "def f(g):\n    g(1)\n    return 2\n"),
    "N802": (
        "def doIt(a):\n    return a\n\n\ndef f(a):\n    return doIt(a) + 1\n",
        "def do_it(a):\n    return a\n\n\ndef f(a):\n    return do_it(a) + 1\n",
    ),
    "N806": (
        "def f(a):\n    Xx = a\n    b = Xx + 1\n    return b * Xx\n",
        "def f(a):\n    xx = a\n    b = xx + 1\n    return b * xx\n",
    ),
    "PERF401": (
        "def f(xs):\n    out = []\n    for x in xs:\n        out.append(x + 1)\n    return out\n",
        "def f(xs):\n    out = [x + 1 for x in xs]\n    return out\n",
    ),
    "PLR2004": (
        "import os\n\n\ndef f(a):\n    return a > 42, os\n",
        "import os\n\nLIMIT = 42\n\n\ndef f(a):\n    return a > LIMIT, os\n",
    ),
    "PLW2901": (
        "def f(xs):\n    for x in xs:\n        x = x.strip()\n        print(x)\n",
        "def f(xs):\n    for x in xs:\n        bare = x.strip()\n        print(bare)\n",
    ),
    "PTH100": (
        "import os.path\n\n\ndef g(p):\n    return os.path.abspath(p)\n",
        "from pathlib import Path\n\n\ndef g(p):\n    return Path(p).resolve()\n",
    ),
    "PTH109": (
        "import os\n\n\ndef g():\n    return os.getcwd()\n",
        "from pathlib import Path\n\n\ndef g():\n    return Path.cwd()\n",
    ),
    "PTH123": (
        "def g(p):\n    with open(p) as f:\n        return f.read()\n",
        "from pathlib import Path\n\n\ndef g(p):\n    with Path(p).open() as f:\n        return f.read()\n",
    ),
    "RUF012": (
        "class A:\n    x = [1]\n\n    def f(self):\n        return self.x\n",
        (
            "from typing import ClassVar\n\n\nclass A:\n    x: ClassVar[list[int]] = [1]\n"
            "\n    def f(self):\n        return self.x\n"
        ),
    ),
    "S101": (
        "def f(a):\n    assert a\n    return a\n",
        'def f(a):\n    if not a:\n        raise ValueError("a")\n    return a\n',
    ),
    "S311": (
        "import random\n\n\ndef f():\n    return random.random()\n",
        "import secrets\n\n\ndef f():\n    return secrets.SystemRandom().random()\n",
    ),
    "S324": (
        "import hashlib\n\n\ndef f(a):\n    return hashlib.md5(a).hexdigest()\n",
        "import hashlib\n\n\ndef f(a):\n    return hashlib.sha256(a).hexdigest()\n",
    ),
    "SIM113": (
        "def f(xs):\n    i = 0\n    for x in xs:\n        print(i, x)\n        i += 1\n",
        "def f(xs):\n    for i, x in enumerate(xs):\n        print(i, x)\n",
    ),
    "SIM115": (
        "def f(p):\n    h = open(p)\n    text = h.read()\n    h.close()\n    return text\n",
        "def f(p):\n    with open(p) as h:\n        text = h.read()\n    return text\n",
    ),
    "T201": (
        "def f(a):\n    print(a)\n    return a\n",
        (
            "import logging\n\nlogger = logging.getLogger(__name__)\n\n\ndef f(a):\n"
            "    logger.info(a)\n    return a\n"
        ),
    ),
    "TRY300": (
        "def f(g):\n    try:\n        x = g()\n        return x\n    except ValueError:\n        return 1\n",
        (
            "def f(g):\n    try:\n        x = g()\n    except ValueError:\n        return 1\n"
            "    else:\n        return x\n"
        ),
    ),
    "ARG001": ("def f(a, b):\n    return a\n", "def f(a):\n    return a\n"),
    "A001": ("def f(a):\n    id = a\n    return id + 1\n", "def f(a):\n    key = a\n    return key + 1\n"),
    "C901": (
        "def f(a):\n"
        + "".join(f"    if a == {n}:\n        return g({n})\n" for n in range(12))
        + "    return g(a)\n\n\ndef g(a):\n    return a\n",
        (
            "def f(a):\n    if a in range(12):\n        return g(a)\n    return g(a)\n\n\n"
            "def g(a):\n    return a\n"
        ),
    ),
}


def ruff_says(*options: str, rules: str, source: str) -> str:
    argv = [ruff.find_ruff_bin(), "check", "--isolated", "--no-cache", "--exit-zero", "--quiet"]
    argv += ["--target-version", "py311", "--select", rules, *options, "--stdin-filename", "app.py", "-"]
    return subprocess.run(argv, input=source, capture_output=True, check=True, text=True).stdout


def hunks(source: str, result: str) -> list[Hunk]:
    old, new = split_lines(source), split_lines(result)
    return [
        Hunk(
            start_line=first + 1,
            end_line=last,
            original="".join(old[first:last]),
            replacement="".join(new[start:end]),
        )
        for tag, first, last, start, end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
        if tag != "equal"
    ]


def judged(rule: str, source: str, result: str) -> Verdict:
    reports = json.loads(ruff_says("--output-format", "json", rules=rule, source=source))
    assert reports
    assert result != source
    return verify_fix(
        source=source,
        path="app.py",
        language="python",
        findings=[
            Finding(
                index=index,
                tool="ruff",
                rule=rule,
                message=report["message"],
                severity="warning",
                start_line=report["location"]["row"],
                end_line=report["end_location"]["row"],
            )
            for index, report in enumerate(reports)
        ],
        proposals=hunks(source, result),
        settings={"ruff": {"target-version": "py311"}},
        scope=None,
    )


@pytest.mark.parametrize("rule", SNIPPETS)
def test_what_ruff_itself_would_do_is_verified(rule: str) -> None:
    source = SNIPPETS[rule]
    # Imports that the fix leaves unused go with it, as whoever writes one would let them.
    result = ruff_says("--fix", "--unsafe-fixes", rules=f"{rule},F401", source=source)

    verdict = judged(rule, source, result)

    assert set(verdict.findings.values()) == {(FindingStatus.VERIFIED, None)}, verdict.feedback


@pytest.mark.parametrize("rule", BY_HAND)
def test_what_a_person_would_do_is_verified(rule: str) -> None:
    verdict = judged(rule, *BY_HAND[rule])

    assert set(verdict.findings.values()) == {(FindingStatus.VERIFIED, None)}, verdict.feedback
