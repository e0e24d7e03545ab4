"""Cases of typed libraries with some hints or docstrings taken out: the right answer is the original."""

from collections.abc import Iterator, Sequence
from importlib import metadata

from benchmarks.cases.material import Made, fits
from tests.support.stripped import Part, Stripped, files

MOST, OF_EACH = 60, 12
_LARGEST = 8_000
PACKAGES = {
    "h11": "MIT",
    "httpcore": "BSD-3-Clause",
    "iniconfig": "MIT",
    "platformdirs": "MIT",
    "pluggy": "MIT",
    "referencing": "MIT",
    "starlette": "BSD-3-Clause",
    "structlog": "MIT OR Apache-2.0",
    "uvicorn": "BSD-3-Clause",
}
_PARTS = (1, 2, 4)  # so many are taken out, in turns


def make() -> list[Made]:
    """Make cases of the packages, of each at most `OF_EACH`."""
    return [made for name, licence in PACKAGES.items() for made in _of_package(name, licence)][:MOST]


def _of_package(name: str, licence: str) -> list[Made]:
    found: list[Made] = []
    for file in files(name):
        for made in _of_file(file, name, licence):
            if fits(made):
                found.append(made)
                break
        if len(found) == OF_EACH:
            break
    return found


def _of_file(file: Stripped, name: str, licence: str) -> Iterator[Made]:
    if len(file.source) > _LARGEST:
        return
    by_kind = {kind: [part for part in file.parts if part.kind == kind] for kind in ("hints", "docstring")}
    at = len(file.source)  # any number that differs from file to file
    wanted = _PARTS[at % len(_PARTS)]
    order = ("docstring", "hints") if at % 2 == 0 else ("hints", "docstring")
    for kind in order:
        parts = _some(by_kind[kind], wanted)
        if parts:
            kept = [part for part in file.parts if part not in parts]
            yield Made(
                kind="annotate",
                path=f"{name}/{file.path.name}",
                source=file.with_only(kept),
                gold=file.source,
                asked={"what": ["types" if kind == "hints" else "docstrings"]},
                origin=f"{name} {metadata.version(name)} (Python package): {name}/{file.path.name}, "
                f"without {kind} of {', '.join(part.name for part in parts)}",
                licence=licence,
            )


def _some(parts: Sequence[Part], wanted: int) -> list[Part]:
    """So many of the parts, from all over the file."""
    step = max(1, len(parts) // wanted)
    return list(parts[::step][:wanted])
