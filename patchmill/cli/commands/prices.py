"""`patchmill prices`: what tokens cost; rows are added, and never changed."""

import difflib
import json
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from patchmill.budget.price_rows import EDGE, PriceRow, document_of, sorted_rows
from patchmill.budget.prices import Price
from patchmill.cli.database import database_url, known_database, transaction
from patchmill.cli.exits import Exit, ends
from patchmill.cli.listing import AsJson, group
from patchmill.cli.price_files import SOURCE, price_from, read_prices
from patchmill.cli.report_input import read_text
from patchmill.cli.serving import served
from patchmill.cli.table import table
from patchmill.cli.talk import say, shown, some
from patchmill.errors import ConfigurationError
from patchmill.settings import load
from patchmill.store import prices as store

app = group(
    "patchmill prices",
    "patchmill prices add deepseek-v4-flash --input 0.14 --cached 0.0028 --output 0.28",
    "patchmill prices import prices.csv --dry-run",
)

_OPTIONS = {
    EDGE["input"]: "--input",
    EDGE["cached"]: "--cached",
    EDGE["output"]: "--output",
    "valid_from": "--from",
    "valid_to": "--until",
    "peak": "--peak",
    "source": "--source",
    "model": "MODEL",
}
_NOT_ASKED = frozenset({"id", "status"})
Rate = "US dollars for a million tokens, such as 0.14"


@app.callback(invoke_without_command=True)
def prices(
    context: typer.Context,
    *,
    model: Annotated[str | None, typer.Option(help="Of this model alone.")] = None,
    as_json: AsJson = False,
) -> int:
    """List what a million tokens cost in US dollars: now, from when on, and before.

    Of two prices with the same hours the one that begins later holds, and one with hours of the day
    outranks the plain one in them. On the host it reads the database: PATCHMILL_DATABASE_URL, or that of a
    running `patchmill up` with the same PATCHMILL_DATA_DIR. Elsewhere it asks the server with a key.
    """
    if context.invoked_subcommand is not None:
        return Exit.DONE
    found = _listed(model)
    if as_json:
        print(json.dumps(found, indent=2))
        return Exit.DONE
    if found:
        _print_table(found)
    else:
        of = "" if model is None else f" for {shown(model)}"
        say(f"no price is known{of}, and without one no call is made; `patchmill prices add` adds one")
    return Exit.DONE


@app.command(
    epilog=ends(
        "patchmill prices add deepseek-v4-flash --input 0.14 --cached 0.0028 --output 0.28",
        "patchmill prices add deepseek-v4-flash --input 0.28 --cached 0.0056 --output 0.56 \\\n"
        "    --peak 'Asia/Shanghai 9-12,14-18' --from 2026-12-01T00:00:00Z",
    )
)
def add(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The model's name, as the gateway has it.")],
    *,
    entering: Annotated[str, typer.Option("--input", help=f"{Rate}: input that was not in the cache.")],
    cached: Annotated[str, typer.Option("--cached", help="The same, for input that was.")],
    leaving: Annotated[str, typer.Option("--output", help="The same, for output.")],
    since: Annotated[str | None, typer.Option("--from", help="When it begins; without it, now.")] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="When it ends; without it, when a later one begins.")
    ] = None,
    peak: Annotated[
        str | None, typer.Option(help="Only in these hours of the day, as 'Asia/Shanghai 9-12,14-18'.")
    ] = None,
    source: Annotated[str, typer.Option(help="Where you found it.")] = SOURCE,
    as_json: Annotated[bool, typer.Option("--json", help="Print the new row as JSON.")] = False,
) -> int:
    """Add a price. What was settled before stays as it was, whenever the price begins.

    Without a database that is known here the server adds it, which takes an admin key of the project
    `default`.
    """
    entry = {
        "model": model,
        EDGE["input"]: entering,
        EDGE["cached"]: cached,
        EDGE["output"]: leaving,
        "valid_from": since,
        "valid_to": until,
        "peak": peak,
        "source": source,
    }
    try:
        made = price_from(entry, datetime.now(UTC))
    except ValueError as error:
        raise ConfigurationError(_with_options(str(error))) from None
    document = _added(*made, dated=since is not None)
    if as_json:
        print(json.dumps(document, indent=2))
    else:
        say(f"added: {_sentence(made[0])}")
    _doubt(model)
    return Exit.DONE


