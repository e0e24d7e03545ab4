"""`patchmill annotate`: type hints and docstrings, proven to leave the behaviour as it is."""

from pathlib import Path
from typing import Annotated

import typer

from patchmill.cli.exits import ends
from patchmill.cli.offering import Apply, AsJson, Diff, DryRun, ExitZero, FormatOption, Wish
from patchmill.cli.serving import Local
from patchmill.cli.submitting import Submission, Timeout, job_request, submit_and_give
from patchmill.cli.talk import say
from patchmill.cli.tree import NO_FILES, Encoding, Paths, Tree
from patchmill.errors import ConfigurationError
from patchmill.kinds.annotate import PROVEN

WHAT = ("types", "docstrings")
EXISTING = "existing_types"

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog=ends(
        "patchmill annotate src/pricing.py",
        "patchmill annotate src --what docstrings --apply",
        "patchmill annotate src/pricing.py --what types --mypy",
        "patchmill annotate src/pricing.py --local --diff",
    )
)
def annotate(
    paths: Paths,
    *,
    what: Annotated[
        str,
        typer.Option(
            help="What to add: types, docstrings, or both, and to JavaScript docstrings alone; "
            "existing_types lets hints change, too."
        ),
    ] = ",".join(WHAT),
    mypy: Annotated[
        bool, typer.Option("--mypy", help="Refuse hints that mypy finds more errors with than without.")
    ] = False,
    apply: Apply = False,
    diff: Diff = False,
    form: FormatOption = None,
    as_json: AsJson = False,
    exit_zero: ExitZero = False,
    dry_run: DryRun = False,
    encoding: Encoding = None,
    local: Local = False,
    timeout: Timeout = None,
) -> int:
    """Add type hints and docstrings to files of Python and TypeScript, a job for each file.

    What is offered is proven to change nothing but annotations and docstrings. Prints each file's diff with
    the evidence; with --apply the files are written: all of them or none, and only if each still is what was
    submitted. Needs a server (PATCHMILL_SERVER_URL and PATCHMILL_SERVER_KEY, or `patchmill up` on this
    machine), or --local.
    """
    wish = Wish(apply=apply, diff=diff, form=form, as_json=as_json, exit_zero=exit_zero, dry_run=dry_run)
    wish.check()
    wanted = [word.strip() for word in what.split(",") if word.strip()]
    if not set(wanted) & set(WHAT) or not set(wanted) <= {*WHAT, EXISTING}:
        raise ConfigurationError(
            f"--what takes {' and '.join(WHAT)}, separated by a comma, and {EXISTING} beside types"
        )
    if EXISTING in wanted and "types" not in wanted:
        raise ConfigurationError(f"--what {EXISTING} goes with types")
    tree = Tree(Path.cwd(), otherwise=encoding)
    languages = [language for language, proven in PROVEN.items() if proven.issuperset(wanted)]
    files = [tree.read(path) for path in tree.find(paths, languages)]
    if not files:
        say(NO_FILES)
    checkers: dict[str, dict[str, str]] | None = {"mypy": {}} if mypy else None
    requests = [job_request(file, "annotate", what=wanted, checkers=checkers) for file in files]
    submission = Submission(requests=requests, files=files)
    return submit_and_give(submission, tree=tree, wish=wish, local=local, timeout_s=timeout)
