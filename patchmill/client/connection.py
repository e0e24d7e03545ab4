"""Requests to one server: repeated while that can help and do no harm, answers checked, problems raised."""

import ipaddress
import random
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from patchmill.client.problem import ApiError
from patchmill.errors import ConfigurationError, Unauthenticated, Unavailable

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 30.0
PATIENCE_S = 60.0  # how long a server that has answered may be away while work on it is waited for
CALM_ATTEMPTS = 4  # pauses grow so often while a server is away: it is noticed within 2 s when it is back
_TOO_MANY = 429
_NOT_NOW = frozenset({_TOO_MANY, 502, 503, 504})
# These cannot have reached the server.
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class Connection:
    """A server and a key; each request is tried at most `attempts` times.

    Raises when it is made: ConfigurationError for what is no address of a server, Unauthenticated for what is
    no key.
    """

    def __init__(self, url: str, key: str, *, timeout_s: float, attempts: int) -> None:
        check_address(url)
        check_key(key)
        self.url = url.rstrip("/")
        self.attempts = attempts
        self._timeout_s = timeout_s
        self._http = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=timeout_s,
            verify=httpx.URL(self.url).scheme != "http",  # loading certificates takes tens of milliseconds
            trust_env=not is_loopback(self.url),  # no proxy stands between this machine and itself
        )

    def json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """Send a request; give the JSON object that answers it. Options and errors as for `send`."""
        answer = self.send(method, path, **options)
        try:
            document = answer.json()
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise ApiError(
                {"detail": f"{self.url} gave no JSON object; is it Patchmill?"}, status=answer.status_code
            )
        return document

    def send(
        self, method: str, path: str, *, more_s: float = 0, repeatable: bool = True, **options: Any
    ) -> httpx.Response:
        """Send a request; give its answer. The server may take `more_s` seconds longer than others.

        One that is not `repeatable` is only tried again when it cannot have reached the server.

        Raises:
            ApiError: the server refused it.
            Unavailable: the server cannot be reached, or cannot serve.
        """
        for attempt in range(1, self.attempts + 1):
            last = attempt == self.attempts
            told_s = 0.0
            try:
                answer = self._http.request(method, path, timeout=self._timeout_s + more_s, **options)
            except httpx.TransportError as error:
                if last or not (repeatable or isinstance(error, _UNSENT)):
                    raise self.silent(error) from error
            else:
                if last or not repeatable or answer.status_code not in _NOT_NOW:
                    return _accepted(answer)
                told_s = _retry_after_s(answer.headers)
            pause(attempt, at_least_s=told_s)
        raise AssertionError("the last attempt returns or raises")

    @contextmanager
    def stream(self, path: str, *, headers: Mapping[str, str], silence_s: float) -> Iterator[Iterator[bytes]]:
        """Open a stream; give its chunks. `silence_s` is how long the server may send nothing.

        Raises:
            ApiError: the server refused it.
            httpx.TransportError: the connection failed; nothing is tried again here.
        """
        timeout = httpx.Timeout(self._timeout_s, read=silence_s)
        with self._http.stream("GET", path, headers=dict(headers), timeout=timeout) as answer:
            if not answer.is_success:
                answer.read()
            yield _accepted(answer).iter_bytes()

    def silent(self, error: Exception) -> Unavailable:
        """Give the error of a server that does not answer."""
        return Unavailable(f"{self.url} does not answer: {str(error) or type(error).__name__}")

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


def is_outage(error: Unavailable | ApiError) -> bool:
    """Tell a server that is away, or starts again, from one that refuses."""
    return isinstance(error, Unavailable) or error.status in _NOT_NOW


def pause(attempt: int, *, at_least_s: float = 0.0) -> None:
    """Wait before another attempt: spread, so that many clients do not come back together."""
    spread = FIRST_PAUSE_S * 2 ** (attempt - 1) * random.uniform(0.5, 1.0)  # noqa: S311 - not for a secret
    threading.Event().wait(min(LONGEST_PAUSE_S, max(at_least_s, spread)))


def check_address(url: str) -> None:
    """Refuse what cannot be the address of a server.

    Raises:
        ConfigurationError: the message says what one looks like.
    """
    try:
        parts = httpx.URL(url)
        known = parts.scheme in {"http", "https"} and bool(parts.host)
    except (httpx.InvalidURL, ValueError):  # what is no name of a host is a ValueError
        known = False
    if not known:
        raise ConfigurationError(f"{url!r} is no address of a server; it looks like http://127.0.0.1:8080")


def check_key(key: str) -> None:
    """Refuse what cannot be a key, and could not be sent.

    Raises:
        Unauthenticated: the message does not quote it.
    """
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise Unauthenticated("the key holds characters that no key has; is PATCHMILL_SERVER_KEY right?")


def is_loopback(url: str) -> bool:
    """Say whether an address is one of this machine, that nobody else listens on."""
    try:
        host = httpx.URL(url).host
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except (httpx.InvalidURL, ValueError):
        return False


def _retry_after_s(headers: Mapping[str, str]) -> float:
    text = headers.get("Retry-After", "").strip()
    return float(text) if text.isascii() and text.isdigit() else 0.0


def _accepted(answer: httpx.Response) -> httpx.Response:
    if answer.is_success:
        return answer
    try:
        problem = answer.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict) or "code" not in problem:
        problem = {"detail": f"the server answered {answer.status_code} without saying why"}
    raise ApiError(problem, status=answer.status_code)
