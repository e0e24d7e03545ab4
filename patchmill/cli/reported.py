"""Reports with the files that they name, and the diff that chooses among their findings: one run."""

import subprocess
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from patchmill.cli.report_input import STDIN, Report, read_named, read_report, read_text
from patchmill.cli.submitting import Submission, run_request
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


Reports = Annotated[
    list[str], typer.Option("--report", help="A checker's report; may be repeated; `-` is standard input.")
]
ReportFormat = Annotated[
    str | None, typer.Option(help="The reports' format; without it, told by their content.")
]
DiffFile = Annotated[
    str | None,
    typer.Option("--diff", help="The change under review, as a unified diff; `-` is standard input."),
]
Since = Annotated[
    str | None, typer.Option(help="Let git make the diff: since the branch left this revision.")
]
Chosen = Annotated[
    Filter | None,
    typer.Option("--filter", help="Which findings to mend, by the lines that the diff changes."),
]
MaxCost = Annotated[str | None, typer.Option(help="What the run may cost, such as 0.50.")]


def reported(
    tree: Tree,
    reports: Sequence[str],
    report_format: str | None,
    *,
    diff: str | None,
    since: str | None,
    chosen: Filter | None,
    **more: Any,
) -> Submission:
    """Read reports, the files that they name and the diff, and give the run of them, with more fields.

    Raises:
        ConfigurationError: something cannot be read, or does not go together.
    """
    if [*reports, diff].count(STDIN) > 1:
        raise ConfigurationError(
            "standard input can be read once: name the other reports, or the diff, as files"
        )
    read = [read_report(name, report_format) for name in reports]
    return _submission(tree, read, diff=_change(tree, diff, since, chosen), filter=chosen, **more)


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
        missing = "bad revision" in said or "unknown revision" in said or "bad object" in said
        fetch = "; is the clone shallow? Fetch that revision first" if missing else ""
        raise ConfigurationError(f"git cannot tell what changed since {revision}: {said[:300]}{fetch}")
    return done.stdout.decode("utf-8", "replace")
