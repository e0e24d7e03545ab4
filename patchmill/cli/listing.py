"""What lists have in common: how many, which labels, and JSON."""

from typing import Annotated

import typer

LIMIT = 50

Label = Annotated[list[str] | None, typer.Option(help="A label as KEY=VALUE; may be repeated.")]
Limit = Annotated[int, typer.Option(min=1, help="How many at most.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print a JSON list of documents.")]


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
    """Ask for no longer a page than is shown; the API has its own bound."""
    return {"limit": str(min(limit, 200))}
