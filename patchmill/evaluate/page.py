"""An evaluation as one HTML page that needs nothing else: figures, plots, tables."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from patchmill.evaluate.charts import NARROW, Bar, bars, grouped_bars, histogram
from patchmill.evaluate.measures import STEPS

_MOST_BARS = 16
_ALL = 100
_NONE = "-"


def page(made: Mapping[str, Any]) -> str:
    """Write the page of an evaluation, given as its JSON document."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template("page.html").render(
        made=made,
        total=made["total"],
        figures=_figures(made["total"]),
        steps=[_words(step) for step in STEPS],
        plots={name: Markup(plot) for name, plot in _plots(made).items()},  # noqa: S704 - of escaped text
        rules=_worst_first(made["by_rule"]),
        escaped=[(row, one) for row in made["results"] for one in row["escapes"]],
        failed=[row for row in made["results"] if not row["verified"]],
    )


def _figures(total: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    return [
        ("verified", _percent(total["verified"], total["cases"]), ""),
        ("equal to the right answer", _percent(total["equal_but_for_layout"], total["with_gold"]), ""),
        ("escaped", str(total["escaped"]), "wrong" if total["escaped"] else "right"),
        ("new findings", str(total["new_findings"]), ""),
        ("output tokens", f"{total['output_tokens']:,}", ""),
        ("input tokens", f"{total['input_tokens']:,}", ""),
        ("of these cached", _percent(total["cached_tokens"], total["input_tokens"]), ""),
        ("cost", _usd(total["cost_usd"]), ""),
    ]


def _plots(made: Mapping[str, Any]) -> dict[str, str]:
    formats: Mapping[str, Mapping[str, Any]] = made["by_edit_format"]
    refused: Mapping[str, int] = made["total"]["refused_by"]
    rules = _worst_first(made["by_rule"])[:_MOST_BARS]
    return {
        "steps": grouped_bars(
            {name: _steps(measures) for name, measures in formats.items()}, title="How far answers come"
        ),
        "tokens": _compared(formats, "median_output_tokens", "Output tokens of a case", "{:.0f}"),
        "cost": _compared(formats, "cost_per_verified_usd", "Cost of a verified case", "{:.6f}"),
        "times": histogram(
            [row["total_ms"] / 1000 for row in made["results"]], title="Seconds to the end of a job", unit="s"
        ),
        "refused": bars(
            [
                Bar(name, count / max(refused.values()), str(count), tone=3)
                for name, count in list(refused.items())[:_MOST_BARS]
            ],
            title="Edits refused, by check",
            width=NARROW,
        )
        if refused
        else "",
        "rules": bars(
            [
                Bar(name, each["verified"] / each["cases"], f"{each['verified']} of {each['cases']}", tone=1)
                for name, each in rules
            ],
            title="Verified, by rule",
        ),
    }


def _steps(measures: Mapping[str, Any]) -> list[Bar]:
    return [
        Bar(
            _words(step),
            measures[step] / measures["cases"],
            _percent(measures[step], measures["cases"]),
            tone,
        )
        for tone, step in enumerate(STEPS)
    ]


def _compared(formats: Mapping[str, Mapping[str, Any]], name: str, title: str, form: str) -> str:
    """Bars of one measure for each edit format, the longest as long as there is room."""
    values = {each: float(measures[name] or 0) for each, measures in formats.items()}
    most = max(values.values(), default=0) or 1
    listed = [
        Bar(each, value / most, form.format(value) if value else _NONE) for each, value in values.items()
    ]
    return bars(listed, title=title, width=NARROW)


def _worst_first(rules: Mapping[str, Any]) -> Sequence[tuple[str, Any]]:
    return sorted(
        rules.items(), key=lambda item: (item[1]["verified"] / item[1]["cases"], -item[1]["cases"], item[0])
    )


def _words(name: str) -> str:
    return name.replace("_", "-" if name == "well_formed" else " ")


def _percent(part: int, whole: int) -> str:
    return f"{_ALL * part / whole:.1f} %" if whole else _NONE


def _usd(text: str) -> str:
    whole, _, fraction = text.partition(".")
    return f"${whole}.{fraction[:4].ljust(4, '0')}"
