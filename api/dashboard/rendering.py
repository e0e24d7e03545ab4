"""From values to a page: the templates, what they may call, and the headers that keep a page to itself."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import Response

from api.dashboard.visible import plain
from patchmill import __version__
from patchmill.budget.prices import to_usd

THEME = "patchmill_theme"
THEMES = ("system", "light", "dark")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    # With `no-referrer` browsers would hide the origin of a form, which is checked.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
LONG_PATH = 60  # characters
CENTS = 2  # decimals of dollars that people write, $7.50 and not $7.5
SHORT = 16  # characters of an id that are written out
_SECOND_MS = 1000
_MINUTE_S = 60
_HOUR_S = 3600
_DAY_S = 86_400


def _finalize(value: Any) -> Any:
    """Take every value that a template writes: text shows its unseen characters, nothing is nothing."""
    if value is None:
        return ""
    return plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def instant(at: datetime) -> str:
    """Write an instant for a machine."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def local(at: datetime, zone: str) -> str:
    """Write an instant for a person as the clocks of a time zone show it."""
    return at.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M")


def clock(at: datetime) -> str:
    """Write an instant for a person, in UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def duration(seconds: float | None) -> str:
    """Write a time span in the unit that it is easily read in; a dash when it is not known."""
    if seconds is None:
        return "–"  # noqa: RUF001 - a dash on purpose
    milliseconds = round(max(0.0, seconds) * _SECOND_MS)
    if milliseconds < _SECOND_MS:
        return f"{milliseconds} ms"
    if seconds < _MINUTE_S:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S} min {whole % _MINUTE_S:02d} s"
    if whole < _DAY_S:
        return f"{whole // _HOUR_S} h {whole % _HOUR_S // _MINUTE_S:02d} min"
    return f"{whole // _DAY_S} d {whole % _DAY_S // _HOUR_S} h"


def span_ms(milliseconds: int | None) -> str:
    """Write a time span that is known in milliseconds in the same way."""
    return duration(None if milliseconds is None else milliseconds / _SECOND_MS)


def usd(picos: int, digits: int = 0) -> str:
    """Write pico-dollars as dollars, to the last digit, and with zeros up to so many decimals."""
    whole, _, decimals_of = to_usd(picos).partition(".")
    written = decimals_of.ljust(max(digits, CENTS if decimals_of else 0), "0")
    return f"${whole}.{written}" if written else f"${whole}"


def decimals(amounts: Iterable[int]) -> int:
    """Give the decimals that the finest of some amounts needs, so that a column of them lines up."""
    finest = max((len(to_usd(picos).partition(".")[2]) for picos in amounts), default=0)
    return max(finest, CENTS) if finest else 0


def short(identity: str) -> str:
    """Write an id so that it fits a line: its end tells it from others, its beginning when it was made."""
    return f"{identity[:8]}…{identity[-6:]}" if len(identity) > SHORT else identity


def brief(path: str) -> str:
    """Write a path so that it fits a row: of a long one the first folder and the file's own name."""
    folders = path.split("/")
    return f"{folders[0]}/…/{folders[-1]}" if len(path) > LONG_PATH and len(folders) > 2 else path  # noqa: PLR2004 - nothing stands between two


def share(part: int, whole: int) -> str:
    """Write a part of a whole in percent; a dash where there is no whole."""
    return f"{100 * part / whole:.0f} %" if whole else "–"  # noqa: RUF001 - a dash on purpose


def number(value: int) -> str:
    """Write a whole number with separators."""
    return f"{value:,}"


_FILTERS = (clock, local, instant, duration, span_ms, usd, decimals, short, brief, share, number)


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {each.__name__: each for each in _FILTERS}
    made.globals |= {"version": __version__, "query": urlencode}
    return made


_PAGES = _environment()


def allow(name: str, function: Any) -> None:
    """Let templates call a function by this name."""
    _PAGES.globals[name] = function


def is_fragment(request: Request) -> bool:
    """Say whether a script asks for the inner part of a page that is shown already."""
    return request.headers.get("hx-request") == "true"


def theme_of(request: Request) -> str:
    """Give the theme that the browser remembers."""
    chosen = request.cookies.get(THEME, THEMES[0])
    return chosen if chosen in THEMES else THEMES[0]


def page(
    request: Request, name: str, values: Mapping[str, Any] | None = None, *, status: int = HTTPStatus.OK
) -> HTMLResponse:
    """Render the page `name`, or its inner part alone when that is asked for."""
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    shown = {
        "here": request.url.path,
        "target": target,
        "theme": theme_of(request),
        "themes": THEMES,
        "person": getattr(request.state, "person", None),
        # A page that knows them shows them, in place of those that are shown.
        "notices": getattr(request.state, "notices", None),
        "content": f"{name}_content.html",
        **(values or {}),
    }
    template = "fragment.html" if is_fragment(request) else f"{name}.html"
    return HTMLResponse(_PAGES.get_template(template).render(shown), status_code=status)


def guard(response: Response) -> Response:
    """Add the headers that every answer to a browser carries."""
    for header, value in _HEADERS.items():
        response.headers.setdefault(header, value)
    response.headers.setdefault("Cache-Control", "no-store")
    return response
