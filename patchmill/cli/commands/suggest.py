"""`patchmill suggest`: a checker's report in, suggestions for a forge or a tool out; made for CI."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from patchmill.cli.exits import ends
from patchmill.cli.offering import AsJson, DryRun, ExitZero, FormatOption, Wish
from patchmill.cli.reported import Chosen, DiffFile, MaxCost, ReportFormat, Reports, Since, reported
from patchmill.cli.serving import Local
from patchmill.cli.submitting import Timeout, submit_and_give
from patchmill.cli.tree import Encoding, Tree


class Forge(StrEnum):
    """The forges that an origin may name."""

    GITHUB = "github"
    GITLAB = "gitlab"


app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog=ends(
        "ruff check --output-format sarif . | patchmill suggest --report - --local --format patch",
        "patchmill suggest --report ruff.sarif --since origin/main --format github > review.json",
        "patchmill suggest --report ruff.json --report eslint.sarif --diff pr.diff --filter added --json",
        "patchmill suggest --report ruff.sarif --dry-run",
    )
)
def suggest(
    *,
    report: Reports,
    report_format: ReportFormat = None,
    diff: DiffFile = None,
    since: Since = None,
    chosen: Chosen = None,
    forge: Annotated[Forge | None, typer.Option(help="Where the change is reviewed.")] = None,
    repository: Annotated[str | None, typer.Option(help="The repository there, such as acme/app.")] = None,
    pull_request: Annotated[int | None, typer.Option(min=1, help="The number of the pull request.")] = None,
    head: Annotated[str | None, typer.Option(help="The revision under review.")] = None,
    base: Annotated[str | None, typer.Option(help="The revision that it is compared with.")] = None,
    max_cost_usd: MaxCost = None,
    form: FormatOption = None,
    as_json: AsJson = False,
    exit_zero: ExitZero = False,
    dry_run: DryRun = False,
    encoding: Encoding = None,
    local: Local = False,
    timeout: Timeout = None,
) -> int:
    """Turn checkers' reports into verified suggestions, in one pipe.

    Reads the files that the reports name, as far as they lie in the current folder, and submits them with the
    reports as one run. Waits for its end and prints what it offers: with --format as a body for GitHub's
    review API, as bodies for GitLab's notes and discussions, as SARIF or rdjson, as a patch for `git apply`,
    or as JSON; without it as text.

    Paths in reports may be relative to the current folder, absolute, or file: URLs. Needs a server
    (PATCHMILL_SERVER_URL and PATCHMILL_SERVER_KEY, or `patchmill up` on this machine), or --local.
    """
    wish = Wish(form=form, as_json=as_json, exit_zero=exit_zero, dry_run=dry_run)
    wish.check()
    tree = Tree(Path.cwd(), otherwise=encoding)
    origin = _given(forge=forge, repository=repository, pull_request=pull_request, head=head, base=base)
    submission = reported(
        tree,
        report,
        report_format,
        diff=diff,
        since=since,
        chosen=chosen,
        origin=origin or None,
        max_cost_usd=max_cost_usd,
    )
    return submit_and_give(submission, tree=tree, wish=wish, local=local, timeout_s=timeout)


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
