"""The client: submit jobs and runs, wait for them, follow them, fetch what they offer."""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, cast, overload
from urllib.parse import quote

from patchmill.client.budgets import Budgets
from patchmill.client.connection import CALM_ATTEMPTS, FIRST_PAUSE_S, Connection, is_outage, pause
from patchmill.client.documents import Call, Estimate, Gateway, Job, Run, Suggestion, UsageReport
from patchmill.client.events import Event, follow
from patchmill.client.operating import (
    Bulk,
    Queues,
    Worker,
    act_on_all,
    change_pause,
    queues_of,
    workers_of,
)
from patchmill.client.pages import pages
from patchmill.client.prices import Prices
from patchmill.client.problem import ApiError
from patchmill.client.projects import Projects
from patchmill.client.uncertain import Uncertain
from patchmill.client.usage import query_of, usage_csv_of, usage_of
from patchmill.client.webhooks import Webhooks
from patchmill.errors import Unavailable

ENDED = frozenset({"succeeded", "failed", "cancelled"})
RUN_ENDED = frozenset({"finished", "cancelled"})
MAX_WAIT_S = 60  # the longest that the API lets one request wait

_log = logging.getLogger(__name__)
_Document = TypeVar("_Document", Job, Run)


class Client:
    """A connection to one server with one key; use it as a context manager, or close it.

    Every request that fails for want of a connection, or that the server says to repeat, is repeated up to
    `attempts` times: submitting, too, because each submission carries an Idempotency-Key of its own.

    Every method raises ApiError if the server refuses the request (its `pointers` name the fields), and
    Unavailable if the server cannot be reached.
    """

    def __init__(self, url: str, key: str, *, timeout_s: float = 30.0, attempts: int = 5) -> None:
        self._connection = Connection(url, key, timeout_s=timeout_s, attempts=attempts)
        self.budgets = Budgets(self._connection)
        self.prices = Prices(self._connection)
        self.projects = Projects(self._connection)
        self.uncertain = Uncertain(self._connection)
        self.webhooks = Webhooks(self._connection)

    @classmethod
    def from_environment(cls, *, timeout_s: float = 30.0, attempts: int = 5) -> Self:
        """Connect to the server that PATCHMILL_SERVER_URL and PATCHMILL_SERVER_KEY name.

        Without them, to the one that `patchmill up` runs on this machine, with the key in its data folder.

        Raises:
            Unavailable: no server is known.
            Unauthenticated: a server is named, but no key for it.
            ConfigurationError: a setting cannot work.
        """
        from patchmill.client.server import find_server  # noqa: PLC0415 - settings are only read if asked for

        found = find_server()
        return cls(found.url, found.key, timeout_s=timeout_s, attempts=attempts)

    @property
    def url(self) -> str:
        """The server's address."""
        return self._connection.url

    def submit(self, job: Mapping[str, Any], *, idempotency_key: str | None = None) -> Job:
        """Submit a job; give its document. The same key with the same job gives the same job again."""
        return cast("Job", self._post("/v1/jobs", job, idempotency_key))

    def submit_run(self, run: Mapping[str, Any], *, idempotency_key: str | None = None) -> Run:
        """Submit reports and the files that they are about; give the run's document, keys as for `submit`."""
        return cast("Run", self._post("/v1/runs", run, idempotency_key))

    def estimate(self, request: Mapping[str, Any]) -> Estimate:
        """Say what a job or a run may take, which is told by its fields; nothing is stored or spent."""
        return cast("Estimate", self._connection.json("POST", "/v1/estimate", json=dict(request)))

    def job(self, job_id: str, *, wait_s: float = 0) -> Job:
        """Give a job's document; with `wait_s`, at most 60, only once it has ended or the time is over."""
        return cast("Job", self._read(_job(job_id), wait_s))

    def run(self, run_id: str, *, wait_s: float = 0) -> Run:
        """Give a run's document; `wait_s` as for `job`."""
        return cast("Run", self._read(_run(run_id), wait_s))

    def wait(self, job_id: str, *, timeout_s: float, on_change: Callable[[Job], None] | None = None) -> Job:
        """Wait until a job has ended; give its document.

        Once the server has answered it may be away: it is asked again until the time is over, and the log
        tells of it once.

        Raises:
            TimeoutError: it has not ended in that time, or nobody says so; it goes on, and `wait` may be
                called again.
            Unavailable: the server cannot be reached at all.
        """

        def look(wait_s: float) -> Job:
            return self.job(job_id, wait_s=wait_s)

        return _ended(
            look,
            lambda job: (job["state"], job.get("attempt"), job.get("wait_reason")),
            what=job_id,
            ends=ENDED,
            timeout_s=timeout_s,
            on_change=on_change,
        )

    def wait_run(
        self, run_id: str, *, timeout_s: float, on_change: Callable[[Run], None] | None = None
    ) -> Run:
        """Wait until a run has ended, as `wait` does for a job."""

        def look(wait_s: float) -> Run:
            return self.run(run_id, wait_s=wait_s)

        return _ended(
            look,
            lambda run: (run["state"], run.get("jobs")),
            what=run_id,
            ends=RUN_ENDED,
            timeout_s=timeout_s,
            on_change=on_change,
        )

    def events(self, job_id: str, *, after: str | None = None) -> Iterator[Event]:
        """Give a job's events as they come, those before first, each once; ends when the job has ended.

        `after` is the id of an event: only later ones are given. A stream that breaks is taken up again.
        """
        return follow(self._connection, f"{_job(job_id)}/events", after=after)

    def run_events(self, run_id: str, *, after: str | None = None) -> Iterator[Event]:
        """Give a run's events, and those of its jobs, as `events` does."""
        return follow(self._connection, f"{_run(run_id)}/events", after=after)

    def jobs(self, **filters: str) -> Iterator[Job]:
        """Give the project's jobs, newest first, page by page as they are asked for.

        Filters are those of the API (`state`, `kind`, `outcome`, `run`, …); a label is `**{"label.KEY": …}`.
        """
        return cast("Iterator[Job]", pages(self._connection, "/v1/jobs", filters))

    def runs(self, **filters: str) -> Iterator[Run]:
        """Give the project's runs, as `jobs` gives its jobs."""
        return cast("Iterator[Run]", pages(self._connection, "/v1/runs", filters))

    def cancel(self, job_id: str) -> Job:
        """Ask to stop a job; give its document."""
        return cast("Job", self._connection.json("POST", f"{_job(job_id)}/cancel"))

    def cancel_run(self, run_id: str) -> Run:
        """Ask to stop every job of a run; give the run's document."""
        return cast("Run", self._connection.json("POST", f"{_run(run_id)}/cancel"))

    def retry(self, job_id: str) -> Job:
        """Start a job that has ended anew; give its document.

        It is not sent again if it may have arrived: a second time could be one retry too many.
        """
        return cast("Job", self._connection.json("POST", f"{_job(job_id)}/retry", repeatable=False))

    def retry_all(
        self,
        filters: Mapping[str, Any],
        *,
        expect: int | None = None,
        as_of: str | None = None,
        limit: int | None = None,
    ) -> Bulk:
        """Start all jobs anew that filters name and that may be; without `expect` they are only counted.

        Filters are those of `jobs`, with `error`, and with labels as `{"labels": {"team": "core"}}`. With
        `expect` and the `as_of` of the count it is done, to at most 10,000 at once, if they are as many.
        """
        return act_on_all(self._connection, "retry", filters, expect=expect, as_of=as_of, limit=limit)

    def cancel_all(
        self,
        filters: Mapping[str, Any],
        *,
        expect: int | None = None,
        as_of: str | None = None,
        limit: int | None = None,
    ) -> Bulk:
        """Stop all jobs that filters name, as `retry_all` starts them."""
        return act_on_all(self._connection, "cancel", filters, expect=expect, as_of=as_of, limit=limit)

    def workers(self) -> list[Worker]:
        """Give the installation's worker processes, the latest start first; needs `admin`."""
        return workers_of(self._connection)

    def queues(self) -> Queues:
        """Give the installation's queues, with the part of the key's project; needs `admin`."""
        return queues_of(self._connection)

    def pause(self, reason: str = "", *, project: str | None = None, queue: str | None = None) -> None:
        """Pause a project by its id, a queue, or without either all calls; needs `admin`."""
        body = {"reason": reason}
        change_pause(self._connection, "pause", project=project, queue=queue, body=body, params={})

    def resume(
        self, *, project: str | None = None, queue: str | None = None, model: str | None = None
    ) -> None:
        """Resume what `pause` paused, or calls of a model; needs `admin`."""
        params = {} if model is None else {"model": model}
        change_pause(self._connection, "resume", project=project, queue=queue, body=None, params=params)

    @overload
    def suggestions(self, job_id: str) -> list[Suggestion]: ...
    @overload
    def suggestions(self, job_id: str, *, format: str) -> str: ...
    def suggestions(self, job_id: str, *, format: str | None = None) -> list[Suggestion] | str:  # noqa: A002 - the API's word
        """Give the suggestions of a job, each with its evidence; or their text in another format.

        Formats are those of the API: `patch`, `github`, `gitlab`, `sarif`, `rdjson`, …
        """
        return self._suggestions(_job(job_id), format)

    @overload
    def run_suggestions(self, run_id: str) -> list[Suggestion]: ...
    @overload
    def run_suggestions(self, run_id: str, *, format: str) -> str: ...
    def run_suggestions(self, run_id: str, *, format: str | None = None) -> list[Suggestion] | str:  # noqa: A002 - likewise
        """Give what all jobs of a run offer, as `suggestions` does for one."""
        return self._suggestions(_run(run_id), format)

    def patch(self, job_id: str) -> str:
        """Give a job's suggestions as one patch that `git apply` takes; empty when there are none.

        Of a file that is not UTF-8 it has the file's bytes: `encode("utf-8", "surrogateescape")` gives them.
        """
        return self.suggestions(job_id, format="patch")

    def calls(self, job_id: str) -> list[Call]:
        """Give a job's calls to the model, with prompts and raw answers."""
        return cast("list[Call]", list(pages(self._connection, f"{_job(job_id)}/calls", {})))

    def gateway(self) -> Gateway:
        """Say whether calls to the models can be made, and if not, why and until when."""
        return cast("Gateway", self._connection.json("GET", "/v1/gateway"))

    def usage(
        self,
        *,
        since: str | None = None,
        until: str | None = None,
        time_zone: str | None = None,
        group_by: Sequence[str] = (),
    ) -> UsageReport:
        """Say what the project's calls used and cost: rows by `group_by`, and the `total` of the period.

        `since` is included, `until` is not; each is a date or an RFC 3339 time. Groups are `day`, `hour`,
        `project`, `key`, `model`, `kind`, `rule` and `label.KEY`.
        """
        return usage_of(self._connection, query_of(since, until, time_zone, group_by))

    def usage_csv(
        self,
        *,
        since: str | None = None,
        until: str | None = None,
        time_zone: str | None = None,
        group_by: Sequence[str] = (),
    ) -> str:
        """Give the same rows, without the total, as CSV that is safe to open in a spreadsheet."""
        return usage_csv_of(self._connection, query_of(since, until, time_zone, group_by))

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def _post(self, path: str, body: Mapping[str, Any], idempotency_key: str | None) -> dict[str, Any]:
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        return self._connection.json("POST", path, json=dict(body), headers=headers)

    def _read(self, path: str, wait_s: float) -> dict[str, Any]:
        params = {"wait": f"{wait_s:g}"} if wait_s else {}
        return self._connection.json("GET", path, params=params, more_s=wait_s)

    def _suggestions(self, path: str, name: str | None) -> list[Suggestion] | str:
        if name is None:
            return cast("list[Suggestion]", self._connection.json("GET", f"{path}/suggestions")["data"])
        answer = self._connection.send("GET", f"{path}/suggestions", params={"format": name})
        return answer.content.decode("utf-8", "surrogateescape")


