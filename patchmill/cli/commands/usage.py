"""`patchmill usage`: what calls used and cost, grouped in any way."""

import json
import re
import sys
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from patchmill.cli.exits import Exit, ends
from patchmill.cli.serving import served
from patchmill.cli.talk import say, shown
from patchmill.cli.usage_text import usage_lines
from patchmill.errors import ConfigurationError

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_AGO = re.compile(r"(\d{1,4})([dh])")
_DATED = re.compile(r"\d{4}-")
_FORMS = "a date such as 2026-11-22, a time such as 2026-11-22T12:00:00Z, or a span such as 7d or 24h"
_BY = ("day", "model")


@app.command(
    epilog=ends(
        "patchmill usage",
        "patchmill usage --since 24h --by hour",
        "patchmill usage --since 2026-11-01 --until 2026-12-01 --by rule,model --time-zone Europe/Berlin",
        "patchmill usage --since 90d --by day,label.team --csv > usage.csv",
    )
)
def usage(
    *,
    since: Annotated[
        str,
        typer.Option(
            metavar="WHEN", help="A date, a time with its offset, or a span such as 7d (today too) or 24h."
        ),
    ] = "7d",
    until: Annotated[
        str | None, typer.Option(metavar="WHEN", help="A date or a time, not included; now if omitted.")
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GROUPS",
            help="Some of day, hour, project, key, model, kind, rule, label.KEY, with commas between; "
            "without it day and model.",
        ),
    ] = None,
    time_zone: Annotated[str, typer.Option(metavar="NAME", help="Whose days and hours these are.")] = "UTC",
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV for a spreadsheet.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the document as JSON.")] = False,
) -> int:
    """Sum up what the project's calls used and cost.

    A call counts when it was sent, and its cost is divided among the rules of its job's findings. However
    the rows are grouped, their money adds up to the total. Uncertain is what calls may have cost on top whose
    end nobody knows.
    """
    if as_csv and as_json:
        raise typer.BadParameter("--csv and --json exclude each other", param_hint="--csv")
    question = {"since": _beginning(since, time_zone), "until": until, "time_zone": time_zone}
    groups = [name for each in by or _BY for name in each.split(",")]
    with served() as service:
        if as_csv:
            _print_csv(service.client.usage_csv(**question, group_by=groups))
            return Exit.DONE
        report = service.client.usage(**question, group_by=groups)
    if as_json:
        print(json.dumps(report, indent=2))
        return Exit.DONE
    for line in usage_lines(report):
        print(line)
    if not report["total"]["calls"]:
        say("no call was sent in this time")
    return Exit.DONE


def _beginning(text: str, time_zone: str) -> str:
    """Write a span until now as the day or the time at which it begins; a date is for the server.

    Raises:
        ConfigurationError: it is none of these.
    """
    ago = _AGO.fullmatch(text)
    if ago is None:
        if not _DATED.match(text):
            raise ConfigurationError(f"--since: must be {_FORMS}")
        return text
    number, now = int(ago[1]), datetime.now(UTC)
    if ago[2] == "h":
        return (now - timedelta(hours=number)).isoformat()
    today = now.astimezone(_zone(time_zone)).date()
    return (today - timedelta(days=max(number, 1) - 1)).isoformat()


def _zone(name: str) -> tzinfo:
    """Give a time zone; in the place of none that exists any, since the server says which may be meant."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        return UTC


def _print_csv(text: str) -> None:
    """Print what the server wrote, byte for byte, unless it is a terminal that would act on parts of it."""
    sys.stdout.write(shown(text.replace("\r\n", "\n")) if sys.stdout.isatty() else text)
