"""What a command gives out at its end: the files mended, a format for machines, or text for people."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import typer

from patchmill.cli.console import data_console
from patchmill.cli.exits import Exit
from patchmill.cli.job_text import print_patch, print_work
from patchmill.cli.outcome import exit_of_work, left
from patchmill.cli.serving import Served
from patchmill.cli.talk import say, shown
from patchmill.cli.tree import Tree
from patchmill.cli.work import Standing, Work, rendered
from patchmill.cli.writing import changes, write
from patchmill.errors import ConfigurationError


class Format(StrEnum):
    """The formats that suggestions come in."""

    JSON = "json"
    PATCH = "patch"
    GITHUB = "github"
    GITLAB = "gitlab"
    SARIF = "sarif"
    RDJSON = "rdjson"


Apply = Annotated[
    bool, typer.Option("--apply", help="Write the suggestions into the files: all of them or none.")
]
Diff = Annotated[
    bool, typer.Option("--diff", help="Print the suggestions as one patch, in colours on a terminal.")
]
FormatOption = Annotated[
    Format | None, typer.Option("--format", help="Print the suggestions in this format.")
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print the documents of the run and its jobs as one JSON object.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what it may cost and whether that fits; submit nothing.")
]
ExitZero = Annotated[bool, typer.Option("--exit-zero", help="Exit with 0 also when findings are left.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the user wants to be given; at most one of them."""

    apply: bool = False
    diff: bool = False
    form: Format | None = None
    as_json: bool = False
    exit_zero: bool = False
    dry_run: bool = False  # only what it may cost, as text or JSON

    def check(self) -> None:
        """Refuse wishes that contradict each other.

        Raises:
            ConfigurationError: more than one was given.
        """
        if self.apply + self.diff + self.as_json + (self.form is not None) > 1:
            raise ConfigurationError("--apply, --diff, --format and --json exclude each other; name one")
        if self.dry_run and (self.apply or self.diff or self.form is not None):
            raise ConfigurationError("--dry-run submits nothing; it goes with --json, and with no other form")


def give(
    service: Served, work: Work, ended: Standing, *, wish: Wish, tree: Tree, sources: Mapping[str, str]
) -> int:
    """Give what is wanted of work that has ended; give the exit code, too.

    Raises:
        NotApplied: a file is not what was submitted; nothing was changed.
    """
    if wish.apply:
        apply(ended, tree)
    elif wish.as_json:
        print(json.dumps(ended.document(), indent=2))
    elif wish.form is not None:
        put(rendered(service.client, work, wish.form.value))
    elif wish.diff:
        put_patch(rendered(service.client, work, Format.PATCH.value))
    else:
        print_work(data_console(), ended, sources)
    if (wish.apply or wish.diff or wish.form is not None) and exit_of_work(ended) is not Exit.DONE:
        say(left(ended))
    return code_of(ended, wish)


def give_nothing(wish: Wish) -> int:
    """Give what is wanted where there was nothing to submit: an empty document of the same kind."""
    if wish.as_json:
        print(json.dumps(Standing(run=None, jobs=[]).document(), indent=2))
    elif wish.form is not None:
        from patchmill.deliver.formats import FORMATS  # noqa: PLC0415 - brings the database's client along
        from patchmill.deliver.suggestion import Offered  # noqa: PLC0415 - likewise

        put(FORMATS[wish.form.value].render(Offered(files=())))
    return Exit.DONE


def code_of(ended: Standing, wish: Wish) -> int:
    """Give the exit code of work that has ended; with `exit_zero` findings that are left do not count."""
    code = exit_of_work(ended)
    return Exit.DONE if wish.exit_zero and code is Exit.FINDINGS_LEFT else code


def apply(ended: Standing, tree: Tree, *, check: bool = False) -> int:
    """Write every suggestion into the files, or with `check` only see if that can be done; give how many.

    Raises:
        NotApplied: a file is not what was submitted; nothing was changed.
    """
    found = changes(tree, ended.jobs)
    count = sum(len(job["suggestions"]) for job in ended.jobs)
    if not found:
        say("no suggestion is offered; nothing was changed")
        return 0
    if not check:
        write(found)
    files = f"{len(found)} file{'s' if len(found) > 1 else ''}"
    say(f"{count} suggestion{'s' if count > 1 else ''} {'fit' if check else 'written into'} {files}:")
    for change in found:
        say(f"  {change.path}")
    return count


def put(text: str) -> None:
    """Print a document exactly as it came, with a line feed at its end; on a terminal, made harmless."""
    if sys.stdout.isatty():
        print(shown(text.removesuffix("\n")))
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
    if text and not text.endswith("\n"):
        sys.stdout.buffer.write(b"\n")
    sys.stdout.buffer.flush()


def put_patch(patch: str) -> None:
    """Print a patch: in colours where a person reads it, byte for byte where a program does."""
    console = data_console()
    if console.is_terminal:
        print_patch(console, patch)
    else:
        put(patch)
