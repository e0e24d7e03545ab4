"""Cases of ruff's own test fixtures: many rules, in code that is made to be difficult."""

import builtins
import keyword
import re
from collections.abc import Iterator
from pathlib import Path

from benchmarks.cases.linting import ruff_cases
from benchmarks.cases.material import Made, changes, fits, spread

MOST, OF_EACH = 130, 1
_LARGEST = 7_000
_WORDS = "|".join([*keyword.kwlist, *dir(builtins), "self"])
_NAME = re.compile(rf"(?!(?:{_WORDS})\b)\b[A-Za-z_]\w*")
_UNSAID = re.compile(r"#.*|\"[^\"\n]*\"|'[^'\n]*'")  # comments and plain strings name nothing
_FIXTURES = Path("crates/ruff_linter/resources/test/fixtures")
# What a text of lines cannot say: whether the last line has an end. And what can only be mended by a comment
# that silences a checker, which no job may add.
_LEFT_OUT = frozenset({"W292", "W391", "PGH003", "PGH004"})


def make(folder: Path, revision: str) -> list[Made]:
    """Make cases of the fixtures in ruff's sources."""
    return spread(list(_candidates(folder, revision)), MOST, each=OF_EACH)


def _keeps_names(made: Made) -> bool:
    """Whether each change keeps a name of what it changes; statements of literals alone are odd."""
    for change in changes(made.source, made.gold):
        old, new = (
            set(_NAME.findall(_UNSAID.sub("", text))) for text in (change.original, change.replacement)
        )
        if old and change.replacement.strip() and not old & new:
            return False
    return True


def _candidates(folder: Path, revision: str) -> Iterator[Made]:
    found: dict[str, int] = {}
    for path in sorted((folder / _FIXTURES).rglob("*.py")):
        text = path.read_bytes().decode("utf-8", "replace")
        if "\ufffd" in text or not 0 < len(text) <= _LARGEST:
            continue
        rule = path.stem.partition("_")[0]
        if not rule[:1].isupper() or not rule[-1:].isdigit() or found.get(rule, 0) >= OF_EACH:
            continue
        place = path.relative_to(folder).as_posix()
        for linted in ruff_cases(text, path.name, rule):
            if linted.findings[0]["rule"] in _LEFT_OUT:
                continue
            made = Made(
                kind="fix",
                path=f"{path.parent.name}/{path.name}",
                source=text,
                gold=linted.gold,
                asked={"findings": list(linted.findings)},
                origin=f"astral-sh/ruff@{revision}:{place}",
                licence="MIT",
            )
            if _keeps_names(made) and fits(made):
                found[rule] = found.get(rule, 0) + 1
                yield made
