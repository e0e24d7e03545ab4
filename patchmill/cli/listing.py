"""What commands that list have in common: how they are grouped, how many, which labels, and JSON."""

from collections.abc import Iterable
from itertools import islice
from typing import Annotated, Any, TypeVar

import typer
from typer.core import TyperGroup

from patchmill.cli.exits import ends
from patchmill.cli.talk import say

LIMIT = 50
Listed = TypeVar("Listed")

Label = Annotated[list[str] | None, typer.Option(help="A label as KEY=VALUE; may be repeated.")]
Limit = Annotated[int, typer.Option(min=1, help="How many at most.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print a JSON list of documents.")]


class Subcommands(TyperGroup):
    """Commands of which help tells each whole first sentence, however long."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List them."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, _first_sentence(each.help)) for name, each in found if each])


def _first_sentence(text: str | None) -> str:
    """Give the first paragraph as far as its first full stop before a blank."""
    told = " ".join((text or "").split("\n\n")[0].split())
    sentence, stop, _ = told.partition(". ")
    return f"{sentence}." if stop else told


def group(*examples: str) -> typer.Typer:
    """Make a command that lists when nothing follows it, and whose subcommands do the rest."""
    return typer.Typer(
        cls=Subcommands,
        rich_markup_mode=None,
        add_completion=False,
        invoke_without_command=True,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        epilog=ends(*examples),
    )


def label_filters(labels: list[str] | None) -> dict[str, str]:
    """Write labels as the API's filters.

    Raises:
        typer.BadParameter: one is not KEY=VALUE.
    """
    filters: dict[str, str] = {}
    for label in labels or []:
        key, equals, value = label.partition("=")
        if not key or not equals:
            raise typer.BadParameter(f"{label!r} is not KEY=VALUE", param_hint="--label")
        filters[f"label.{key}"] = value
    return filters


def page(limit: int) -> dict[str, str]:
    """Ask for no longer a page than `first` looks at; the API has its own bound."""
    return {"limit": str(min(limit + 1, 200))}


def first(listed: Iterable[Listed], limit: int) -> list[Listed]:
    """Take so many, and tell when that is not all."""
    found = list(islice(listed, limit + 1))
    if len(found) > limit:
        say(f"there are more; --limit shows more than {limit}")
    return found[:limit]
