"""Jobs as people read them: how they stand, diffs, evidence, what is left, and what it cost."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.text import Text

from patchmill.cli.outcome import BUDGET_ERRORS, standing_of_job, standing_of_run
from patchmill.cli.talk import shown
from patchmill.cli.waiting import Wait, moment
from patchmill.cli.work import Standing
from patchmill.cli.writing import edited
from patchmill.client.documents import Finding, Job, JobError, Run
from patchmill.edit.diff import unified_diff

COLOURS = {
    "verified": "green",
    "partial": "yellow",
    "unchecked": "yellow",
    "failed": "red",
    "running": "cyan",
}
_DIFF_STYLES = {"+++": "bold", "---": "bold", "@@": "cyan", "+": "green", "-": "red"}
_TELLING = frozenset(
    {"finding_gone", "same_behaviour", "hints_agree"}
)  # whose details say more than that they passed
_INDENT = "  "
_RESULT_STYLES = {"passed": "green", "failed": "red", "skipped": "yellow"}
_STATUS_STYLES = {"verified": "green", "unchecked": "yellow", "unresolved": "red", "pending": "red"}


def print_work(console: Console, work: Standing, sources: Mapping[str, str]) -> None:
    """Print every job with its diff, and what is left; `sources` are the submitted files by their path."""
    for job in work.jobs:
        identity = job["id"]
        source = sources.get(job["file"]["path"])
        print_job(console, job, source, work.declined.get(identity), work.waits.get(identity))
    if work.run is not None:
        print_skipped(console, work.run)


def print_job(
    console: Console, job: Job, source: str | None, declined: str | None, waits: Wait | None
) -> None:
    """Print one job: its diff, if the source is at hand, its suggestions with evidence, what is left.

    `declined` is why the model would change nothing, `waits` why the job waits.
    """
    standing = standing_of_job(job)
    line = Text(f"{shown(job['file']['path'])}  ", style="bold")
    line.append(standing, style=COLOURS.get(standing.partition(" ")[0], ""))
    line.append(f"  ({job['kind']}, {job['id']})", style="not bold")
    console.print(line)
    if job["instruction"]:
        console.print(f"  instruction: {_one_line(job['instruction'])}")
    if waits:
        console.print(Text(f"  waits: {waits}", style="yellow"))
    for told in _how_it_came(job):
        console.print(f"  {told}")
    if declined:
        console.print(Text(f"  nothing is changed: {_one_line(declined)}", style="yellow"))
    if job["error"]:
        _print_error(console, job["id"], job["error"])
    if source is not None and job["suggestions"]:
        patch = unified_diff(job["file"]["path"], source, edited(source, job["suggestions"]))
        print_patch(console, patch, indent="  ")
    for suggestion in job["suggestions"]:
        print_suggestion(console, suggestion)
    for finding in job["findings"]:
        if finding["status"] != "verified":
            _print_left(console, job["file"]["path"], finding)
    console.print(f"  {usage_text(job['usage'])}")


def _how_it_came(job: Job) -> Iterator[str]:
    """Say where the result is from and where its code has gone; an earlier service tells neither."""
    if job.get("served_from"):
        yield f"served from the store: {job['served_from']} did the same work"
    if job.get("erased_at"):
        yield f"its code was erased at {moment(job['erased_at'] or '')}"


def _print_error(console: Console, job_id: str, error: JobError) -> None:
    console.print(Text(f"  {shown(error['message'])}", style="red"))
    for way in _ways_on(job_id, error):
        console.print(f"  {way}")


def _ways_on(job_id: str, error: JobError) -> Sequence[str]:
    """Say what can be done about a failed job; nothing where a retry would end the same."""
    budget, resets_at = str(error["details"].get("budget")), error["details"].get("resets_at")
    if error["code"] not in BUDGET_ERRORS:
        return [f"`patchmill jobs retry {shown(job_id)}` tries it again"] if error["retryable"] else []
    if not budget.startswith("bud_"):
        return []
    later = error["code"] == "budget_exhausted" and resets_at is not None
    until = f"wait until {moment(str(resets_at))}, or " if later else ""
    retry = f"then `patchmill jobs retry {shown(job_id)}`"
    return [f"{until}raise the limit with `patchmill budgets set {shown(budget)}`; {retry}"]


def print_skipped(console: Console, run: Run) -> None:
    """Print how many findings of a run no job was made for, and why."""
    reasons = Counter(each["reason"] for each in run.get("skipped", []))
    if reasons:
        console.print(f"{reasons.total()} findings were passed over: {counted(reasons)}")


def print_patch(console: Console, patch: str, *, indent: str = "") -> None:
    """Print a patch for reading: in colours, and with nothing in it that a terminal would act on."""
    for line in patch.split("\n")[:-1]:
        console.print(Text(f"{indent}{shown(line)}", style=diff_style(line)))


def print_suggestion(console: Console, suggestion: Mapping[str, Any]) -> None:
    """Print where a suggestion is, what it says, who made it, and every check that it went through."""
    start, end = suggestion["start_line"], suggestion["end_line"]
    place = f"line {start}" if start == end else f"lines {start}-{end}"
    console.print(
        f"  suggestion, {place}: {shown(suggestion['title'])} "
        f"({suggestion['status']}, made by the {suggestion['source']}, {suggestion['safety']})"
    )
    for line in _evidence(suggestion["evidence"], console.width if console.is_terminal else None):
        console.print(line)


def _evidence(found: Sequence[Mapping[str, Any]], width: int | None) -> list[Text]:
    """Write the checks side by side; on a terminal no line is longer than it is wide, if one check is not."""
    lines = [Text(_INDENT)]
    for evidence in found:
        told = Text(f"  {evidence['check']}: ")
        told.append(evidence["result"], style=_RESULT_STYLES.get(evidence["result"], ""))
        telling = evidence["result"] != "passed" or evidence["check"] in _TELLING
        told.append(f" ({shown(evidence['detail'])})" if telling and evidence["detail"] else "")
        length = lines[-1].cell_len
        if width is not None and length > len(_INDENT) and length + told.cell_len > width:
            lines.append(Text(_INDENT))
        lines[-1].append_text(told)
    return lines


def status_style(status: str) -> str:
    """Give the colour of a finding's status."""
    return _STATUS_STYLES.get(status, "")


