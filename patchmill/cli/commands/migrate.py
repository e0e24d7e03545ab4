"""`patchmill migrate`: a database brought to this version."""

import typer

from patchmill.cli.database import connected, database_url
from patchmill.cli.exits import ends
from patchmill.cli.installation import install, report
from patchmill.cli.talk import say
from patchmill.settings import load

EXAMPLE = "PATCHMILL_DATABASE_URL=postgresql+psycopg://user:password@host/patchmill patchmill migrate"

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(epilog=ends(EXAMPLE))
def migrate() -> None:
    """Bring the database to this version's schema, and add what every installation needs.

    Needs PATCHMILL_DATABASE_URL, or a running `patchmill up`. Adds the project `default`, the key pepper (a
    file in PATCHMILL_DATA_DIR, or PATCHMILL_KEY_PEPPER_FILE) and, when the price list is empty, the gateway's
    prices. It may be repeated, and run by two at once. Run it before the new version's API and workers start;
    those of the old one may go on. What others hold it waits for in moments, for five minutes; then it exits
    with 3 and says who is in its way.
    """
    settings = load()
    with connected(database_url(settings)) as engine:
        done = install(engine, data_dir=settings.data_dir, pepper_file=settings.key_pepper_file)
    for sentence in report(done):
        say(sentence)
