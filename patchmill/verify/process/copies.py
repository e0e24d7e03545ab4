"""Copies of a file's versions for a checker to read, each in a numbered folder under a name that is safe."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

_BOM = "\ufeff"
_LINE_END = re.compile(r"\r\n?")
_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]")
_MOST_CHARACTERS = 100


def safe_name(path: str, *, suffixes: Sequence[str], names: Sequence[str] = ()) -> str:
    """A file name that keeps what checkers look at: one of the `names`, or the base name and its ending.

    A path that has none of the `suffixes` gets the first of them.
    """
    base = PurePosixPath(path.replace("\\", "/")).name
    if base in names:
        return base
    suffix = next((each for each in suffixes if base.lower().endswith(each)), None)
    stem = base if suffix is None else base[: -len(suffix)]
    stem = _UNSAFE.sub("_", stem)[:_MOST_CHARACTERS].lstrip(".-")
    return f"{stem or '_'}{suffix or suffixes[0]}"


def plain(text: str) -> str:
    """A text as every tool counts its lines, ended by LF; without a byte order mark or half a surrogate."""
    return whole(_LINE_END.sub("\n", text.removeprefix(_BOM)))


def whole(text: str) -> str:
    """A text without half a surrogate, which is no character to most tools."""
    return _LONE_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)


def without_directives(text: str, word: str) -> str:
    """The text with its comments that begin with a tool's name written otherwise, character for character.

    In a string the change is harmless, since the unchanged and the edited text alike meet it.
    """
    # From the end to the start, so that no run of signs is gone over twice.
    directive = re.compile(rf"{word[::-1]}(?=[^\w\n#]*#)")
    return directive.sub(f"_{word[-2::-1]}", text[::-1])[::-1]


def write(folder: Path, name: str, texts: Iterable[str]) -> list[str]:
    """Write each text under this name into a folder of its own; give the paths within `folder`, in order."""
    written = []
    for number, text in enumerate(texts):
        place = folder / str(number)
        place.mkdir()
        (place / name).write_bytes(text.encode("utf-8", "surrogatepass"))
        written.append(f"{number}/{name}")
    return written


def read(folder: Path, paths: Iterable[str]) -> list[str]:
    """What has become of the texts at paths that `write` gave."""
    return [(folder / path).read_bytes().decode("utf-8", "replace") for path in paths]


def number_of(path: str) -> int:
    """Which of the texts is at a path that `write` gave."""
    return int(PurePosixPath(path).parent.name)
