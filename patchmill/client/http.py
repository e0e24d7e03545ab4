"""Requests to the API: submit a job, watch it, fetch what it offers."""

import ipaddress
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from patchmill.client.problem import ApiError
from patchmill.errors import Unavailable

Document = dict[str, Any]

ENDED = frozenset({"succeeded", "failed", "cancelled"})
MAX_WAIT_S = 60  # the longest that the API lets one request wait
_PAGE = 200
_FIRST_PAUSE_S = 0.2
_NOT_NOW = frozenset({502, 503, 504})


class Client:
    """A connection to one server with one key; use it as a context manager, or close it.

    Every request that fails for want of a connection, or that the server says to repeat, is repeated up to
    `attempts` times: submitting, too, because each submission carries an Idempotency-Key of its own.
    """

    def __init__(self, url: str, key: str, *, timeout_s: float = 30.0, attempts: int = 5) -> None:
        self._url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._attempts = attempts
        self._http = httpx.Client(
            base_url=self._url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=timeout_s,
            trust_env=not _is_loopback(self._url),  # no proxy stands between this machine and itself
        )

    def submit(self, job: Mapping[str, Any], *, idempotency_key: str | None = None) -> Document:
        """Submit a job; give its document. The same key with the same job gives the same job again.

        Raises:
            ApiError: the server refused it; its `pointers` name the fields.
            Unavailable: the server cannot be reached. The other methods raise the same two.
        """
        key = idempotency_key or str(uuid.uuid4())
        return self._json("POST", "/v1/jobs", json=dict(job), headers={"Idempotency-Key": key})

    def job(self, job_id: str, *, wait_s: float = 0) -> Document:
        """Give a job's document; with `wait_s`, at most 60, only once it has ended or the time is over."""
        return self._json(
            "GET",
            f"/v1/jobs/{_segment(job_id)}",
            params={"wait": str(int(wait_s))} if wait_s else {},
            timeout_s=self._timeout_s + wait_s,
        )

    def wait(
        self, job_id: str, *, timeout_s: float, on_change: Callable[[Document], None] | None = None
    ) -> Document:
        """Wait until a job has ended; give its document.

        Raises:
            TimeoutError: it has not ended in that time.
        """
        deadline = time.monotonic() + timeout_s
        seen: tuple[object, ...] = ()
        while True:
            left = deadline - time.monotonic()
            document = self.job(job_id, wait_s=max(0, min(MAX_WAIT_S, int(left))))
            now = (document.get("state"), document.get("attempt"), document.get("wait_reason"))
            if on_change is not None and now != seen:
                on_change(document)
            seen = now
            if document.get("state") in ENDED:
                return document
            if left <= 0:
                raise TimeoutError(
                    f"{job_id} has not ended after {timeout_s:g} s; it is {document.get('state')}"
                )
            threading.Event().wait(min(_FIRST_PAUSE_S, max(0.0, left)))

    def jobs(self, **filters: str) -> Iterator[Document]:
        """Give the project's jobs, newest first, page by page as they are asked for.

        Filters are those of the API (`state`, `kind`, `outcome`, …).
        """
        query = {"limit": str(_PAGE), **filters}
        while True:
            page = self._json("GET", "/v1/jobs", params=query)
            yield from page["data"]
            if not page.get("next_cursor"):
                return
            query["cursor"] = str(page["next_cursor"])

    def cancel(self, job_id: str) -> Document:
        """Ask to stop a job; give its document."""
        return self._json("POST", f"/v1/jobs/{_segment(job_id)}/cancel")

    def suggestions(self, job_id: str) -> list[Document]:
        """Give the suggestions of a job, each with its evidence."""
        found: list[Document] = self._json("GET", f"/v1/jobs/{_segment(job_id)}/suggestions")["data"]
        return found

    def patch(self, job_id: str) -> str:
        """Give a job's suggestions as one patch that `git apply` takes; empty when there are none."""
        path = f"/v1/jobs/{_segment(job_id)}/suggestions"
        return self._send("GET", path, params={"format": "patch"}).content.decode("utf-8")

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def _json(self, method: str, path: str, **options: Any) -> Document:
        answer = self._send(method, path, **options)
        try:
            document = answer.json()
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise ApiError(
                {"detail": f"{self._url} gave no JSON object; is it Patchmill?"}, status=answer.status_code
            )
        return document

    def _send(
        self, method: str, path: str, *, timeout_s: float | None = None, **options: Any
    ) -> httpx.Response:
        for attempt in range(1, self._attempts + 1):
            last = attempt == self._attempts
            try:
                answer = self._http.request(method, path, timeout=timeout_s or self._timeout_s, **options)
            except httpx.TransportError as error:
                if last:
                    raise Unavailable(
                        f"{self._url} does not answer: {str(error) or type(error).__name__}"
                    ) from error
            except httpx.InvalidURL as error:
                raise Unavailable(f"{self._url} is no address of a server: {error}") from error
            else:
                if answer.status_code not in _NOT_NOW or last:
                    return _accepted(answer)
            # Spread, so that many clients do not come back together.
            pause = _FIRST_PAUSE_S * 2 ** (attempt - 1)
            threading.Event().wait(pause * random.uniform(0.5, 1.0))  # noqa: S311 - not for a secret
        raise AssertionError("the last attempt returns or raises")


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


def _segment(text: str) -> str:
    return quote(text, safe="")


def _is_loopback(url: str) -> bool:
    host = httpx.URL(url).host
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
