"""`patchmill suggest`: a checker's report in, suggestions for a forge or a tool out; made for CI."""

import subprocess
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from patchmill.cli.exits import ends
from patchmill.cli.offering import AsJson, ExitZero, FormatOption, Wish
from patchmill.cli.report_input import STDIN, Report, read_named, read_report, read_text
from patchmill.cli.serving import Local
from patchmill.cli.submitting import Submission, Timeout, run_request, submit_and_give
from patchmill.cli.talk import say
from patchmill.cli.tree import Tree
from patchmill.errors import ConfigurationError

GIT_TIMEOUT_S = 60


class Filter(StrEnum):
    """Which findings the diff lets through."""

    ADDED = "added"
    DIFF_CONTEXT = "diff_context"
    FILE = "file"
    NOFILTER = "nofilter"


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
    )
)
def suggest(
    *,
    report: Annotated[
        list[str], typer.Option(help="A checker's report; may be repeated; `-` is standard input.")
    ],
    report_format: Annotated[
        str | None, typer.Option(help="The reports' format; without it, told by their content.")
    ] = None,
    diff: Annotated[
        str | None, typer.Option(help="The change under review, as a unified diff; `-` is standard input.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Let git make the diff: since the branch left this revision.")
    ] = None,
    chosen: Annotated[
        Filter | None,
        typer.Option("--filter", help="Which findings to mend, by the lines that the diff changes."),
    ] = None,
    forge: Annotated[Forge | None, typer.Option(help="Where the change is reviewed.")] = None,
    repository: Annotated[str | None, typer.Option(help="The repository there, such as acme/app.")] = None,
    pull_request: Annotated[int | None, typer.Option(min=1, help="The number of the pull request.")] = None,
    head: Annotated[str | None, typer.Option(help="The revision under review.")] = None,
    base: Annotated[str | None, typer.Option(help="The revision that it is compared with.")] = None,
    max_cost_usd: Annotated[str | None, typer.Option(help="What the run may cost, such as 0.50.")] = None,
    form: FormatOption = None,
    as_json: AsJson = False,
    exit_zero: ExitZero = False,
    local: Local = False,
    timeout: Timeout = None,
) -> int:
    """Turn checkers' reports into verified suggestions, in one pipe.

    Reads the files that the reports name, as far as they lie in the current folder, and submits them with the
    reports as one run. Waits for its end and prints what it offers: with --format as a body for GitHub's
    review API, as SARIF or rdjson, as a patch for `git apply`, or as JSON; without it as text.

    Paths in reports may be relative to the current folder, absolute, or file: URLs. Needs a server
    (PATCHMILL_SERVER_URL and PATCHMILL_SERVER_KEY, or `patchmill up` on this machine), or --local.
    """
    wish = Wish(form=form, as_json=as_json, exit_zero=exit_zero)
    wish.check()
    if [*report, diff].count(STDIN) > 1:
        raise ConfigurationError(
            "standard input can be read once: name the other reports, or the diff, as files"
        )
    tree = Tree(Path.cwd())
    origin = _given(forge=forge, repository=repository, pull_request=pull_request, head=head, base=base)
    submission = _submission(
        tree,
        [read_report(name, report_format) for name in report],
        diff=_change(tree, diff, since, chosen),
        filter=chosen,
        origin=origin or None,
        max_cost_usd=max_cost_usd,
    )
    return submit_and_give(submission, tree=tree, wish=wish, local=local, timeout_s=timeout)


def _change(tree: Tree, diff: str | None, since: str | None, chosen: Filter | None) -> str | None:
    """The diff that the user gives, or lets git make."""
    if diff is not None and since is not None:
        raise ConfigurationError("--diff and --since exclude each other; name one")
    if diff is not None:
        return read_text(diff, "diff")
    if since is not None:
        return _git_diff(tree, since)
    if chosen not in {None, Filter.NOFILTER}:
        raise ConfigurationError(f"--filter {chosen} needs the diff: give --diff or --since")
    return None


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _submission(tree: Tree, reports: list[Report], **more: Any) -> Submission:
    """One run of the reports with the files that they name; nothing, if no report has a finding."""
    count = sum(report.findings for report in reports)
    if not count:
        say("nothing to mend: the reports have no findings")
        return Submission(requests=[], files=[])
    files = read_named(tree, [name for report in reports for name in report.names])
    if not files:
        raise ConfigurationError(
            f"none of the files that the {count} findings are in lies in {tree.folder}; "
            "run the command in the folder that the checker ran in"
        )
    request = run_request([(report.form, report.content) for report in reports], files, **more)
    return Submission(requests=[request], files=files, reported=[report.findings for report in reports])


def _git_diff(tree: Tree, revision: str) -> str:
    """The change of the working tree since it left a revision; git runs no program of the project for it."""
    if revision.startswith("-"):
        raise ConfigurationError(f"{revision!r} is no revision")
    options = ["--merge-base", "--no-ext-diff", "--no-textconv", "--no-color", "--relative", "--unified=3"]
    try:
        done = subprocess.run(
            ["git", "-c", "core.fsmonitor=false", "diff", *options, revision, "--"],  # noqa: S607 - the user's git
            cwd=tree.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=GIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigurationError(f"git does not run: {error}") from None
    if done.returncode != 0:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())
        raise ConfigurationError(f"git cannot tell what changed since {revision}: {said[:300]}")
    return done.stdout.decode("utf-8", "replace")
