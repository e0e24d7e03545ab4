"""Scenarios: behaviours under a name, one TOML file each."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from patchmill.dev.standin.behaviour import Behaviour, InvalidBehaviour, read_behaviour

_FOLDER = Path(__file__).parent
_ENDING = ".toml"


class InvalidScenario(ValueError):
    """There is no such scenario, or its file describes none; the message says what is wrong, and where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A behaviour, and one line that says what it is like."""

    description: str
    behaviour: Behaviour


def bundled_scenarios() -> list[str]:
    """The names of the scenarios that come with the stand-in."""
    return sorted(path.stem for path in _FOLDER.glob(f"*{_ENDING}"))


def load_scenario(name: str) -> Scenario:
    """A bundled scenario; raises InvalidScenario."""
    if name not in bundled_scenarios():
        raise InvalidScenario(
            f"name: there is no scenario {name!r}; there are {', '.join(bundled_scenarios())}"
        )
    return _read(_FOLDER / f"{name}{_ENDING}")


def find_scenario(name_or_file: str) -> Scenario:
    """A bundled scenario by its name, or one from a file by a path that ends in `.toml`.

    Raises:
        InvalidScenario: there is none, or its file describes none.
    """
    return _read(Path(name_or_file)) if name_or_file.endswith(_ENDING) else load_scenario(name_or_file)


def _read(path: Path) -> Scenario:
    try:
        document: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidScenario(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise InvalidScenario(f"{path}: not valid TOML: {error}") from None
    description = document.pop("description", None)
    if not isinstance(description, str) or not description.strip() or "\n" in description:
        raise InvalidScenario(f"{path}: description: must be one line of text")
    try:
        return Scenario(description=description, behaviour=read_behaviour(document))
    except InvalidBehaviour as error:
        raise InvalidScenario(f"{path}: {error}") from None
