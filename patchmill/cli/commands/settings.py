"""`patchmill settings`: every setting, its value and where it comes from."""

import json
import os
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer
from pydantic import AliasChoices, SecretStr
from pydantic.fields import FieldInfo

from patchmill.cli.exits import ends
from patchmill.cli.masking import HIDDEN, masked_url
from patchmill.cli.talk import shown
from patchmill.settings import Settings, load

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One setting as it is printed; secrets are hidden, values that are not set are None."""

    variable: str
    value: str | None
    default: str | None
    meaning: str
    source: str  # `environment` or `default`


@app.command(epilog=ends("patchmill settings", "PATCHMILL_PORT=9000 patchmill settings --json"))
def settings(*, as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False) -> None:
    """Show every setting: its variable, its value, its meaning, and where the value comes from.

    Settings are environment variables. Passwords and keys are hidden.
    """
    loaded = load()
    lines = [_line(name, field, loaded) for name, field in Settings.model_fields.items()]
    if as_json:
        print(json.dumps([asdict(line) for line in lines], indent=2))
        return
    for line in lines:
        note = line.source
        if line.source != "default":
            note += f"; default: {line.default or 'none'}"
        print(f"{line.variable}={shown(line.value or '')}  ({shown(note)})\n    {line.meaning}")


def _line(name: str, field: FieldInfo, loaded: Settings) -> Line:
    value = _text(getattr(loaded, name))
    default = _text(field.get_default(call_default_factory=True))
    variables = _variables(name, field)
    given = {variable.upper() for variable in os.environ}
    found = next((variable for variable in variables if variable in given), None)
    return Line(
        variable=found or variables[0],
        value=value,
        default=default,
        meaning=field.description or "",
        source="default" if found is None else "environment",
    )


def _variables(name: str, field: FieldInfo) -> list[str]:
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        return [str(choice) for choice in alias.choices]
    return [f"PATCHMILL_{name.upper()}"]


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, SecretStr):
        secret = value.get_secret_value()
        return masked_url(secret) if "://" in secret else (HIDDEN if secret else "")
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    return masked_url(text) if "://" in text else text
