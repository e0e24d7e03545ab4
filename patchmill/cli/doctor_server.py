"""What `patchmill doctor` sees over HTTP: the server with its key, version and clock, and the gateway."""

from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import httpx

from patchmill import __version__
from patchmill.cli.doctor_line import Line
from patchmill.cli.exits import Exit, exit_of
from patchmill.client.connection import check_address, is_loopback
from patchmill.client.server import Server, find_server
from patchmill.errors import ConfigurationError, PatchmillError, Unauthenticated
from patchmill.settings import Settings, gateway_key

TIMEOUT_S = 10.0
MAX_SKEW_S = 30.0  # the header tells whole seconds, and the answer takes its time
LISTED_MODELS = 100
REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


def server(_: Settings) -> Iterator[Line]:
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
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        yield Line.fail(
            "server",
            f"{found.url} does not answer: {str(error) or type(error).__name__}",
            "is PATCHMILL_SERVER_URL right?" if found.configured else "start it with `patchmill up`",
        )


def gateway(settings: Settings) -> Iterator[Line]:
    """Look at the model gateway: whether it accepts the key, and has the models."""
    try:
        key = gateway_key(settings)
    except ConfigurationError as error:
        yield Line.fail("gateway", "there is no key for it", str(error).partition(": ")[0], exit_of(error))
        return
    try:
        check_address(settings.gateway_url)
        with _http(settings.gateway_url) as http:
            answer = http.get("models", headers={"Authorization": f"Bearer {key}"})
    except ConfigurationError as error:
        yield Line.fail("gateway", str(error), "correct PATCHMILL_GATEWAY_URL", exit_of(error))
        return
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        detail = f"{settings.gateway_url} does not answer: {str(error) or type(error).__name__}"
        yield Line.fail("gateway", detail, "is PATCHMILL_GATEWAY_URL right?")
        return
    if not answer.is_success:
        refused = answer.status_code in REFUSED
        yield Line.fail(
            "gateway",
            f"{settings.gateway_url} answers {answer.status_code}",
            "is the key right?" if refused else "is PATCHMILL_GATEWAY_URL right?",
            Exit.AUTHENTICATION if refused else Exit.SERVICE,
        )
        return
    yield Line.ok("gateway", f"{settings.gateway_url} accepts the key")
    listed = _document(answer).get("data")
    names = (
        {each.get("id") for each in listed if isinstance(each, dict)} if isinstance(listed, list) else set()
    )
    for model in (settings.model, settings.escalation_model):
        if names and model not in names:
            yield Line.fail(
                "model", f"the gateway does not list {model}", "set PATCHMILL_MODEL to one that it has"
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


def _document(answer: httpx.Response) -> dict[str, Any]:
    try:
        document = answer.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
