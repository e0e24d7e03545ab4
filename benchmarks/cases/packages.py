"""Cases of installed Python packages: what ruff finds and mends in code that people wrote."""

from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from benchmarks.cases.linting import ruff_cases
from benchmarks.cases.material import Made, fits, spread

MOST, OF_EACH = 90, 3
_SMALLEST, _LARGEST = 1_500, 9_000
_RULES = "B,C4,D2,D4,E7,F,FURB,I,N,PERF,PIE,PLR,PT,PTH,RET,RSE,RUF,SIM,TC,TRY,UP"
# They are in the lock file, and their licences are permissive.
PACKAGES = {
    "alembic": "MIT",
    "amqp": "BSD-3-Clause",
    "billiard": "BSD-3-Clause",
    "celery": "BSD-3-Clause",
    "click": "BSD-3-Clause",
    "kombu": "BSD-3-Clause",
    "vine": "BSD-3-Clause",
    "Mako": "MIT",
    "redis": "MIT",
    "starlette": "BSD-3-Clause",
    "rich": "MIT",
}


def make() -> list[Made]:
    """Make cases of the packages."""
    return spread(list(_candidates()), MOST, each=OF_EACH)


def _candidates() -> Iterator[Made]:
    found: dict[str, int] = {}
    for name, licence in PACKAGES.items():
        distribution = metadata.distribution(name)
        for file in sorted(distribution.files or (), key=str):
            path = Path(str(file.locate()))
            if path.suffix != ".py" or "test" in str(file) or not path.is_file():
                continue
            text = path.read_bytes().decode("utf-8", "replace")
            if "\ufffd" in text or not _SMALLEST <= len(text) <= _LARGEST:
                continue
            for linted in ruff_cases(text, path.name, _RULES):
                rule = linted.findings[0]["rule"]
                if found.get(rule, 0) >= OF_EACH:
                    continue
                made = Made(
                    kind="fix",
                    path=str(file),
                    source=text,
                    gold=linted.gold,
                    asked={"findings": list(linted.findings)},
                    origin=f"{name} {distribution.version} (Python package): {file}",
                    licence=licence,
                )
                if fits(made):
                    found[rule] = found.get(rule, 0) + 1
                    yield made
                    break
