"""Requests from files and findings: what `fix`, `annotate` and `suggest` send."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from patchmill.cli.estimating import give_estimate
from patchmill.cli.exits import Exit, Interrupted
from patchmill.cli.following import wait_for
from patchmill.cli.offering import Wish, give, give_nothing
from patchmill.cli.refusal import naming
from patchmill.cli.serving import Served, served
from patchmill.cli.talk import say
from patchmill.cli.tree import SourceFile, Tree
from patchmill.cli.work import Standing, Work
from patchmill.edit.encoding import UTF_8

Timeout = Annotated[
    float | None,
    typer.Option(min=0, help="Seconds to wait at most; then exit with 3 while the work goes on."),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What is to be submitted: one run, or jobs; the files in it, and the findings of each report."""

    requests: Sequence[Mapping[str, Any]]
    files: Sequence[SourceFile]
    reported: Sequence[int] = ()


def run_request(
    reports: Sequence[tuple[str, str]], files: Sequence[SourceFile], **more: Any
) -> dict[str, Any]:
    """Build the request of a run: reports as (format, content), their files, and more fields.

    Fields that are None are left out.
    """
    return {
        "kind": "fix",
        "reports": [{"format": name, "content": content} for name, content in reports],
        "files": [_file(file) for file in files],
        **{name: value for name, value in more.items() if value is not None},
    }


def job_request(file: SourceFile, kind: str, **more: Any) -> dict[str, Any]:
    """Build the request of a job about one file; fields that are None are left out."""
    return {
        "kind": kind,
        "file": _file(file),
        **{name: value for name, value in more.items() if value is not None},
    }


def _file(file: SourceFile) -> dict[str, str]:
    """Write a file as requests hold it; servers of earlier versions know UTF-8 alone, unsaid."""
    written = {"path": file.path, "content": file.content}
    return written if file.encoding == UTF_8 else {**written, "encoding": file.encoding}


def submit_and_give(
    submission: Submission, *, tree: Tree, wish: Wish, local: bool, timeout_s: float | None
) -> int:
    """Submit, wait for the end, give what is wanted; give the exit code. Nothing to submit needs no server.

    If the wish is a dry run, only what it may cost is told.

    Raises:
        ApiError: the server refused a request.
        Unavailable: no server answers, or the work did not end in time.
        Interrupted: the user does not want to wait any longer.
    """
    if wish.dry_run:
        return give_estimate(submission.requests, as_json=wish.as_json, local=local)
    if not submission.requests:
        return give_nothing(wish)
    with served(local=local) as service:
        work = _submit(service, submission.requests)
        ended = wait_for(service, work, timeout_s=timeout_s)
        _tell_outside(ended, submission.reported)
        sources = {file.path: file.content for file in submission.files}
        return give(service, work, ended, wish=wish, tree=tree, sources=sources)


def _tell_outside(ended: Standing, reported: Sequence[int]) -> None:
    """Say of which reports nothing is mended because the diff has none of it: it may be of another folder."""
    skipped = [] if ended.run is None else ended.run["skipped"]
    outside = Counter(each["report"] for each in skipped if each["reason"] == "outside_diff")
    for number, findings in enumerate(reported):
        if findings and outside[number] == findings:
            named = f"report {number + 1}" if len(reported) > 1 else "the report"
            say(f"nothing to mend of {named}: all its {findings} findings are outside of the diff")


def _submit(service: Served, requests: Sequence[Mapping[str, Any]]) -> Work:
    """Submit; a run is told by its reports.

    Raises:
        Interrupted: the user does not want to wait any longer; what has arrived goes on, which is said.
    """
    jobs: list[str] = []
    work: Work | None = None
    try:
        for request in requests:
            with naming(request):
                if "reports" in request:
                    work = Work(run=service.client.submit_run(request)["id"])
                else:
                    jobs.append(service.client.submit(request)["id"])
    except KeyboardInterrupt:
        say(f"interrupted while submitting; {_arrived(jobs)}")
        raise Interrupted(Exit.INTERRUPTED) from None
    work = work or Work(jobs=tuple(jobs))
    if service.local is None:
        say(f"submitted {work.name}")
    return work


def _arrived(jobs: Sequence[str]) -> str:
    listed = "`patchmill jobs --limit 10` shows what has arrived and goes on"
    return f"{', '.join(jobs)} and perhaps one more: {listed}" if jobs else f"{listed}, if anything has"
