"""Cases through the real pipeline: each a job of a server, a bounded number of them at a time."""

import contextlib
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

from patchmill.budget.prices import from_usd, to_usd
from patchmill.client.documents import Call, Job
from patchmill.client.http import ENDED, Client
from patchmill.client.problem import ApiError
from patchmill.errors import ConfigurationError, Unavailable
from patchmill.evaluate.cases import Case
from patchmill.evaluate.result import Result, read
from patchmill.evaluate.shares import Shares

LOOK_S = 5.0
GLANCE_S = 0.2
_OVER_COST = frozenset({"over_budget", "budget_exhausted"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is evaluated, and how: every case in every edit format, None being the server's default."""

    cases: Sequence[Case]
    edit_formats: Sequence[str | None] = (None,)
    model: str | None = None
    escalate: bool = False
    tool_fixes: bool = False
    reuse: bool = False
    max_calls: int | None = None
    max_cost_picos: int | None = None
    in_flight: int = 8

    @property
    def works(self) -> list[tuple[Case, str | None]]:
        """Every case with every format; a case's formats follow each other."""
        return [(case, name) for case in self.cases for name in self.edit_formats]

    def options(self, edit_format: str | None, cap_picos: int | None) -> dict[str, Any]:
        """Give the options of one job."""
        return {
            "model": self.model,
            "escalate": self.escalate,
            "tool_fixes": self.tool_fixes,
            "reuse": self.reuse,
            "edit_format": edit_format,
            "max_calls": self.max_calls,
            "max_cost_usd": None if cap_picos is None else to_usd(cap_picos),
            "priority": "bulk",
        }


@dataclass(slots=True, kw_only=True)
class Evaluation:
    """One evaluation: `results` grows while it runs, and is what there is if it is broken off.

    `waits` is told, from any thread and again and again, of a job that waits for more than calls to end.
    """

    plan: Plan
    client: Client
    waits: Callable[[Job], None] = lambda _: None
    results: list[Result] = field(default_factory=list)
    left_out: list[tuple[str, str | None]] = field(default_factory=list)  # for want of money: case, format
    _halted: threading.Event = field(default_factory=threading.Event)
    _jobs: set[str] = field(default_factory=set)

    def run(self, *, check: Callable[[], None], tell: Callable[[int, int], None]) -> None:
        """Run everything; `check` is called again and again and may raise, `tell` is told done and total.

        Whatever is raised, the jobs in flight are cancelled first.

        Raises:
            ConfigurationError: the model has no price, so that no call would be made.
            ApiError: the server refused a case.
            Unavailable: the server, or a checker of the judge, is away.
        """
        works = self.plan.works
        self._refuse_unpriced(*works[0])
        shares = Shares(self.plan.max_cost_picos, self.plan.in_flight)
        remaining = iter(works)
        with ThreadPoolExecutor(max_workers=self.plan.in_flight) as pool:
            running: set[Future[Result | None]] = set()
            try:
                while True:
                    check()
                    for case, name in _some(remaining, self.plan.in_flight - len(running)):
                        running.add(pool.submit(self._one, case, name, shares))
                    if not running:
                        return
                    ended, running = wait(running, timeout=GLANCE_S, return_when=FIRST_COMPLETED)
                    for future in ended:
                        result = future.result()
                        if result is not None:
                            self.results.append(result)
                    tell(len(self.results) + len(self.left_out), len(works))
            except BaseException:
                self._halt()
                raise

    def _refuse_unpriced(self, case: Case, edit_format: str | None) -> None:
        """Refuse a model that would never be asked, before every case ends so."""
        request = {**case.request(), "options": self.plan.options(edit_format, None)}
        with _naming(case):
            found = self.client.estimate(request)
        if found["blocked_by"] == "no_price" or found["model"] in found["unpriced"]:
            raise ConfigurationError(
                f"no price is known for model {found['model']}, and without a price no call is made; add one "
                f"with `patchmill prices add {found['model']} --input … --cached … --output …`"
            )

    def _one(self, case: Case, edit_format: str | None, shares: Shares) -> Result | None:
        """Run one case; None if it was left out for want of money, or the evaluation was broken off."""
        key = str(uuid.uuid4())
        cap = shares.take(key)
        job: Job | None = None
        try:
            if cap != 0 and not self._halted.is_set():
                job = self._ended(self._submit(case, edit_format, cap, key))
        finally:
            shares.settle(key, 0 if job is None else _cost(job))
        if job is None or self._halted.is_set():
            if cap == 0:
                self.left_out.append((case.id, edit_format))
            return None
        if (job["error"] or {"code": ""})["code"] in _OVER_COST:
            self.left_out.append((case.id, edit_format))
            return None
        return read(case, job, self._calls(job), edit_format=edit_format)

    def _submit(self, case: Case, edit_format: str | None, cap: int | None, key: str) -> Job:
        request = {**case.request(), "options": self.plan.options(edit_format, cap)}
        with _naming(case):
            job = self.client.submit(request, idempotency_key=key)
        self._jobs.add(job["id"])
        if self._halted.is_set():  # while it was on its way, so that `_halt` may not have seen it
            self._cancel(job["id"])
        return job

    def _ended(self, job: Job) -> Job:
        while job["state"] not in ENDED and not self._halted.is_set():
            job = self.client.job(job["id"], wait_s=LOOK_S)
            if job["wait_reason"]:
                self.waits(job)
        self._jobs.discard(job["id"])
        return job

    def _calls(self, job: Job) -> list[Call]:
        return sorted(self.client.calls(job["id"]), key=lambda call: call["number"])

    def _halt(self) -> None:
        """Cancel what is in flight, so that it costs nothing more."""
        self._halted.set()
        for job_id in list(self._jobs):
            self._cancel(job_id)

    def _cancel(self, job_id: str) -> None:
        # It may have ended meanwhile, or the server may be what is away.
        with contextlib.suppress(ApiError, Unavailable):
            self.client.cancel(job_id)


@contextlib.contextmanager
def _naming(case: Case) -> Iterator[None]:
    """Let what the server refuses name the case that it is about."""
    try:
        yield
    except ApiError as error:
        if error.status == 422:  # noqa: PLR2004 - HTTP: the case is wrong, not the evaluation
            raise ConfigurationError(f"the case {case.id!r} is refused: {error}") from error
        raise


def _some(works: Iterator[tuple[Case, str | None]], count: int) -> Iterator[tuple[Case, str | None]]:
    for _ in range(count):
        work = next(works, None)
        if work is None:
            return
        yield work


def _cost(job: Job) -> int:
    return from_usd(job["usage"]["cost_usd"]) + from_usd(job["usage"]["uncertain_usd"])
