"""What the demo's jobs brought: diffs, evidence, tokens and cost, and a summary."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.text import Text

from patchmill.cli.demo_progress import standing
from patchmill.cli.example_jobs import ExampleJob
from patchmill.cli.installation import PRICES
from patchmill.cli.talk import shown

PICOS_PER_USD_PER_MILLION = 10**6
_DIFF_STYLES = {"+++": "bold", "---": "bold", "@@": "cyan", "+": "green", "-": "red"}
_TELLING = frozenset({"finding_gone", "same_behaviour"})  # whose details say more than that they passed
_RESULT_STYLES = {"passed": "green", "failed": "red", "skipped": "yellow"}
_STATUS_STYLES = {"verified": "green", "unchecked": "yellow", "unresolved": "red", "pending": "red"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A job of the example at its end: its document, its suggestions as documents and as a patch."""

    job: ExampleJob
    document: Mapping[str, Any]
    suggestions: Sequence[Mapping[str, Any]]
    patch: str


def print_job(console: Console, ended: Ended) -> None:
    """Print everything about one job."""
    document = ended.document
    console.print()
    console.print(Text(f"{shown(ended.job.path)}  ({ended.job.kind})  {standing(document)}", style="bold"))
    console.print(f"  {document['id']}: {_usage(document['usage'])}")
    if document["error"]:
        console.print(Text(f"  {shown(document['error']['message'])}", style="red"))
    for line in ended.patch.splitlines():
        console.print(Text(f"  {shown(line)}", style=_diff_style(line)))
    for suggestion in ended.suggestions:
        _print_suggestion(console, suggestion)
    for finding in document["findings"]:
        _print_finding(console, finding, ended.job.findings[finding["index"]])


def print_summary(console: Console, jobs: Sequence[Ended], *, wall_s: float, start_s: float) -> None:
    """Print what all jobs together brought and cost."""
    outcomes = Counter(standing(each.document) for each in jobs)
    statuses = Counter(finding["status"] for each in jobs for finding in each.document["findings"])
    sources = Counter(suggestion["source"] for each in jobs for suggestion in each.suggestions)
    usage = total_usage([each.document["usage"] for each in jobs])
    rows = {
        "jobs": f"{len(jobs)}: {_counts(outcomes)}",
        "findings": f"{statuses.total()}: {_counts(statuses)}",
        "suggestions": f"{sources.total()}: {_counts(sources)}",
        "use": _usage(usage),
        "real cost": f"{_usd(usage['cost_usd'])} with the real models at list price; nothing was charged",
        "price list": _price_list(),
        "time": f"{wall_s:.1f} s, of which {start_s:.1f} s to start everything",
    }
    console.print()
    console.print(Text("Summary", style="bold"))
    for name, text in rows.items():
        console.print(f"  {name:<13}{text}")


def total_usage(usages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Add up what jobs used; money as a decimal string."""
    counts = {
        name: sum(usage[name] for usage in usages)
        for name in ("calls", "input_tokens", "cached_tokens", "output_tokens")
    }
    return {**counts, "cost_usd": str(sum((Decimal(usage["cost_usd"]) for usage in usages), Decimal(0)))}


def _print_suggestion(console: Console, suggestion: Mapping[str, Any]) -> None:
    start, end = suggestion["start_line"], suggestion["end_line"]
    place = f"line {start}" if start == end else f"lines {start}-{end}"
    console.print(
        f"  suggestion, {place}: {shown(suggestion['title'])} "
        f"({suggestion['status']}, made by the {suggestion['source']}, {suggestion['safety']})"
    )
    line = Text("    ")
    for evidence in suggestion["evidence"]:
        line.append(f"{evidence['check']}: ")
        line.append(evidence["result"], style=_RESULT_STYLES.get(evidence["result"], ""))
        telling = evidence["result"] != "passed" or evidence["check"] in _TELLING
        line.append(f" ({shown(evidence['detail'])})  " if telling and evidence["detail"] else "  ")
    console.print(line)


def _print_finding(console: Console, finding: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    status = finding["status"]
    line = Text(f"  finding, line {asked['start_line']}: {finding['rule']} {shown(asked['message'])}: ")
    line.append(status, style=_STATUS_STYLES.get(status, ""))
    if finding["reason"]:
        line.append(f" ({shown(finding['reason'])})")
    console.print(line)


def _usage(usage: Mapping[str, Any]) -> str:
    if not usage["calls"]:
        return "no call, no tokens, no cost: the tool's own fixes did"
    calls = f"{usage['calls']} call{'s' if usage['calls'] > 1 else ''}"
    return (
        f"{calls}, {usage['input_tokens']:,} input tokens ({usage['cached_tokens']:,} of them cached), "
        f"{usage['output_tokens']:,} output tokens, {_usd(usage['cost_usd'])}"
    )


def _usd(amount: str) -> str:
    return f"${Decimal(amount):f}"


def _counts(counted: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counted.most_common()) or "none"


def _price_list() -> str:
    rates = PRICES[0].rates
    into, cached, out = (
        f"${Decimal(picos) / PICOS_PER_USD_PER_MILLION:f}"
        for picos in (rates.input_picos, rates.cached_picos, rates.output_picos)
    )
    return (
        f"{PRICES[0].model}: {into} input, {cached} cached, {out} output per million tokens; rates are live"
    )


def _diff_style(line: str) -> str:
    return next((style for start, style in _DIFF_STYLES.items() if line.startswith(start)), "")
