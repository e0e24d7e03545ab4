"""The languages that Patchmill knows, and the one that a path tells by its ending or its name."""

from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """A language: its name in the API and in Markdown fences, the endings of its files, and whole names.

    A name may have many endings, but an ending has one name: C and C++ share `.h`, which is read as C.
    """

    name: str
    suffixes: tuple[str, ...]
    file_names: tuple[str, ...] = ()


def _language(name: str, suffixes: str, file_names: str = "") -> Language:
    return Language(name=name, suffixes=tuple(suffixes.split()), file_names=tuple(file_names.split()))


LANGUAGES = {
    language.name: language
    for language in (
        _language("python", ".py .pyi .pyw", "SConstruct SConscript"),
        _language("javascript", ".js .mjs .cjs .jsx"),
        _language("typescript", ".ts .mts .cts"),
        _language("tsx", ".tsx"),
        _language("go", ".go"),
        _language("rust", ".rs"),
        _language("java", ".java"),
        _language("c", ".c .h"),
        _language("cpp", ".cc .cpp .cxx .c++ .hh .hpp .hxx .h++ .ipp .inl"),
        _language("csharp", ".cs .csx"),
        _language(
            "ruby", ".rb .rake .gemspec .ru", "Gemfile Rakefile Vagrantfile Podfile Brewfile Guardfile"
        ),
        _language("php", ".php .phtml"),
        _language("bash", ".sh .bash", ".bashrc .bash_profile .profile"),
        _language("dockerfile", ".dockerfile .containerfile", "Dockerfile Containerfile"),
        _language("json", ".json .geojson .webmanifest", "composer.lock Pipfile.lock"),
        _language("yaml", ".yaml .yml", ".clang-format .clang-tidy"),
        _language("toml", ".toml", "Pipfile Cargo.lock poetry.lock uv.lock"),
        _language("css", ".css"),
        _language("html", ".html .htm"),
        _language("kotlin", ".kt .kts"),
        _language("swift", ".swift"),
    )
}

_BY_SUFFIX = {suffix: name for name, language in LANGUAGES.items() for suffix in language.suffixes}
_BY_FILE_NAME = {file: name for name, language in LANGUAGES.items() for file in language.file_names}


def language_of(path: str) -> str | None:
    """Tell a file's language by its name or its ending, or None."""
    file = PurePosixPath(path)
    return _BY_FILE_NAME.get(file.name) or _BY_SUFFIX.get(file.suffix.lower()) or _variant(file.name)


def _variant(name: str) -> str | None:
    """A Dockerfile for one purpose, such as Dockerfile.dev."""
    return "dockerfile" if name.startswith(("Dockerfile.", "Containerfile.")) else None
