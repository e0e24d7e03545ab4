"""What `patchmill doctor` sees of the server: its key, version and clock, and whether it makes calls."""

from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import httpx

from patchmill import __version__
from patchmill.cli.doctor_calls import account, calls, pauses
from patchmill.cli.doctor_line import Line
from patchmill.cli.exits import Exit, exit_of
from patchmill.client.connection import is_loopback
from patchmill.client.server import Server, find_server
from patchmill.errors import PatchmillError, Unauthenticated
from patchmill.settings import Settings

TIMEOUT_S = 10.0
MAX_SKEW_S = 30.0  # the header tells whole seconds, and the answer takes its time
REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


def server(settings: Settings) -> Iterator[Line]:
    """Look at the server that commands speak to."""
    try:
        found = find_server()
    except PatchmillError as error:
        said, _sep, advice = str(error).partition("; ")
        name = "key" if isinstance(error, Unauthenticated) else "server"
        yield Line.fail(name, said, advice, exit_of(error))
        return
    try:
        with _http(found.url) as http:
            yield _ready(http, found)
            yield _version(http)
            answer = http.get(
                "/v1/jobs", params={"limit": "1"}, headers={"Authorization": f"Bearer {found.key}"}
            )
            yield _key(answer)
            yield from _clock(answer)
            if answer.is_success:
                yield from _calls(http, found, settings)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        yield Line.fail(
            "server",
            f"{found.url} does not answer: {str(error) or type(error).__name__}",
            "is PATCHMILL_SERVER_URL right?" if found.configured else "start it with `patchmill up`",
        )


def _http(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, timeout=TIMEOUT_S, trust_env=not is_loopback(url))


def _ready(http: httpx.Client, found: Server) -> Line:
    answer = http.get("/readyz")
    status = _document(answer).get("status")
    if answer.status_code == HTTPStatus.OK and status == "ready":
        return Line.ok("server", f"{found.url} is ready")
    if answer.status_code == HTTPStatus.OK and status == "degraded":
        return Line.warn("server", f"{found.url} serves, but without Redis", "see that its Redis runs")
    said = str(_document(answer).get("detail") or f"it answers {answer.status_code}; is it Patchmill?")
    return Line.fail("server", f"{found.url} is not ready: {said}", "look at the log of its API")


def _version(http: httpx.Client) -> Line:
    info = _document(http.get("/openapi.json")).get("info")
    version = info.get("version") if isinstance(info, dict) else None
    if version == __version__:
        return Line.ok("version", f"{version}, as this command")
    return Line.warn(
        "version", f"the server's is {version}, this command's is {__version__}", "install the same version"
    )


def _key(answer: httpx.Response) -> Line:
    if answer.is_success:
        return Line.ok("key", "is accepted")
    said = str(_document(answer).get("detail") or f"it answers {answer.status_code}")
    if answer.status_code not in REFUSED:
        return Line.fail("key", f"cannot be judged: {said}", "look at the log of the server's API")
    advice = "make one with `patchmill keys create`, set PATCHMILL_SERVER_KEY"
    return Line.fail("key", f"is not accepted: {said}", advice, Exit.AUTHENTICATION)


def _clock(answer: httpx.Response) -> Iterator[Line]:
    """Compare the clocks; a server that does not tell its time is passed over."""
    try:
        told = parsedate_to_datetime(answer.headers["Date"])
    except (KeyError, ValueError):
        return
    skew_s = (datetime.now(UTC) - told).total_seconds()
    if abs(skew_s) <= MAX_SKEW_S:
        yield Line.ok("clock", "agrees with the server's")
    else:
        yield Line.warn(
            "clock", f"is {skew_s:+.0f} s off the server's", "let both hosts follow a time server"
        )


def _calls(http: httpx.Client, found: Server, settings: Settings) -> Iterator[Line]:
    """Ask how its gateway is; a server that is too old to tell is passed over."""
    answer = http.get("/v1/gateway", headers={"Authorization": f"Bearer {found.key}"})
    gateway = _document(answer)
    if answer.is_success and "models" in gateway:
        yield from calls(gateway)
        if settings.database_url is None:  # else that tells of all projects
            yield from pauses(gateway.get("pauses", []))
        if "reconciliation" in gateway:
            yield from account(gateway["reconciliation"])


def _document(answer: httpx.Response) -> dict[str, Any]:
    try:
        document = answer.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