def diff_style(line: str) -> str:
    """Give the style of a line of a patch."""
    return next((style for start, style in _DIFF_STYLES.items() if line.startswith(start)), "")


def usage_text(usage: Mapping[str, Any]) -> str:
    """Write what calls used and cost."""
    if not usage["calls"]:
        return "no call, no tokens, no cost"
    uncertain = f", {usd(usage['uncertain_usd'])} uncertain" if Decimal(usage["uncertain_usd"]) else ""
    calls = f"{usage['calls']} call{'s' if usage['calls'] > 1 else ''}"
    return (
        f"{calls}, {usage['input_tokens']:,} input tokens ({usage['cached_tokens']:,} of them cached), "
        f"{usage['output_tokens']:,} output tokens, {usd(usage['cost_usd'])}{uncertain}"
    )


def usd(amount: str) -> str:
    """Write an amount in US dollars, exactly."""
    return f"${Decimal(amount):f}"


def counted(counts: Counter[str]) -> str:
    """Write how many there are of each."""
    return ", ".join(f"{count} {name}" for name, count in counts.most_common()) or "none"


def job_lines(jobs: Sequence[Job]) -> list[str]:
    """Write jobs as lines of a list: id, state, kind, when, path."""
    return [
        f"{job['id']}  {standing_of_job(job):<28}  {job['kind']:<8}  {_when(job['created_at'])}  "
        f"{shown(job['file']['path'])}"
        for job in jobs
    ]


def run_lines(runs: Sequence[Run]) -> list[str]:
    """Write runs as lines of a list: id, state, findings, when, where from."""
    return [
        f"{run['id']}  {standing_of_run(run):<34}  "
        f"{run['findings']['verified']}/{run['findings']['total']} verified  {_when(run['created_at'])}  "
        f"{shown(str((run['origin'] or {}).get('repository') or ''))}".rstrip()
        for run in runs
    ]


def print_run(console: Console, run: Run) -> None:
    """Print a run in a few lines."""
    tables: dict[str, Mapping[str, Any]] = {"jobs": run["jobs"], "findings": run["findings"]}
    line = Text(f"{run['id']}  ", style="bold")
    line.append(standing_of_run(run), style=COLOURS.get(str(run["outcome"]), ""))
    console.print(line)
    if run.get("superseded_by"):
        console.print(f"  superseded by {run['superseded_by']}, a newer run of the pull request")
    for name, counts in tables.items():
        of = Counter({key: count for key, count in counts.items() if key != "total" and count})
        console.print(f"  {name:<9} {counts['total']}: {counted(of)}")
    if run["usage"]:
        console.print(f"  use       {usage_text(run['usage'])}")


def _print_left(console: Console, path: str, finding: Finding) -> None:
    place = f"{_one_line(path)}:{finding['start_line']}"
    message = f"{_one_line(finding['message'])}: " if finding["message"] else ""
    line = Text(f"  left: {place}: {_one_line(finding['rule'])}: {message}")
    line.append(finding["status"], style=status_style(finding["status"]))
    if finding["reason"]:
        line.append(f" ({shown(finding['reason'])})")
    console.print(line)


def _one_line(text: str) -> str:
    return shown(" ".join(text.split()))


def _when(at: str) -> str:
    return at[:16].replace("T", " ")
