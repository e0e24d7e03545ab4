"""Reports and diffs as commands are given them: read, recognised, and the files that they name."""

import json
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from patchmill.cli.talk import say, some
from patchmill.cli.tree import SourceFile, Tree
from patchmill.errors import ConfigurationError
from patchmill.reports import READERS
from patchmill.reports.json_text import read_json
from patchmill.reports.report import UnreadableReport

STDIN = "-"
MAX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A report: its format, its text, and the files that it names, as it names them, each once."""

    form: str
    content: str
    names: tuple[str, ...]
    findings: int


def read_text(name: str, what: str) -> str:
    """Read a file, or standard input for `-`.

    Raises:
        ConfigurationError: it cannot be read, is not UTF-8, or is larger than any server accepts.
    """
    try:
        if name == STDIN:
            if sys.stdin.isatty():
                say(f"reading the {what} from the terminal; Ctrl-D ends it")
            data = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"the {what} {name}: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise ConfigurationError(f"the {what} is larger than {MAX_BYTES // 1024**2} MiB")
    try:
        # A diff may show lines of files that are not UTF-8; their numbers are what counts.
        return data.decode("utf-8-sig", "replace" if what == "diff" else "strict")
    except UnicodeDecodeError:
        raise ConfigurationError(f"the {what} is not UTF-8") from None


def read_report(name: str, form: str | None) -> Report:
    """Read a report; without a format it is told by the content.

    Raises:
        ConfigurationError: it is none, or its format is not known.
    """
    content = read_text(name, "report")
    if not content.strip():
        raise ConfigurationError("the report is empty; did the checker fail?")
    chosen = form or guess(content)
    if chosen not in READERS:
        raise ConfigurationError(f"there is no report format {chosen!r}; there are {', '.join(READERS)}")
    try:
        names = names_in(chosen, content)
    except UnreadableReport as error:
        raise ConfigurationError(f"the report, read as {chosen}: {error}") from None
    return Report(form=chosen, content=content, names=tuple(dict.fromkeys(names)), findings=len(names))


def names_in(form: str, content: str) -> list[str]:
    """Give the file of each finding in a report, as the report names it; raises UnreadableReport."""
    return [found.name for found in READERS[form](content) if found.name]


def guess(content: str) -> str:
    """Tell the format of a report by its content.

    Raises:
        ConfigurationError: it is none that is known; the message says what to do.
    """
    try:
        document = json.loads(content)
    except RecursionError:
        document = None
    except ValueError:
        if _begins_with_an_object(content):
            return "rdjsonl"
        _refuse_broken(content)
        document = None
    if isinstance(document, list):
        return "ruff"
    if isinstance(document, dict):
        if "runs" in document:
            return "sarif"
        if "diagnostics" in document:
            return "rdjson"
        if "message" in document and "location" in document:
            return "rdjsonl"
    raise ConfigurationError(
        f"the report is none that is known; let the checker write one of {', '.join(READERS)}, "
        "and name it with --report-format"
    )


def _begins_with_an_object(content: str) -> bool:
    """Whether the first line is an object by itself, as in a report of one object a line."""
    try:
        return isinstance(json.loads(content.lstrip().partition("\n")[0]), dict)
    except (ValueError, RecursionError):
        return False


def _refuse_broken(content: str) -> None:
    """Say where what begins as JSON stops being it; raises ConfigurationError."""
    if content.lstrip().startswith(("{", "[")):
        try:
            read_json(content)
        except UnreadableReport as error:
            raise ConfigurationError(f"the report {error}; did the checker end well?") from None


def read_named(tree: Tree, names: Sequence[str], within: Collection[str] | None = None) -> list[SourceFile]:
    """Read the files that a report names, as far as they are in the tree, and among `within` if it is given.

    What cannot be read is said and left out: the server will tell which findings it was needed for.
    """
    files: dict[str, SourceFile] = {}
    outside = 0
    for name in names:
        path = tree.relative(name)
        if path is None:
            outside += 1
        elif path not in files and (within is None or path in within):
            try:
                files[path] = tree.read(path)
            except ConfigurationError as error:
                say(f"left out: {error}")
    if outside:
        say(f"left out: {some(outside, 'file')} that the report names outside of {tree.folder}")
    return list(files.values())
