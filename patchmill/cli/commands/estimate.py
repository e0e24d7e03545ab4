"""`patchmill estimate`: what `suggest` of the same reports may cost, told before anything is submitted."""

from pathlib import Path

import typer

from patchmill.cli.estimating import AsJson, give_estimate
from patchmill.cli.exits import ends
from patchmill.cli.reported import Chosen, DiffFile, MaxCost, ReportFormat, Reports, Since, reported
from patchmill.cli.serving import Local
from patchmill.cli.tree import Encoding, Tree

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog=ends(
        "patchmill estimate --report ruff.sarif",
        "ruff check --output-format sarif . | patchmill estimate --report - --since origin/main --json",
    )
)
def estimate(
    *,
    report: Reports,
    report_format: ReportFormat = None,
    diff: DiffFile = None,
    since: Since = None,
    chosen: Chosen = None,
    max_cost_usd: MaxCost = None,
    as_json: AsJson = False,
    encoding: Encoding = None,
    local: Local = False,
) -> int:
    """Say what suggestions for checkers' reports may cost: what is expected, and the most that is possible.

    Reads the same files as `patchmill suggest`; the server stores nothing and asks no model. Exits with 4 if
    the first call of a file would not fit a budget, or has no price, and says which.

    The most that is possible is what the ledger cannot exceed, whatever happens: every call that may be
    billed, each as large as the model's context. --max-cost-usd makes it smaller.
    """
    submission = reported(
        Tree(Path.cwd(), otherwise=encoding),
        report,
        report_format,
        diff=diff,
        since=since,
        chosen=chosen,
        max_cost_usd=max_cost_usd,
    )
    return give_estimate(submission.requests, as_json=as_json, local=local)
