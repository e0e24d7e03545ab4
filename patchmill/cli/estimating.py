"""Estimates as people read them: each file, all together, and what is in the way."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any

import typer

from patchmill.cli.exits import Exit
from patchmill.cli.refusal import naming
from patchmill.cli.serving import served
from patchmill.cli.table import table
from patchmill.cli.talk import say, shown, some
from patchmill.client.documents import Estimate, EstimatedFile

AsJson = Annotated[bool, typer.Option("--json", help="Print the estimate as one JSON object.")]

_WHY = {
    "wait": "has room only once what is held is settled",
    "exhausted": "leaves too little for one call",
    "over": "is less than one call may cost",
}
_NO_PRICE = "no_price"


def give_estimate(requests: Sequence[Mapping[str, Any]], *, as_json: bool, local: bool) -> int:
    """Ask what requests may cost, print it, and give the exit code; nothing to ask for needs no server.

    Raises:
        ApiError: the server refused a request.
        Unavailable: no server answers.
    """
    found = together(_ask(requests, local=local))
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        for line in lines(found):
            print(line)
        tell(found)
    return Exit.DONE if found["fits"] else Exit.BUDGET


def _ask(requests: Sequence[Mapping[str, Any]], *, local: bool) -> list[Estimate]:
    if not requests:
        return []
    found: list[Estimate] = []
    with served(local=local) as service:
        for request in requests:
            with naming(request):
                found.append(service.client.estimate(request))
    return found


def together(found: Sequence[Estimate]) -> Estimate:
    """Add up estimates of jobs; what is in the way of the first that is blocked stands for all."""
    if len(found) == 1:
        return found[0]
    blocked = next((each for each in found if not each["fits"]), None)
    skipped: Counter[str] = Counter()
    for each in found:
        skipped.update(each["skipped"])
    return {
        "calls": _added(found, "calls"),
        "input_tokens": _added(found, "input_tokens"),
        "output_tokens": _added(found, "output_tokens"),
        "cost_usd": {
            "expected": _money([each["cost_usd"]["expected"] for each in found]),
            "worst": _money([each["cost_usd"]["worst"] for each in found]),
        },
        "fits": blocked is None,
        "blocked_by": blocked and blocked["blocked_by"],
        "blocked": blocked and blocked["blocked"],
        "model": found[0]["model"] if found else "",
        "unpriced": sorted({name for each in found for name in each["unpriced"]}),
        "jobs": sum(each["jobs"] for each in found),
        "findings": sum(each["findings"] for each in found),
        "skipped": dict(skipped),
        "files": [file for each in found for file in each["files"]],
        "learned_from": found[0]["learned_from"] if found else {"source": "constants", "jobs": 0},
    }


def _added(found: Sequence[Any], name: str) -> Any:
    worst = [each[name]["worst"] for each in found]
    return {
        "expected": sum(each[name]["expected"] for each in found),
        "worst": None if None in worst else sum(worst),
    }


def _money(amounts: Sequence[str | None]) -> str | None:
    """Add up decimal strings exactly; what is not known of one is not known of all."""
    known = [Decimal(amount) for amount in amounts if amount is not None]
    if len(known) < len(amounts):
        return None
    return f"{sum(known, Decimal(0)):f}"


def lines(found: Estimate) -> list[str]:
    """Write a table: a line for each file, and one for all; the most that is possible stands in brackets."""
    rows: list[tuple[str, ...]] = [("", "calls", "tokens in", "tokens out", "US dollars", "")]
    names = {found["blocked_by"]: _name(found)}
    rows += [_row(file["path"], file, _standing(file, names)) for file in found["files"]]
    if len(found["files"]) != 1:
        rows.append(_row("all", found, "fits" if found["fits"] else _blocked_by(found, names)))
    return table(rows)


def _row(name: str, of: EstimatedFile | Estimate, standing: str) -> tuple[str, ...]:
    amounts = [of["calls"], of["input_tokens"], of["output_tokens"]]
    told = [f"{each['expected']:,} ({_most(each['worst'])})" for each in amounts]
    cost = of["cost_usd"]
    return name, *told, f"{cost['expected'] or 'not known'} ({cost['worst'] or 'not known'})", standing


def _most(worst: int | None) -> str:
    return "not known" if worst is None else f"{worst:,}"


def _standing(file: EstimatedFile, names: Mapping[str | None, str]) -> str:
    if file["too_long"]:
        return "too long for the model"
    return "fits" if file["fits"] else _blocked_by(file, names)


def _blocked_by(of: EstimatedFile | Estimate, names: Mapping[str | None, str]) -> str:
    named = of["blocked_by"]
    return "no price" if named == _NO_PRICE else f"does not fit {shown(names.get(named) or named or '')}"


def _name(found: Estimate) -> str:
    """What is in the way, as people know it; by its id where an older server tells no more."""
    return (found["blocked"] or {}).get("name") or found["blocked_by"] or ""


def tell(found: Estimate) -> None:
    """Say what is in the way, what is not counted, and how much the estimate knows."""
    skipped = ", ".join(f"{count} {reason}" for reason, count in found["skipped"].items())
    if skipped:
        say(f"findings that are skipped: {skipped}")
    if not found["files"]:
        return
    if not found["fits"]:
        say(_why(found))
    for name in found["unpriced"]:
        if name != found["model"] or found["fits"]:
            say(f"{name} has no price, so it is not asked and not counted")
    if found["input_tokens"]["worst"] is None:
        say("the context of a model is not known; `patchmill doctor --gateway` finds it out")
    learned = found["learned_from"]
    if learned["jobs"]:
        say(f"expected is judged by the last {some(learned['jobs'], 'job')} of the {learned['source']}")
    else:
        say("expected is judged by constants: there are too few jobs to learn from")


def _why(found: Estimate) -> str:
    blocked, named = found["blocked"] or {}, found["blocked_by"]
    if named == _NO_PRICE:
        return f"no price is known for {shown(found['model'])}, and without a price no call is made"
    why = f"{shown(_name(found))} {_WHY.get(blocked.get('answer', ''), 'is in the way')}"
    if blocked.get("answer") == "exhausted" and blocked.get("resets_at"):
        why = f"{why} until {blocked['resets_at']}"
    return f"{why}; jobs {'wait for it' if blocked.get('waits') else 'fail'}"