@app.command(
    "import",
    epilog=ends(
        "patchmill prices import prices.csv --dry-run", "patchmill prices --json | patchmill prices import -"
    ),
)
def import_prices(
    file: Annotated[str, typer.Argument(metavar="FILE", help="CSV or JSON; - for standard input.")],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be added, and add nothing.")
    ] = False,
) -> int:
    """Add the prices of a file: all of them, or none when a line is wrong. Those that are there are left out.

    CSV has a header, JSON is a list of objects as `patchmill prices --json` prints them. Fields are model,
    input_usd_per_million, cached_usd_per_million, output_usd_per_million, and if you like peak, valid_from,
    valid_to and source. It works on the database of the host alone.
    """
    read = read_prices(read_text(file, "prices"), datetime.now(UTC))
    if read.wrong:
        for sentence in read.wrong:
            say(sentence)
        every = len(read.wrong) + len(read.rows)
        raise ConfigurationError(
            f"{some(len(read.wrong), 'line')} of {every} cannot be used; nothing was added"
        )
    with transaction(database_url(load())) as connection:
        there = {_said_by(row.price) for row in store.list_prices(connection)}
        rows = {_said_by(price): (price, source) for price, source in read.rows}
        fresh = [row for said, row in rows.items() if said not in there]
        if fresh and not dry_run:
            store.add_prices(connection, fresh, actor="host")
    for price, _ in fresh:
        say(f"{'would add' if dry_run else 'added'}: {_sentence(price)}")
    left_out = len(read.rows) - len(fresh)
    known = f"; {some(left_out, 'row')} there already" if left_out else ""
    say(f"{some(len(fresh), 'price')} {'would be added' if dry_run else 'added'}{known}")
    return Exit.DONE


def _said_by(price: Price) -> tuple[object, ...]:
    """What two rows that say the same have in common, whoever stored them."""
    return price.model, price.rates, price.valid_from, price.valid_to, price.calendar


def _listed(model: str | None = None) -> list[dict[str, Any]]:
    """Give the prices as the API writes them: from the database of the host, or else from the server."""
    url = known_database(load())
    if url is None:
        with served() as service:
            return [dict(each) for each in service.client.prices.list(model)]
    with transaction(url) as connection:
        rows = store.list_prices(connection, model)
    return [document_of(row, status) for row, status in sorted_rows(rows, datetime.now(UTC))]


def _added(price: Price, source: str, *, dated: bool) -> dict[str, Any]:
    """Add a price where `_listed` finds them; give its document."""
    url = known_database(load())
    if url is None:
        document = document_of(PriceRow(id=0, price=price, source=source), "")
        with served() as service:
            left_out = _NOT_ASKED if dated else {*_NOT_ASKED, "valid_from"}  # now, by the server's clock
            request = {name: value for name, value in document.items() if name not in left_out}
            return dict(service.client.prices.add(request))
    with transaction(url) as connection:
        (row,) = store.add_prices(connection, [(price, source)], actor="host")
    return document_of(row, _status_of(row))


def _doubt(model: str) -> None:
    """Say when the first price of a model may have been meant for another, since rows are never removed."""
    settings = load()
    priced = [each["model"] for each in _listed()]
    called = {settings.model, settings.escalation_model, settings.fallback_model}
    meant = [
        difflib.get_close_matches(model, names, n=1, cutoff=0.9) for names in (called, {*priced} - {model})
    ]
    close = meant[0] or meant[1]
    if close and model not in called and priced.count(model) == 1:
        say(f"this is the first price of {shown(model)}; if {shown(close[0])} was meant, add it for that")


def _status_of(row: PriceRow) -> str:
    return "upcoming" if row.price.valid_from > datetime.now(UTC) else "current"


def _with_options(sentence: str) -> str:
    """Name the option in place of the field."""
    name, colon, rest = sentence.partition(":")
    return f"{_OPTIONS[name]}{colon}{rest}" if name in _OPTIONS else sentence


def _sentence(price: Price) -> str:
    document = document_of(PriceRow(id=0, price=price, source=""), "")
    rates = ", ".join(f"{name} ${document[field]}" for name, field in EDGE.items())
    until = f" until {_when(document['valid_to'])}" if document["valid_to"] else ""
    return shown(
        f"{price.model}: {rates} a million, from {_when(document['valid_from'])}{until}{_hours(document)}"
    )


def _hours(document: dict[str, Any]) -> str:
    peak = document["peak"]
    return "" if peak is None else f" at {','.join(peak['hours'])} ({peak['time_zone']})"


def _print_table(documents: list[dict[str, Any]]) -> None:
    head = ["STATUS", "MODEL", "INPUT", "CACHED", "OUTPUT", "FROM (UTC)", "UNTIL", "HOURS", "SOURCE"]
    rows = [head]
    for each in documents:
        peak = each["peak"]
        hours = "all" if peak is None else f"{','.join(peak['hours'])} {peak['time_zone']}"
        until = _when(each["valid_to"]) if each["valid_to"] else "-"
        rates = [each[field] for field in EDGE.values()]
        rows.append(
            [each["status"], each["model"], *rates, _when(each["valid_from"]), until, hours, each["source"]]
        )
    print("\n".join(table(rows)))


def _when(at: str) -> str:
    return at[:10] if at[10:19] == "T00:00:00" else at[:16].replace("T", " ")
