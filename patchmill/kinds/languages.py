"""The languages that Patchmill knows, and the one that a path's ending tells."""

from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """A language: its name in the API and in Markdown fences, and the endings of its files."""

    name: str
    suffixes: tuple[str, ...]


LANGUAGES = {language.name: language for language in (Language(name="python", suffixes=(".py", ".pyi")),)}


def language_of(path: str) -> str | None:
    """Tell a file's language by its ending, or None."""
    suffix = PurePosixPath(path).suffix.lower()
    return next((name for name, language in LANGUAGES.items() if suffix in language.suffixes), None)
