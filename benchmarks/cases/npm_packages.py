"""Cases of npm packages: what oxlint finds and mends in their JavaScript and TypeScript."""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.cases.linting import oxlint_broken, oxlint_case, oxlint_rules
from benchmarks.cases.material import Made, fits, spread

MOST, OF_EACH, MOST_FINDINGS = 30, 2, 4
_SMALLEST, _LARGEST = 500, 9_000
_ROOT = "package/"
_SUFFIXES = (".js", ".mjs", ".cjs", ".ts")


def make(folder: Path) -> list[Made]:
    """Make cases of the archives that `npm pack` wrote into a folder."""
    return spread(list(_candidates(folder)), MOST, each=OF_EACH)


def _candidates(folder: Path) -> Iterator[Made]:
    found: dict[str, int] = {}
    rules = oxlint_rules()
    for archive in sorted(folder.glob("*.tgz")):
        files = _files(archive)
        about = json.loads(files["package/package.json"])
        for name, text in sorted(files.items()):
            suffix = next((each for each in _SUFFIXES if name.endswith(each)), None)
            if suffix is None or not _SMALLEST <= len(text) <= _LARGEST:
                continue
            for rule in oxlint_broken(text, suffix, rules):
                if found.get(rule, 0) >= OF_EACH:
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
                    found[rule] = found.get(rule, 0) + 1
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
