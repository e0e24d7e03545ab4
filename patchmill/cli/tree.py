"""The files below the folder that a command runs in: found, read, and never one outside of it."""

import codecs
import hashlib
import os
import stat
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit

import typer

from patchmill.cli.talk import say, shown
from patchmill.edit import encoding as encodings
from patchmill.edit.encoding import UTF_8, canonical, declared
from patchmill.errors import ConfigurationError
from patchmill.job.naming import wrong_with
from patchmill.kinds.languages import LANGUAGES, language_of

# Folders that hold what others wrote, or what was generated; hidden ones are passed over, too.
NOT_SOURCE = frozenset({"__pycache__", "build", "dist", "node_modules", "site-packages", "vendor", "venv"})


EVERY_LANGUAGE = frozenset(LANGUAGES)
NO_FILES = "nothing to do: there are no files of the languages concerned"

Paths = Annotated[
    list[str], typer.Argument(metavar="PATH", help="Files, or folders with files of a known language.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A file as it was read: its path relative to the folder, with forward slashes, its text and encoding."""

    path: str
    content: str
    encoding: str = UTF_8

    @property
    def sha256(self) -> str:
        """The hash of its bytes, in hexadecimal, as job documents show it."""
        return hashlib.sha256(self.content.encode(self.encoding)).hexdigest()


Encoding = Annotated[
    str | None,
    typer.Option(help="The encoding of files that are not UTF-8 and declare none, such as latin-1."),
]


class Tree:
    """The folder that a command runs in, as its user sees it; paths in it are relative to it.

    `otherwise` is the encoding of files that are not UTF-8 and declare none.
    """

    def __init__(self, folder: Path, *, otherwise: str | None = None) -> None:
        self.folder = folder.resolve()
        self._otherwise = None if otherwise is None else canonical(otherwise)
        if otherwise is not None and self._otherwise is None:
            raise ConfigurationError(
                f"--encoding: no file may be {otherwise!r}; latin-1 or cp1252, say, may be"
            )

    def relative(self, name: str) -> str | None:
        """Give the path of a file inside, named by a relative or absolute path or a file: URL.

        None for what lies outside, also by way of `..`; links are not followed yet.
        """
        if name.lower().startswith("file:"):
            try:
                name = unquote(urlsplit(name).path, errors="strict")
            except (ValueError, UnicodeDecodeError):
                return None
        if not name or "\0" in name:
            return None
        place = Path(os.path.normpath(self.folder / name))
        return place.relative_to(self.folder).as_posix() if place.is_relative_to(self.folder) else None

    def place(self, path: str) -> Path:
        """Give where a file really is, links followed.

        Raises:
            ConfigurationError: it is not there, is no regular file, or a link leads out of the folder.
        """
        try:
            place = (self.folder / path).resolve(strict=True)
            mode = place.stat().st_mode
        except (OSError, RuntimeError, ValueError) as error:
            raise ConfigurationError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
        if not place.is_relative_to(self.folder):
            raise ConfigurationError(f"{path} is a link that leads out of {self.folder}; it is left alone")
        if not stat.S_ISREG(mode):
            raise ConfigurationError(f"{path} is no regular file")
        return place

    def read(self, path: str) -> SourceFile:
        """Read a file.

        Raises:
            ConfigurationError: as for `place`, no service takes a file of this name, or nobody says in
                which encoding it is.
        """
        wrong = wrong_with(path)
        if wrong is not None:
            raise ConfigurationError(f"{shown(path)} {wrong}")
        try:
            data = self.place(path).read_bytes()
        except OSError as error:
            raise ConfigurationError(f"{path}: {error.strerror}") from None
        for encoding in filter(None, (_declared(path, data), UTF_8, self._otherwise)):
            content = encodings.read(data, encoding)
            if content is not None:
                return SourceFile(path=path, content=content, encoding=encoding)
        if self._otherwise is not None:
            raise ConfigurationError(f"{path} is neither UTF-8 nor {self._otherwise}")
        raise ConfigurationError(
            f"{path} is not UTF-8 (byte {_first_fault(data)}) and declares no encoding; "
            "name it, as in --encoding latin-1"
        )

    def find(self, names: Sequence[str], languages: Collection[str]) -> list[str]:
        """Give the paths that these names stand for, in order and each once.

        A folder stands for its files of these languages, without hidden folders, links and `NOT_SOURCE`, and
        without those whose name no service takes, which is said.

        Raises:
            ConfigurationError: a name is nothing that is here.
        """
        found: dict[str, None] = {}
        for name in names:
            path = self.relative(name)
            if path is None:
                raise ConfigurationError(
                    f"{name} lies outside of {self.folder}; run the command in its folder"
                )
            if (self.folder / path).is_dir():
                found.update(dict.fromkeys(self._below(path, languages)))
            else:
                self.place(path)
                found[path] = None
        return list(found)

    def _below(self, path: str, languages: Collection[str]) -> Iterator[str]:
        for folder, names, files in os.walk(self.folder / path):
            names[:] = sorted(name for name in names if name not in NOT_SOURCE and not name.startswith("."))
            for name in sorted(files):
                place = Path(folder, name)
                if language_of(name) in languages and not place.is_symlink():
                    found = place.relative_to(self.folder).as_posix()
                    wrong = wrong_with(found)
                    if wrong is None:
                        yield found
                    else:
                        say(f"left out: {found} {wrong}")


def _declared(path: str, data: bytes) -> str | None:
    """The encoding that a Python file declares, as Python reads it; a byte order mark is stronger."""
    if language_of(path) != "python" or data.startswith(codecs.BOM_UTF8):
        return None
    told = declared(data.decode("latin-1"))
    return None if told is None else canonical(told)


def _first_fault(data: bytes) -> int:
    """The number of the first byte that is no UTF-8, from 1."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start + 1
    return len(data)
