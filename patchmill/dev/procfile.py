"""The Procfile: which processes Patchmill is made of, and how each is started."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import patchmill
from patchmill.errors import ConfigurationError

# For installations from a wheel, which holds no Procfile; a test keeps the two alike.
SHIPPED = "api: python -m api\nworker: python -m worker\n"


def root() -> Path:
    """Give the folder that the packages lie in: the checkout, or the environment's packages."""
    return Path(patchmill.__file__).resolve().parent.parent


def read() -> dict[str, list[str]]:
    """Give the command of each process by its name; `python` is the one that runs this.

    Raises:
        ConfigurationError: the file is not one that can be followed.
    """
    file = root() / "Procfile"
    return parse(file.read_text(encoding="utf-8") if file.is_file() else SHIPPED)


def parse(text: str) -> dict[str, list[str]]:
    """Read a Procfile: lines `name: command`; empty ones and those that begin with # say nothing.

    Raises:
        ConfigurationError: a line is none of these, or a name comes twice.
    """
    commands: dict[str, list[str]] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, colon, command = line.partition(":")
        words = command.split()
        if not colon or not name.strip() or not words:
            raise ConfigurationError(f"Procfile, line {number}: expected `name: command`")
        if name.strip() in commands:
            raise ConfigurationError(f"Procfile, line {number}: there is a `{name.strip()}` already")
        commands[name.strip()] = [sys.executable, *words[1:]] if words[0] == "python" else words
    return commands


def environment(given: Mapping[str, str], settings: Mapping[str, str]) -> dict[str, str]:
    """Give the environment of the processes: with these settings, and with Patchmill's own packages first.

    The folder that the user happens to stand in is kept out: it may hold an `api` of its own.
    """
    paths = [str(root()), *filter(None, given.get("PYTHONPATH", "").split(os.pathsep))]
    return {
        **given,
        **settings,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONSAFEPATH": "1",
        "PYTHONUNBUFFERED": "1",
    }
