"""The bundled example as jobs: its files, and what ruff really finds in them."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from patchmill.cli import ruff_findings

SUFFIX = ".txt"  # the files are data: no tool shall take them for modules of Patchmill
TO_FIX = ("shop/catalog.py", "shop/importer.py", "shop/orders.py", "shop/report.py")
TO_ANNOTATE = ("shop/pricing.py",)
RUFF: dict[str, Any] = {
    "target-version": "py311",
    "line-length": 110,
    "select": ["E", "F", "W", "B", "C4", "SIM", "UP"],
    "lint.isort.known-first-party": ["shop"],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleJob:
    """One job of the example: a file and what to do about it."""

    path: str
    kind: str
    request: dict[str, Any]

    @property
    def findings(self) -> list[dict[str, Any]]:
        """The findings that it is to fix."""
        found: list[dict[str, Any]] = self.request.get("findings", [])
        return found


def write_files(folder: Path) -> None:
    """Write the example's files under their real names."""
    for path in (*TO_FIX, *TO_ANNOTATE):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(files("patchmill.cli").joinpath("example", path + SUFFIX).read_bytes())


def make_jobs(folder: Path) -> list[ExampleJob]:
    """Give a job for each file that was written to the folder.

    Raises:
        Unavailable: ruff does not run.
    """
    found = ruff_findings.find(folder, TO_FIX, RUFF)
    jobs = [_job(folder, path, "fix", {"findings": found[path]}) for path in TO_FIX]
    return jobs + [_job(folder, path, "annotate", {"what": ["types", "docstrings"]}) for path in TO_ANNOTATE]


def _job(folder: Path, path: str, kind: str, wanted: dict[str, Any]) -> ExampleJob:
    content = (folder / path).read_bytes().decode("utf-8")
    return ExampleJob(
        path=path,
        kind=kind,
        request={
            "kind": kind,
            "file": {"path": path, "content": content},
            "checkers": {"ruff": RUFF},
            "labels": {"example": "shop"},
            **wanted,
        },
    )
