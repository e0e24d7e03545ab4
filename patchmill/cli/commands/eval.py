"""`patchmill eval`: cases with known answers through the whole service, judged independently."""

import json
import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from patchmill import __version__
from patchmill.budget.prices import from_usd
from patchmill.cli.evaluating import Waiting, progress, summary
from patchmill.cli.exits import Exit, Interrupted, ends
from patchmill.cli.serving import Local, served
from patchmill.cli.talk import say, some
from patchmill.edit.formats import EDIT_FORMATS
from patchmill.errors import ConfigurationError
from patchmill.evaluate.cases import Case, read_cases
from patchmill.evaluate.measures import document
from patchmill.evaluate.page import page
from patchmill.evaluate.running import Evaluation, Plan
from patchmill.instants import rfc3339

ALL = "all"

app = typer.Typer(rich_markup_mode=None, add_completion=False)


CasesArgument = Annotated[
    str,
    typer.Argument(
        metavar="CASES", help="A file with one case a line, a folder of such files, or `development`."
    ),
]
Model = Annotated[str | None, typer.Option(help="Who is asked first; without it the server's.")]
Formats = Annotated[
    list[str] | None,
    typer.Option(
        help=f"How edits are written: {', '.join(EDIT_FORMATS)}, or `all`; may be repeated. Without it the "
        "server's default."
    ),
]
Only = Annotated[
    list[str] | None, typer.Option(metavar="RULE", help="Cases of this rule alone; may be repeated.")
]
Limit = Annotated[int | None, typer.Option(min=1, help="So many cases at most, drawn by the seed.")]
Seed = Annotated[int, typer.Option(help="Which cases --limit draws.")]
MaxCost = Annotated[str | None, typer.Option(metavar="USD", help="What all calls together may cost at most.")]
MaxCalls = Annotated[
    int | None, typer.Option(min=1, max=8, help="Calls for each case at most; 1 allows no repair.")
]
InFlight = Annotated[int, typer.Option(min=1, max=64, help="Jobs at a time.")]
Escalate = Annotated[
    bool, typer.Option("--escalate", help="Let the stronger model be asked for what is left.")
]
ToolFixes = Annotated[
    bool, typer.Option("--tool-fixes", help="Take the checkers' own safe fixes, as the service does.")
]
Reuse = Annotated[
    bool, typer.Option("--reuse", help="Let results of the same work serve; nothing is asked anew then.")
]
FailUnder = Annotated[
    float | None,
    typer.Option(min=0, max=100, metavar="PERCENT", help="Exit with 1 if fewer cases are verified."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print everything as JSON.")]
Html = Annotated[
    Path | None, typer.Option(help="Write a page with plots to this file; it needs nothing else.")
]


@app.command(
    name="eval",
    epilog=ends(
        "patchmill eval development --limit 40 --max-cost-usd 0.05",
        "patchmill eval development --edit-format all --html evaluation.html",
        "patchmill eval cases.jsonl --model deepseek-v4-pro --only B006 --json",
        "patchmill eval development --local --limit 10",
    ),
)
def evaluate(
    cases: CasesArgument,
    *,
    model: Model = None,
    edit_format: Formats = None,
    only: Only = None,
    limit: Limit = None,
    seed: Seed = 0,
    max_cost_usd: MaxCost = None,
    max_calls: MaxCalls = None,
    in_flight: InFlight = 8,
    escalate: Escalate = False,
    tool_fixes: ToolFixes = False,
    reuse: Reuse = False,
    fail_under: FailUnder = None,
    as_json: AsJson = False,
    html: Html = None,
    local: Local = False,
) -> int:
    """Run cases with known answers through the whole service, and say how good the answers are.

    Each case is a job: what is offered as verified is judged again, by other code, and compared with the
    right answer. Says by edit format how many answers are well-formed, located, verified and equal to the
    right one, what escaped (offered as verified though wrong), and what a verified fix costs.

    `development` is the bundled set. Ctrl-C cancels the jobs in flight and reports on what has ended.
    Exit code 1: something escaped, or --fail-under is not reached. 4: the money did not suffice.
    """
    plan = Plan(
        cases=_chosen(read_cases(cases), only, limit, seed),
        edit_formats=_formats(edit_format),
        model=model,
        escalate=escalate,
        tool_fixes=tool_fixes,
        reuse=reuse,
        max_calls=max_calls,
        max_cost_picos=_picos(max_cost_usd),
        in_flight=in_flight,
    )
    _check_folder(html)
    made = _evaluated(plan, {"cases": cases, "model": model, "max_cost_usd": max_cost_usd}, local=local)
    _give(made, as_json=as_json, html=html)
    return Exit.INTERRUPTED if made["interrupted"] else _code(made, fail_under)


def _evaluated(plan: Plan, about: dict[str, Any], *, local: bool) -> dict[str, Any]:
    """Run the plan, as far as the user lets it; give the document of it."""
    started, began, interrupted = datetime.now(UTC), time.monotonic(), False
    with served(local=local) as service:
        evaluation = Evaluation(plan=plan, client=service.client, waits=Waiting(service.client).tell)
        try:
            with progress() as tell:
                evaluation.run(check=service.check, tell=tell)
        except (KeyboardInterrupt, Interrupted):
            interrupted = True
            reported = some(len(evaluation.results), "result")
            say(f"interrupted; what was in flight is cancelled, and {reported} reported")
    options = {name: getattr(plan, name) for name in ("escalate", "tool_fixes", "reuse", "max_calls")}
    return document(
        evaluation.results,
        {
            "patchmill": __version__,
            **about,
            "started_at": rfc3339(started),
            "seconds": round(time.monotonic() - began, 1),
            "interrupted": interrupted,
            "left_out": [{"case": case, "edit_format": name} for case, name in evaluation.left_out],
            "options": options,
        },
    )


def _chosen(cases: Sequence[Case], only: Sequence[str] | None, limit: int | None, seed: int) -> list[Case]:
    rules = frozenset(only or ())
    chosen = [case for case in cases if not rules or rules.intersection(case.rules)]
    if not chosen:
        known = ", ".join(sorted({rule for case in cases for rule in case.rules})[:12])
        raise ConfigurationError(f"no case is of {', '.join(sorted(rules))}; there are {known} and more")
    if limit is None or limit >= len(chosen):
        return chosen
    drawn = frozenset(random.Random(seed).sample(range(len(chosen)), limit))  # noqa: S311 - to be repeatable
    return [case for number, case in enumerate(chosen) if number in drawn]


def _formats(named: Sequence[str] | None) -> Sequence[str | None]:
    if not named:
        return (None,)
    unknown = [name for name in named if name != ALL and name not in EDIT_FORMATS]
    if unknown:
        raise ConfigurationError(
            f"--edit-format {unknown[0]} is not known; there are {', '.join(EDIT_FORMATS)}, and {ALL}"
        )
    return tuple(EDIT_FORMATS) if ALL in named else tuple(dict.fromkeys(named))


def _picos(usd: str | None) -> int | None:
    if usd is None:
        return None
    try:
        return from_usd(usd)
    except ValueError as error:
        raise ConfigurationError(f"--max-cost-usd {usd} is {error}; write dollars as in 0.50") from None


def _check_folder(html: Path | None) -> None:
    """Refuse a page that could not be written, before anything is spent."""
    if html is None:
        return
    if not html.parent.is_dir():
        raise ConfigurationError(f"--html {html}: there is no folder {html.parent}")
    if html.is_dir():
        raise ConfigurationError(f"--html {html}: is a folder; name a file, as in {html / 'evaluation.html'}")


def _give(made: dict[str, Any], *, as_json: bool, html: Path | None) -> None:
    if as_json:
        print(json.dumps(made, indent=2, ensure_ascii=False))
    else:
        for line in summary(made):
            print(line)
    if html is not None:  # last, so that nothing paid for is lost if it cannot be written
        html.write_text(page(made), encoding="utf-8")
        say(f"wrote {html}")


def _code(made: dict[str, Any], fail_under: float | None) -> int:
    total = made["total"]
    if made["left_out"]:
        whose = "a budget" if made["max_cost_usd"] is None else "--max-cost-usd, or a budget,"
        say(f"{some(len(made['left_out']), 'case')} left out: the money of {whose} did not suffice")
        return Exit.BUDGET
    if total["escaped"]:
        return Exit.FINDINGS_LEFT
    if fail_under is not None and total["verified"] * 100 < fail_under * total["cases"]:
        say(f"fewer than {fail_under:g} % of the cases are verified")
        return Exit.FINDINGS_LEFT
    return Exit.DONE
