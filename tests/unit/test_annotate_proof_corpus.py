"""Real annotations, taken out of installed packages and put back: right ones pass, mutated ones never."""

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from patchmill.verify.proof.child import answer
from tests.support.mutants import CODE, HINTS, PLANTED, Mutant, mutants
from tests.support.stripped import Part, Stripped, files

PACKAGES = ("click", "httpx", "jinja2", "rich", "structlog", "starlette")
RIGHT = 200
MUTANTS = 500
# What may be refused though it is right, and why that cannot be told from one file.
EXPLAINED = {
    "hints_are_read": "the function is handed to code of another file, which may read its hints",
    "decorated_parameter_hint": "the decorator comes from another file, and may read hints",
    "decorated_return_hint": "likewise",
    "docstrings_are_read": "click shows the docstrings of its commands",
}


@pytest.fixture(scope="module")
def corpus() -> list[Stripped]:
    found = list(files(*PACKAGES))
    random.Random(11).shuffle(found)
    return found


def refusals(source: str, candidates: list[str]) -> Iterator[list[tuple[str, int, str]]]:
    """What the proof says of each candidate: its refusals, none if it is accepted."""
    asked = {"source": source, "candidates": candidates, "path": "app.py"}
    told = answer({**asked, "what": ["types", "docstrings"], "target": [3, 11]})
    assert told["source_error"] is None
    return (proof["refusals"] for proof in told["proofs"])


def test_right_annotations_of_real_packages_are_proven(corpus: list[Stripped]) -> None:
    pick = random.Random(5)
    tried: Counter[str] = Counter()
    refused: list[tuple[Path, str, str, str]] = []
    for file in corpus:
        some = pick.sample(file.parts, min(4, len(file.parts), RIGHT - tried.total()))
        for part, broken in zip(
            some, refusals(file.bare, [file.with_only([one]) for one in some]), strict=True
        ):
            tried[part.kind] += 1
            if broken:
                refused.append((file.path, part.name, broken[0][0], broken[0][2]))

    assert tried.total() == RIGHT
    assert min(tried["hints"], tried["docstring"]) > 50
    assert len(refused) <= 2, refused
    assert {rule for _, _, rule, _ in refused} <= EXPLAINED.keys()


def test_no_mutant_of_a_right_annotation_is_accepted(corpus: list[Stripped]) -> None:
    pick = random.Random(23)
    kinds = (*CODE, *HINTS, *PLANTED)
    per_kind = MUTANTS // len(kinds) + 2
    made: Counter[str] = Counter()
    accepted: list[tuple[Path, str, str]] = []
    for file in [file for file in corpus if len(file.source) < 12_000] * 3:
        wanted = [kind for kind in kinds if made[kind] < per_kind] if made.total() < MUTANTS else []
        pick.shuffle(wanted)
        for source, batch in _by_source(mutants(file, _right(file, pick), wanted[:12], pick)):
            some = batch[: MUTANTS - made.total()]
            said = refusals(source, [one.edited for one in some]) if some else iter(())
            for mutant, broken in zip(some, said, strict=True):
                made[mutant.kind] += 1
                if not broken:
                    accepted.append((file.path, mutant.kind, mutant.edited))

    assert accepted == []
    assert made.total() == MUTANTS
    assert made.keys() == {*kinds}
    assert min(made.values()) >= 3, made


def _right(file: Stripped, pick: random.Random) -> list[Part]:
    return pick.sample(file.parts, min(3, len(file.parts)))


def _by_source(made: list[Mutant]) -> list[tuple[str, list[Mutant]]]:
    return [
        (source, [one for one in made if one.source == source])
        for source in {one.source: None for one in made}
    ]
