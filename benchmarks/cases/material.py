"""A case on its way into the set: what makes it fit, and how it is written down."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from patchmill.evaluate.cases import Case
from patchmill.evaluate.judge import Offer, judge
from patchmill.evaluate.text import Change, changed_lines, lines_of

# What may not stand in the tree: addresses of package registries, and paths of somebody's machine.
_FOREIGN = re.compile(
    r"(?:pypi|npmjs|pythonhosted|crates|jsdelivr|unpkg|yarnpkg)\.(?:org|com|io|net)"
    r"|(?:^|[\s\"'(=`])/(?:home|root|Users|work|opt|mnt|srv)/",
    re.MULTILINE,
)
PERMISSIVE = frozenset(
    {"Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT-0", "MIT OR Apache-2.0"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A case before it has its id."""

    kind: str
    path: str
    source: str
    gold: str
    origin: str
    licence: str
    asked: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules of its findings, or what is asked for."""
        return tuple(dict.fromkeys(one["rule"] for one in self.asked.get("findings", ()))) or tuple(
            self.asked.get("what", ("instruction",))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which files of packages are taken, by their sizes, and how many cases are made of them."""

    characters: tuple[int, int]
    lines: tuple[int, int]
    most: int
    of_each_rule: int
    of_each_package: int

    def takes(self, text: str) -> bool:
        """Whether a file is neither too small nor too large, nor written by a machine in long lines."""
        return (
            self.characters[0] <= len(text) <= self.characters[1]
            and self.lines[0] <= text.count("\n") <= self.lines[1]
        )


def fits(made: Made) -> bool:
    """Whether a case may be in the set: its licence, its words, and an answer that the judge lets pass."""
    if made.licence not in PERMISSIVE or made.source == made.gold:
        return False
    if _FOREIGN.search(made.source) or _FOREIGN.search(made.gold):
        return False
    findings = frozenset(range(len(made.asked.get("findings", ()))))
    [opinion] = judge(case_of(made, "?"), [Offer(changes=changes(made.source, made.gold), findings=findings)])
    return not opinion.objections and opinion.text == made.gold


def case_of(made: Made, identity: str) -> Case:
    """Give it as a case."""
    return Case(
        id=identity,
        kind=made.kind,
        path=made.path,
        source=made.source,
        gold=made.gold,
        findings=tuple(made.asked.get("findings", ())),
        asked=made.asked,
        origin=made.origin,
        licence=made.licence,
    )


def changes(source: str, gold: str) -> tuple[Change, ...]:
    """What the right answer changes."""
    old = lines_of(source)
    return tuple(
        Change(start=first, end=last, original="".join(old[first - 1 : last]), replacement="".join(new))
        for first, last, new in changed_lines(old, lines_of(gold))
    )


def write(folder: Path, name: str, cases: Iterable[Made]) -> int:
    """Write cases to a file of the set, each with its id; give how many there are."""
    lines = []
    for number, made in enumerate(cases, start=1):
        label = re.sub(r"[^a-z0-9]+", "-", "-".join(made.rules[:2]).lower()).strip("-")
        document = {
            "id": f"{name.replace('_', '-')}-{number:03d}-{label}",
            "kind": made.kind,
            "path": made.path,
            "source": made.source,
            **made.asked,
            "gold": made.gold,
            "origin": made.origin,
            "licence": made.licence,
        }
        lines.append(json.dumps(document, ensure_ascii=False) + "\n")
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8", newline="")
    return len(lines)


def spread(cases: Sequence[Made], most: int, *, each: int) -> list[Made]:
    """Take at most so many, and of each rule at most `each`, the first of every rule first."""
    by_rule: dict[str, list[Made]] = {}
    for made in cases:
        by_rule.setdefault(made.rules[0], []).append(made)
    rounds = [
        made
        for number in range(each)
        for rule in sorted(by_rule)
        for made in by_rule[rule][number : number + 1]
    ]
    return rounds[:most]
