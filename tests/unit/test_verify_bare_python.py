from pathlib import Path

import pytest

from patchmill.verify.process import bare_python
from patchmill.verify.process.sandbox import Limits


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of the one that our modules are in."""
    monkeypatch.setattr(bare_python, "_HOME", str(tmp_path))
    return tmp_path


def test_an_answer_larger_than_a_pipe_comes_back_whole(home: Path) -> None:
    (home / "twice.py").write_text(
        "import sys\ndef main():\n    text = sys.stdin.read()\n    sys.stdout.write(text * 2)\n"
    )

    completed = bare_python.run("twice", stdin=b"x" * 1_000_000, limits=Limits())

    assert completed.failure is None
    assert completed.stdout == b"x" * 2_000_000


def test_an_error_in_the_module_is_told(home: Path) -> None:
    (home / "failing.py").write_text(
        "def main():\n    print('half')\n    raise ValueError('no such thing')\n"
    )

    completed = bare_python.run("failing", stdin=b"", limits=Limits())

    assert completed.failure == "it ended with code 1: ValueError: no such thing"


def test_no_module_beside_ours_stands_in_for_the_standard_library(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "asking.py").write_text("import re\ndef main():\n    print(re.escape('.'))\n")
    (home / "re.py").write_text("def escape(text): return 'not the one'\n")
    monkeypatch.setenv("PYTHONPATH", str(home))
    monkeypatch.chdir(home)

    assert bare_python.run("asking", stdin=b"", limits=Limits()).stdout == b"\\.\n"
