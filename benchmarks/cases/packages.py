"""Cases of installed Python packages: what ruff finds and mends in code that people wrote."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from itertools import islice
from pathlib import Path

from benchmarks.cases.linting import ruff_cases
from benchmarks.cases.material import Made, Wanted, fits, spread

_RULES = "B,C4,D2,D4,E7,F,FURB,I,N,PERF,PIE,PLR,PT,PTH,RET,RSE,RUF,SIM,TC,TRY,UP"
_MORE_RULES = f"A,COM,E,EM,ISC,G,LOG,PLC,PLE,PLW,PYI,Q,SLOT,W,{_RULES}"
# They are in the lock files, and their licences are permissive.
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
MORE_PACKAGES = {
    "Jinja2": "BSD-3-Clause",
    "MarkupSafe": "BSD-3-Clause",
    "PyYAML": "MIT",
    "SQLAlchemy": "MIT",
    "anyio": "MIT",
    "argon2-cffi": "MIT",
    "attrs": "MIT",
    "click-repl": "MIT",
    "execnet": "MIT",
    "fastapi": "MIT",
    "hatchling": "MIT",
    "httpx": "BSD-3-Clause",
    "jsonschema": "MIT",
    "markdown-it-py": "MIT",
    "prompt_toolkit": "BSD-3-Clause",
    "psutil": "BSD-3-Clause",
    "pycparser": "BSD-3-Clause",
    "pydantic": "MIT",
    "pydantic-settings": "MIT",
    "pytest-xdist": "MIT",
    "python-dotenv": "BSD-3-Clause",
    "tomlkit": "MIT",
    "typer": "MIT",
    "unidiff": "MIT",
    "uvicorn": "BSD-3-Clause",
    "valkey": "MIT",
    "wcwidth": "MIT",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FromPackages(Wanted):
    """What is taken of installed packages, and the rules that ruff runs over them."""

    packages: Mapping[str, str]  # each with its licence
    rules: str


SMALL = FromPackages(
    packages=PACKAGES,
    rules=_RULES,
    characters=(1_500, 9_000),
    lines=(1, 9_000),
    most=90,
    of_each_rule=3,
    of_each_package=1_000,
)
USUAL = FromPackages(
    packages=MORE_PACKAGES,
    rules=_MORE_RULES,
    characters=(2_500, 24_000),
    lines=(80, 600),
    most=165,
    of_each_rule=6,
    of_each_package=9,
)


def make(wanted: FromPackages) -> list[Made]:
    """Make cases of the packages."""
    return spread(list(_candidates(wanted)), wanted.most, each=wanted.of_each_rule)


def _candidates(wanted: FromPackages) -> Iterator[Made]:
    found: Counter[str] = Counter()
    for name, licence in wanted.packages.items():
        yield from islice(_of_package(name, licence, wanted, found), wanted.of_each_package)


def _of_package(name: str, licence: str, wanted: FromPackages, found: Counter[str]) -> Iterator[Made]:
    """Make a case of each file that has a finding of a rule of which there are not enough yet."""
    distribution = metadata.distribution(name)
    for file in sorted(distribution.files or (), key=str):
        path = Path(str(file.locate()))
        if path.suffix != ".py" or "test" in str(file) or not path.is_file():
            continue
        text = path.read_bytes().decode("utf-8", "replace")
        if "\ufffd" in text or not wanted.takes(text):
            continue
        for linted in ruff_cases(text, path.name, wanted.rules):
            rule = linted.findings[0]["rule"]
            if found[rule] >= wanted.of_each_rule:
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
                found[rule] += 1
                yield made
                break
