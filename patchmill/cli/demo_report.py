"""What the demo's jobs brought: diffs, evidence, tokens and cost, and a summary."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.text import Text

from patchmill.cli.example_jobs import ExampleJob
from patchmill.cli.installation import PRICES
from patchmill.cli.job_text import counted, print_patch, print_suggestion, status_style, usage_text, usd
from patchmill.cli.outcome import standing_of_job
from patchmill.cli.talk import shown

PICOS_PER_USD_PER_MILLION = 10**6


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
    console.print(
        Text(f"{shown(ended.job.path)}  ({ended.job.kind})  {standing_of_job(document)}", style="bold")
    )
    console.print(f"  {document['id']}: {usage_text(document['usage'])}")
    if document["error"]:
        console.print(Text(f"  {shown(document['error']['message'])}", style="red"))
    print_patch(console, ended.patch, indent="  ")
    for suggestion in ended.suggestions:
        print_suggestion(console, suggestion)
    for finding in document["findings"]:
        _print_finding(console, finding, ended.job.findings[finding["index"]])


def print_summary(console: Console, jobs: Sequence[Ended], *, wall_s: float, start_s: float) -> None:
    """Print what all jobs together brought and cost."""
    outcomes = Counter(standing_of_job(each.document) for each in jobs)
    statuses = Counter(finding["status"] for each in jobs for finding in each.document["findings"])
    sources = Counter(suggestion["source"] for each in jobs for suggestion in each.suggestions)
    usage = total_usage([each.document["usage"] for each in jobs])
    rows = {
        "jobs": f"{len(jobs)}: {counted(outcomes)}",
        "findings": f"{statuses.total()}: {counted(statuses)}",
        "suggestions": f"{sources.total()}: {counted(sources)}",
        "use": usage_text(usage),
        "real cost": f"{usd(usage['cost_usd'])} with the real models at list price; nothing was charged",
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
    money = {
        name: str(sum((Decimal(usage[name]) for usage in usages), Decimal(0)))
        for name in ("cost_usd", "uncertain_usd")
    }
    return {**counts, **money}


def _print_finding(console: Console, finding: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    status = finding["status"]
    line = Text(f"  finding, line {asked['start_line']}: {finding['rule']} {shown(asked['message'])}: ")
    line.append(status, style=status_style(status))
    if finding["reason"]:
        line.append(f" ({shown(finding['reason'])})")
    console.print(line)


def _price_list() -> str:
    rates = PRICES[0].rates
    into, cached, out = (
        f"${Decimal(picos) / PICOS_PER_USD_PER_MILLION:f}"
        for picos in (rates.input_picos, rates.cached_picos, rates.output_picos)
    )
    return (
        f"{PRICES[0].model}: {into} input, {cached} cached, {out} output per million tokens; rates are live"
    )
