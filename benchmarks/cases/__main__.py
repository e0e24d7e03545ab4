"""`python -m benchmarks.cases`: make the development set anew, or some of its files."""

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path

from benchmarks.cases import annotating, by_hand, npm_packages, packages, ruff_fixtures
from benchmarks.cases.material import Made, write
from benchmarks.cases.notices import notices
from patchmill.evaluate import cases

FOLDER = Path(cases.__file__).parent / cases.DEVELOPMENT
NAMES = (
    "by_hand",
    "ruff_fixtures",
    "python_packages",
    "npm_packages",
    "annotate",
    "python_files",
    "npm_files",
)


def main() -> None:
    """Write every file of the set, and say how many cases each has."""
    warnings.simplefilter("ignore", SyntaxWarning)  # fixtures are made to be odd
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--ruff", type=Path, required=True, help="the sources of ruff")
    reader.add_argument("--ruff-revision", required=True, help="the revision that they are of")
    reader.add_argument("--npm", type=Path, required=True, help="a folder of archives that `npm pack` wrote")
    reader.add_argument(
        "--only", choices=NAMES, action="append", help="make this file alone; may be repeated"
    )
    given = reader.parse_args()
    makers: dict[str, Callable[[], list[Made]]] = {
        "by_hand": by_hand.make,
        "ruff_fixtures": lambda: ruff_fixtures.make(given.ruff, given.ruff_revision),
        "python_packages": lambda: packages.make(packages.SMALL),
        "npm_packages": lambda: npm_packages.make(given.npm, npm_packages.SMALL),
        "annotate": annotating.make,
        "python_files": lambda: packages.make(packages.USUAL),
        "npm_files": lambda: npm_packages.make(given.npm, npm_packages.USUAL),
    }
    for name in given.only or NAMES:
        print(f"{name}: {write(FOLDER, name, makers[name]())} cases", flush=True)
    written = notices(cases.read_cases(cases.DEVELOPMENT), ruff=given.ruff, npm=given.npm)
    (FOLDER / "NOTICES.md").write_text(written, encoding="utf-8")


if __name__ == "__main__":
    main()
