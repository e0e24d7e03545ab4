"""What an edit may not exchange within a finding's own statement, and what another right answer may say."""

import pytest

from patchmill.job.record import FindingStatus
from patchmill.verify.evidence import CheckName
from tests.unit.test_verify_real_fixes import judged

# The finding goes, and something else with it: rule, source, answer.
WRONG: dict[str, tuple[str, str, str]] = {
    "a number": (
        "E711",
        "def g(x):\n    return h(x == None, 3)\n",
        "def g(x):\n    return h(x is None, 4)\n",
    ),
    "a string": ("B905", 'x = h(zip(a, b), "ab")\n', 'x = h(zip(a, b, strict=True), "ac")\n'),
    "a sense": ("E711", "def g(x):\n    return x == None\n", "def g(x):\n    return x is not None\n"),
    "another sense": ("E711", "def g(x):\n    return x != None\n", "def g(x):\n    return x is None\n"),
    "a value": ("E711", "def g(x):\n    return x == None\n", "def g(x):\n    return x is 0\n"),
    "a name": (
        "E711",
        "y = 1\n\n\ndef g(x):\n    return x == None\n",
        "y = 1\n\n\ndef g(x):\n    return y is None\n",
    ),
    "an argument": ("B905", "x = h(zip(a, b), c)\n", "x = h(zip(a, b, strict=True))\n"),
    "an argument more": ("B905", "x = h(zip(a, b), c)\n", "x = h(zip(a, b, strict=True), c, b)\n"),
    "an order": (
        "E711",
        "def g(x, y):\n    return h(x, y) == None\n",
        "def g(x, y):\n    return h(y, x) is None\n",
    ),
    "an operator": (
        "SIM102",
        "def g(x, y):\n    if x > 1:\n        if y > 2:\n            return 1\n    return 2\n",
        "def g(x, y):\n    if x > 1 or y > 2:\n        return 1\n    return 2\n",
    ),
    "a limit": (
        "SIM102",
        "def g(x, y):\n    if x > 1:\n        if y > 2:\n            return 1\n    return 2\n",
        "def g(x, y):\n    if x > 1 and y >= 2:\n        return 1\n    return 2\n",
    ),
    "a type": (
        "UP006",
        "from typing import List\n\n\ndef g(x: List[int]) -> int:\n    return 1\n",
        "from typing import List\n\n\ndef g(x: list[str]) -> int:\n    return 1\n",
    ),
    "a result": (
        "UP006",
        "from typing import List\n\n\ndef g(x: List[int]) -> int:\n    return 1\n",
        "from typing import List\n\n\ndef g(x: list[int]) -> str:\n    return 1\n",
    ),
    "another default": (
        "B006",
        "def f(a=[], b=1):\n    a.append(b)\n    return a\n",
        "def f(a=None, b=2):\n    if a is None:\n        a = []\n    a.append(b)\n    return a\n",
    ),
    "its default": (
        "B006",
        "def f(a=[], b=1):\n    a.append(b)\n    return a\n",
        "def f(a=0, b=1):\n    if a is None:\n        a = []\n    a.append(b)\n    return a\n",
    ),
    "its guard": (
        "B006",
        "def f(a=[]):\n    a.append(1)\n    return a\n",
        "def f(a=None):\n    if a is not None:\n        a = []\n    a.append(1)\n    return a\n",
    ),
    "an exception": (
        "SIM105",
        (
            "import contextlib\n\n\ndef g(h):\n    try:\n        h()\n"
            "    except (ValueError, KeyError):\n        pass\n"
        ),
        "import contextlib\n\n\ndef g(h):\n    with contextlib.suppress(ValueError):\n        h()\n",
    ),
    "an alternative": (
        "SIM108",
        "def g(x):\n    if x:\n        y = 1\n    else:\n        y = 2\n    return y\n",
        "def g(x):\n    y = 2 if x else 1\n    return y\n",
    ),
    "a bound": (
        "SIM110",
        "def g(xs):\n    for x in xs:\n        if x > 3:\n            return True\n    return False\n",
        "def g(xs):\n    return any(x > 4 for x in xs)\n",
    ),
    "all for any": (
        "SIM110",
        "def g(xs):\n    for x in xs:\n        if x > 3:\n            return True\n    return False\n",
        "def g(xs):\n    return all(x > 3 for x in xs)\n",
    ),
    "a word of a docstring": (
        "D400",
        'def f(a):\n    """Give the area"""\n    return a\n',
        'def f(a):\n    """Give the volume."""\n    return a\n',
    ),
    "a word of a message": (
        "EM101",
        'raise ValueError("too big")\n',
        'msg = "too small"\nraise ValueError(msg)\n',
    ),
    "a format": ("UP032", 'x = "{} of {}".format(a, b)\n', 'x = f"{b} of {a}"\n'),
    "a comment": ("E711", "y = x == None  # of two\n", "y = x is None  # of three\n"),
    "a way out": (
        "E711",
        "def g(x):\n    y = x == None\n    return y\n",
        "def g(x):\n    y = x is None\n    raise ValueError\n    return y\n",
    ),
    "twice": (
        "E711",
        "def g(x):\n    y = h(x == None)\n    return y\n",
        "def g(x):\n    y = h(x is None)\n    y = h(x is None)\n    return y\n",
    ),
    "a body": (
        "RUF100",
        'def g(x):  # noqa: E501\n    y = "0517"\n    return y + x\n',
        'def g(x):\n    y = "1517"\n    return y + x\n',
    ),
    "a line of a body": (
        "RUF100",
        "def g(x):  # noqa: E501\n    x.close()\n    return x\n",
        "def g(x):\n    return x\n",
    ),
    "a number where no repair is known": (
        "DTZ005",
        "import datetime\n\nx = (datetime.datetime.now(), 3)\n",
        "import datetime\n\nx = (datetime.datetime.now(tz=datetime.timezone.utc), 4)\n",
    ),
    "a sense where no repair is known": (
        "DTZ005",
        "import datetime\n\nx = datetime.datetime.now() < y\n",
        "import datetime\n\nx = not datetime.datetime.now(tz=datetime.timezone.utc) < y\n",
    ),
    "a limit where no repair is known": (
        "DTZ005",
        "import datetime\n\nx = datetime.datetime.now() < y\n",
        "import datetime\n\nx = datetime.datetime.now(tz=datetime.timezone.utc) <= y\n",
    ),
    "a number that gets a name": (
        "PLR2004",
        "def f(a):\n    return a > 42\n",
        "MOST = 43\n\n\ndef f(a):\n    return a > MOST\n",
    ),
    "the sense of a number that gets a name": (
        "PLR2004",
        "def f(a):\n    return a > 42\n",
        "MOST = 42\n\n\ndef f(a):\n    return a >= MOST\n",
    ),
    "a word where only lines change": (
        "D209",
        'def f(a):\n    """Give it.\n\n    And more of it."""\n    return a\n',
        'def f(a):\n    """Give it.\n\n    And less of it.\n    """\n    return a\n',
    ),
    "an assertion that is gone": (
        "S101",
        "def f(x):\n    assert x > 0\n    return x\n",
        "def f(x):\n    return x\n",
    ),
    "an assertion the wrong way round": (
        "S101",
        "def f(x):\n    assert x > 0\n    return x\n",
        'def f(x):\n    if x > 0:\n        raise ValueError("x")\n    return x\n',
    ),
    "a definition that an import precedes": (
        "F811",
        "from a import f\n\n\ndef f():\n    return 2\n\n\nf()\n",
        "from a import f\n\n\nf()\n",
    ),
    "a call that looks like a suppression": (
        "E711",
        "def g(x):\n    return type(x) == None\n",
        "def g(x):\n    return x is None\n",
    ),
    "far apart": (
        "E711",
        "import os\n" + "y = 1\n" * 900 + "\n\ndef g(x):\n    return h(x == None, 3)\n",
        "import os  # a\n" + "y = 1\n" * 900 + "\n\ndef g(x):\n    return h(x is None, 4)\n",
    ),
    "a category of a warning": (
        "B028",
        'import warnings\n\nwarnings.warn("old")\n',
        'import warnings\n\nwarnings.warn("old", DeprecationWarning, stacklevel=3)\n',
    ),
    "another truth": ("E712", "x = y == True\n", "x = y is False\n"),
    "a builtin": (
        "DTZ005",
        "import datetime\n\nx = sum(datetime.datetime.now())\n",
        "import datetime\n\nx = len(datetime.datetime.now(tz=datetime.timezone.utc))\n",
    ),
    "operands that change places": (
        "DTZ005",
        "import datetime\n\nx = datetime.datetime.now() // a + b\n",
        "import datetime\n\nx = datetime.datetime.now(tz=datetime.timezone.utc) // b + a\n",
    ),
    "a word where layout alone changes": (
        "D208",
        'def f(a):\n    """Give it.\n\n        All of it, and no more.\n    """\n    return a\n',
        'def f(a):\n    """Give it.\n\n    All of it.\n    """\n    return a\n',
    ),
    "an attribute of a repaired call": (
        "PERF102",
        "for _, v in d.items():\n    print(v)\n",
        "for v in d.values_list():\n    print(v)\n",
    ),
    "the definition that counts": (
        "F811",
        "def f():\n    return 1\n\n\ndef f():\n    return 2\n",
        "def f():\n    return 1\n",
    ),
}
# Right answers that are not the checker's own.
RIGHT: dict[str, tuple[str, str, str]] = {
    "strict": ("B905", "x = list(zip(a, b))\n", "x = list(zip(a, b, strict=True))\n"),
    "a default of None, and its type": (
        "B006",
        "def f(b: list[str] = []) -> int:\n    return len(b)\n",
        "def f(b: list[str] | None = None) -> int:\n    if b is None:\n        b = []\n    return len(b)\n",
    ),
    "identity": (
        "E712",
        "def g(x):\n    if x == True:\n        return 1\n    return 2\n",
        "def g(x):\n    if x is True:\n        return 1\n    return 2\n",
    ),
    "a default in one line": (
        "B006",
        "def f(a=[]):\n    a.append(1)\n    return a\n",
        "def f(a=None):\n    a = [] if a is None else a\n    a.append(1)\n    return a\n",
    ),
    "a default of its own": ("B006", "def f(a=[]):\n    return a\n", "def f(a=()):\n    return a\n"),
    "a default below a docstring": (
        "B006",
        'def f(a=[]):\n    """Give it."""\n    a.append(1)\n    return a\n',
        'def f(a=None):\n    """Give it."""\n    a = a or []\n    a.append(1)\n    return a\n',
    ),
    "a comment that explains": (
        "E711",
        "def g(x):\n    return x == None\n",
        "def g(x):\n    # Only None will do.\n    return x is None\n",
    ),
    "an f-string": ("UP031", 'x = "%s of %s" % (a, b)\n', 'x = f"{a} of {b}"\n'),
    "another name for the message": (
        "EM101",
        'raise ValueError("too big")\n',
        'message = "too big"\nraise ValueError(message)\n',
    ),
    "an export": ("F401", "import os\nx = 1\n", 'import os\n\n__all__ = ["os"]\nx = 1\n'),
    "a logger": (
        "T201",
        "def f(a):\n    print(a, 3)\n    return a\n",
        'import logging\n\n\ndef f(a):\n    logging.getLogger(__name__).info("%s %s", a, 3)\n    return a\n',
    ),
    "a condition in brackets": (
        "SIM102",
        "def g(x, y):\n    if x > 1:\n        if y > 2:\n            return 1\n    return 2\n",
        "def g(x, y):\n    if (x > 1) and (y > 2):\n        return 1\n    return 2\n",
    ),
    "optional": (
        "RUF013",
        "from typing import Optional\n\ny: Optional[int] = 1\n\n\ndef g(x: int = None):\n    return x\n",
        (
            "from typing import Optional\n\ny: Optional[int] = 1\n\n\n"
            "def g(x: Optional[int] = None):\n    return x\n"
        ),
    ),
    "sets": ("C405", "x = set([a, 1])\n", "x = {a, 1}\n"),
    "the level": (
        "B028",
        'import warnings\n\nwarnings.warn("old")\n',
        'import warnings\n\nwarnings.warn("old", stacklevel=3)\n',
    ),
    "a name in braces": (
        "B007",
        "for i, x in enumerate(xs):\n    print(x)\n",
        "for x in xs:\n    print(x)\n",
    ),
    "a mask": ("S103", 'import os\n\nos.chmod("x", 0o777)\n', 'import os\n\nos.chmod("x", 0o600)\n'),
    "a hash": ("S324", "import hashlib\n\nx = hashlib.md5(a)\n", "import hashlib\n\nx = hashlib.sha256(a)\n"),
    "a message reworded": (
        "D401",
        'def f(a):\n    """Returns the area."""\n    return a\n',
        'def f(a):\n    """Return the area."""\n    return a\n',
    ),
    "a stop": (
        "BLE001",
        "def f(g):\n    try:\n        g()\n    except Exception:\n        print(1)\n",
        "def f(g):\n    try:\n        g()\n    except Exception:\n        print(1)\n        raise\n",
    ),
    "a limit by name": (
        "PLR2004",
        "def f(a):\n    return a > 42\n",
        "MOST = 42\n\n\ndef f(a):\n    return a > MOST\n",
    ),
    "a timeout": (
        "S113",
        "import requests\n\nrequests.get(x)\n",
        "import requests\n\nrequests.get(x, timeout=10)\n",
    ),
    "an order of operands": ("SIM300", 'x = "a" == y\n', 'x = y == "a"\n'),
    "a negation taken in": ("SIM201", "x = not a == b\n", "x = a != b\n"),
    "an assertion as a condition": (
        "S101",
        "def f(x):\n    assert x > 0\n    return x\n",
        'def f(x):\n    if x <= 0:\n        raise ValueError("x")\n    return x\n',
    ),
    "an assertion as a negation": (
        "S101",
        "def f(x):\n    assert x > 0 and x in y\n    return x\n",
        'def f(x):\n    if not (x > 0 and x in y):\n        raise ValueError("x")\n    return x\n',
    ),
    "a definition that another follows": (
        "F811",
        "import g\n\nx = g\n\n\n@g.wraps\ndef f():\n    return g(\n    )\n\n\ndef f():\n    return 2\n",
        "import g\n\nx = g\n\n\ndef f():\n    return 2\n",
    ),
    "the last of two that say the same": (
        "F811",
        "def f():\n    return 1\n\n\ndef f():\n    return 1\n",
        "def f():\n    return 1\n",
    ),
    "in": ("E713", "x = not a in b\n", "x = a not in b\n"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_no_finding_asks_for_is_not_exchanged(what: str) -> None:
    rule, source, answer = WRONG[what]

    verdict = judged(rule, source, answer)

    assert verdict.groups == (), what
    assert (FindingStatus.UNRESOLVED, CheckName.IN_SCOPE) in verdict.findings.values(), verdict.feedback


@pytest.mark.parametrize("what", RIGHT)
def test_another_right_answer_is_verified(what: str) -> None:
    verdict = judged(*RIGHT[what])

    assert set(verdict.findings.values()) == {(FindingStatus.VERIFIED, None)}, verdict.feedback
