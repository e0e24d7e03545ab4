"""An import may not let a name stand for something else, unless its finding asks for that."""

import pytest

from patchmill.job.record import FindingStatus
from tests.unit.test_verify_real_fixes import judged

JOINED = "import os\nimport sys\n\n\ndef f(p):\n    return os.path.join(p)\n"
DUMPED = "from json import dumps, load, loads\n\n\ndef f(p):\n    return loads(dumps(p))\n"
TIMED = (
    "import datetime\n\n\ndef f():\n    return datetime.datetime.now()\n\n\n"
    "def g():\n    return datetime.date(1, 1, 1)\n"
)

WRONG: dict[str, tuple[str, str, str]] = {
    "a module for another": (
        "F401",
        JOINED,
        JOINED.replace("import os\nimport sys", "import posixpath as os"),
    ),
    "the unused one for another": (
        "F401",
        JOINED,
        JOINED.replace("import os\nimport sys", "import sys as os"),
    ),
    "a function for another": (
        "F401",
        DUMPED,
        DUMPED.replace("dumps, load, loads", "loads, loads as dumps"),
    ),
    "a class for its module": (
        "DTZ005",
        TIMED,
        TIMED.replace("import datetime", "from datetime import datetime, timezone").replace(
            "datetime.datetime.now()", "datetime.now(tz=timezone.utc)"
        ),
    ),
    "a function for Python's own": (
        "F401",
        "import sys\n\n\ndef f(p):\n    return open(p)\n",
        "from codecs import open\n\n\ndef f(p):\n    return open(p)\n",
    ),
}
RIGHT: dict[str, tuple[str, str, str]] = {
    "where it moved to": (
        "UP035",
        "from typing import Sequence\n\nx: Sequence[int] = []\n",
        "from collections.abc import Sequence\n\nx: Sequence[int] = []\n",
    ),
    "the same in other words": (
        "PLR0402",
        "import os.path as path\n\nx = path.sep\n",
        "from os import path\n\nx = path.sep\n",
    ),
    "where the checker says": (
        "UP026",
        "import mock\n\nx = mock.Mock()\n",
        "from unittest import mock\n\nx = mock.Mock()\n",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_name_that_stands_for_something_else_is_refused(what: str) -> None:
    verdict = judged(*WRONG[what])

    assert verdict.groups == (), what
    assert " stands for " in verdict.feedback


@pytest.mark.parametrize("what", RIGHT)
def test_a_name_may_stand_for_what_its_finding_asks_for(what: str) -> None:
    verdict = judged(*RIGHT[what])

    assert set(verdict.findings.values()) == {(FindingStatus.VERIFIED, None)}, verdict.feedback
