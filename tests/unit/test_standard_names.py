"""The table of what the standard library has had since when, against this Python and typeshed's stubs."""

import ast
import builtins
import importlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import mypy
import pytest

from patchmill.verify.proof.meaning import _LOOKED_AT
from patchmill.verify.proof.standard_names import _SINCE, has, missing_in, plain_in

STUBS = Path(mypy.__file__).parent / "typeshed" / "stdlib"
NEWEST = (3, 14)  # typeshed tells of one that is not there yet
RUNNING = sys.version_info[:2]


def listed(versions: Iterable[tuple[int, int]]) -> list[str]:
    return [path for version in versions for path in _SINCE[version].split()]


def there(path: str) -> bool:
    module, _, name = path.rpartition(".")
    try:
        return hasattr(importlib.import_module(module), name)
    except ImportError:
        return False


def test_this_python_has_what_is_listed_up_to_it_and_lacks_what_came_later() -> None:
    known = listed(version for version in _SINCE if version <= RUNNING)
    later = listed(version for version in _SINCE if version > RUNNING)

    assert [path for path in known if not there(path) and path not in _gone()] == []
    assert [path for path in later if there(path)] == []


def _gone() -> set[str]:
    return {path for path in listed(_SINCE) if missing_in(RUNNING, *_split(path))}


def _split(path: str) -> tuple[str, str]:
    module, _, name = path.rpartition(".")
    return module, name


def classes(body: Sequence[ast.stmt], version: tuple[int, int]) -> Iterator[str]:
    """The classes of a stub for a Python on Linux; of a condition about something else, both sides."""
    for statement in body:
        match statement:
            case ast.ClassDef(name=name) if not name.startswith("_"):
                yield name
            case ast.If(test=test, body=then, orelse=otherwise):
                taken = _holds(test, version)
                if taken is not False:
                    yield from classes(then, version)
                if taken is not True:
                    yield from classes(otherwise, version)


def _holds(test: ast.expr, version: tuple[int, int]) -> bool | None:
    named = {"sys": SimpleNamespace(version_info=version, platform="linux")}
    if {node.id for node in ast.walk(test) if isinstance(node, ast.Name)} != {"sys"}:
        return None
    return bool(eval(compile(ast.Expression(test), "stub", "eval"), named))  # noqa: S307 - a stub of typeshed


def stubs() -> Iterator[tuple[str, ast.Module]]:
    for root in sorted(_LOOKED_AT | {"builtins"} - {"typing"}):
        for place in (STUBS / f"{root}.pyi", *sorted((STUBS / root).rglob("*.pyi"))):
            module = ".".join(place.relative_to(STUBS).with_suffix("").parts).removesuffix(".__init__")
            if place.is_file() and not any(part.startswith("_") for part in module.split(".")):
                yield module, ast.parse(place.read_text(encoding="utf-8"))


@pytest.mark.parametrize("minor", range(12, NEWEST[1] + 1))
def test_every_class_that_a_later_library_brought_is_listed(minor: int) -> None:
    version, before = (3, minor), (3, minor - 1)
    new = {
        f"{module}.{name}"
        for module, stub in stubs()
        for name in {*classes(stub.body, version)} - {*classes(stub.body, before)}
        if module not in {"typing", "concurrent.interpreters"}
    }
    listed_then = set(listed([version]))
    public = {path for path in new if not any(_elsewhere(path, other) for other in listed_then)}

    assert len(new) >= 3
    assert public - listed_then == set()


def _elsewhere(path: str, other: str) -> bool:
    """Whether a class of a module within a package is listed by the name that the package gives it."""
    return (
        path.startswith(f"{other.partition('.')[0]}.") and path.rpartition(".")[2] == other.rpartition(".")[2]
    )


def test_a_name_is_missing_before_it_came_and_there_from_then_on() -> None:
    for version in _SINCE:
        for path in listed([version]):
            older = (3, version[1] - 1)
            assert f"needs Python 3.{version[1]}" in (missing_in(older, *_split(path)) or ""), path
            assert not has(older, *_split(path))
            assert has(version, *_split(path))


def test_what_is_no_class_takes_any_subscript_as_far_as_is_known() -> None:
    assert plain_in((3, 9), builtins.len) is None
