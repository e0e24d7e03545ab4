"""Search for input that breaks the property tests of `tests/unit/test_any_input.py`, for a given time.

Run as `python -m tests.fuzzing --minutes 30`; `make fuzz MINUTES=30` does it. Guided by the branches that the
code takes, if atheris is installed (it is no dependency), else by chance. Each property has an equal share of
the time, in a process of its own; exits 1 when one breaks, and prints the example.
"""

import argparse
import importlib
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

PROPERTIES = "tests.unit.test_any_input"
GUIDED = ("patchmill.edit", "patchmill.call.prompt", "patchmill.call.fitting", "patchmill.kinds")
_LONGEST = 16_384  # bytes that an example is drawn from
_DONE = re.compile(r"^Done ([0-9]+) runs", re.MULTILINE)


def main() -> int:
    """Run every property for its share of the time, or with `--only` one of them here."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--only")
    given = parser.parse_args()
    if given.only is not None:
        _search(given.only, given.minutes * 60)
        return 0
    names = [name for name in vars(importlib.import_module(PROPERTIES)) if name.startswith("test_")]
    broken = 0
    total = 0
    for name in names:
        command = [sys.executable, "-m", "tests.fuzzing", "--minutes", str(given.minutes / len(names))]
        done = subprocess.run(
            [*command, "--only", name],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        found = _DONE.search(done.stdout)
        tried = int(found[1]) if found else 0
        total += tried
        broken += done.returncode != 0
        sys.stdout.write(f"{name}: {tried:,} inputs, {'broken' if done.returncode else 'nothing found'}\n")
        if done.returncode:
            sys.stdout.write(done.stdout)
        sys.stdout.flush()
    sys.stdout.write(f"{total:,} inputs in all, {broken} of {len(names)} properties broken\n")
    return 1 if broken else 0


def _search(name: str, seconds: float) -> None:
    """Search one property; ends the process or raises what breaks it."""
    if importlib.util.find_spec("atheris") is None:
        _by_chance(_reader(name), seconds)
        return
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=list(GUIDED)):
        read = _reader(name)
    kept = f"-artifact_prefix={tempfile.gettempdir()}/"  # where an example that breaks is left
    limits = [f"-max_total_time={max(round(seconds), 1)}", f"-max_len={_LONGEST}", "-len_control=10"]
    atheris.Setup(
        [sys.argv[0], *limits, "-timeout=60", "-rss_limit_mb=4096", kept], lambda data: read(data) and None
    )
    atheris.Fuzz()  # ends the process


def _reader(name: str) -> Callable[[bytes], bytes | None]:
    """What draws an example of a property from bytes, and tries it."""
    reader: Callable[[bytes], bytes | None] = getattr(
        importlib.import_module(PROPERTIES), name
    ).hypothesis.fuzz_one_input
    return reader


def _by_chance(read: Callable[[bytes], bytes | None], seconds: float) -> None:
    """Try random bytes until the time is over."""
    tried = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        read(os.urandom(1 + tried * 97 % _LONGEST))
        tried += 1
    sys.stdout.write(f"Done {tried} runs\n")


if __name__ == "__main__":
    sys.exit(main())