def _ended(
    look: Callable[[float], _Document],
    standing: Callable[[_Document], object],
    *,
    what: str,
    ends: frozenset[str],
    timeout_s: float,
    on_change: Callable[[_Document], None] | None,
) -> _Document:
    deadline = time.monotonic() + timeout_s
    seen: object = None
    failures = 0
    while True:
        left = deadline - time.monotonic()
        try:
            document = look(max(0, min(MAX_WAIT_S, int(left))))
        except (Unavailable, ApiError) as error:
            if seen is None or not is_outage(error):
                raise
            if time.monotonic() >= deadline:
                raise TimeoutError(
                    f"{what} is not known to have ended after {timeout_s:g} s: {error}; it goes on there, "
                    "and can be waited for again"
                ) from error
            failures += 1
            if failures == 1:
                _log.warning("%s; %s goes on there and is asked for until it answers", error, what)
            pause(min(failures, CALM_ATTEMPTS))
            continue
        failures = 0
        now = standing(document)
        if on_change is not None and now != seen:
            on_change(document)
        seen = now
        if document["state"] in ends:
            return document
        if left <= 0:
            raise TimeoutError(f"{what} has not ended after {timeout_s:g} s; it is {document['state']}")
        threading.Event().wait(min(FIRST_PAUSE_S, max(0.0, left)))


def _job(identity: str) -> str:
    return f"/v1/jobs/{quote(identity, safe='')}"


def _run(identity: str) -> str:
    return f"/v1/runs/{quote(identity, safe='')}"
