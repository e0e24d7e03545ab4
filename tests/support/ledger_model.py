"""What the ledger must hold after any history, in plain Python: every balance is a sum over calls.

It shares nothing with the code that it is held beside but the records of `patchmill.budget`.
"""

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from patchmill.budget.ledger import Amount, Spent
from patchmill.budget.prices import Rates
from patchmill.budget.windows import WindowKind

NOTHING = Amount(tokens=0, picos=0)


@dataclass(slots=True, kw_only=True)
class Budget:
    """A limit, as it stands now."""

    id: uuid.UUID
    project_id: uuid.UUID | None  # None, and no key either: the installation's
    key_id: uuid.UUID | None
    window: WindowKind
    time_zone: str
    limit_picos: int | None
    limit_tokens: int | None
    waits: bool
    live: bool = True

    def bears_on(self, job: "Job") -> bool:
        """Whether a call of the job must fit it."""
        if self.key_id is not None:
            return self.live and self.key_id == job.key_id
        return self.live and self.project_id in {None, job.project_id}


@dataclass(slots=True, kw_only=True)
class Window:
    """One of a budget's windows."""

    id: uuid.UUID
    budget_id: uuid.UUID
    starts_at: datetime


@dataclass(slots=True, kw_only=True)
class Job:
    """A job and its own cap."""

    id: uuid.UUID
    project_id: uuid.UUID
    key_id: uuid.UUID | None
    run_id: uuid.UUID | None
    cap_picos: int | None


@dataclass(slots=True, kw_only=True)
class Call:
    """A call as it was admitted, how it stands, and what the provider knows of it."""

    id: uuid.UUID
    job_id: uuid.UUID
    windows: tuple[uuid.UUID, ...]
    entering: int  # the bound of its prompt
    max_tokens: int
    hold: Amount
    rates: Rates
    state: str = "sent"
    used: Amount = NOTHING  # as settled, in full
    arrived: bool = False
    truth: Spent | None = None  # what the provider charged for
    beyond: bool = False  # the provider charges for more than was asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What some calls hold together; what a provider charged beyond a hold no budget bears."""

    settled: Amount
    held: Amount
    uncertain: Amount

    @property
    def used(self) -> Amount:
        """What counts against a cap."""
        return _sum([self.settled, self.held, self.uncertain])


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One cap that a call must fit under, and what counts against it."""

    cap_tokens: int | None
    cap_picos: int | None
    balance: Balance
    waits: bool

    def verdict(self, hold: Amount) -> str | None:
        """Say why a hold does not fit, or None if it does."""
        kinds = {
            _verdict(hold.tokens, self.cap_tokens, self.balance.used.tokens, self.balance.held.tokens),
            _verdict(hold.picos, self.cap_picos, self.balance.used.picos, self.balance.held.picos),
        }
        worst = next((kind for kind in ("over", "exhausted", "wait") if kind in kinds), None)
        return "reset" if worst == "exhausted" and self.waits else worst


@dataclass(slots=True)
class Model:
    """All of it."""

    budgets: dict[uuid.UUID, Budget] = field(default_factory=dict)
    windows: dict[uuid.UUID, Window] = field(default_factory=dict)
    runs: dict[uuid.UUID, int] = field(default_factory=dict)  # and their caps
    jobs: dict[uuid.UUID, Job] = field(default_factory=dict)
    calls: dict[uuid.UUID, Call] = field(default_factory=dict)

    def of_window(self, window_id: uuid.UUID) -> Balance:
        """Give a window's balance."""
        return _balance(call for call in self.calls.values() if window_id in call.windows)

    def of_job(self, job_id: uuid.UUID) -> Balance:
        """Give a job's balance; its own cap bears what was charged beyond a hold, too."""
        return _balance((call for call in self.calls.values() if call.job_id == job_id), beyond=True)

    def of_run(self, run_id: uuid.UUID) -> Balance:
        """Give the balance of a run's jobs together, likewise."""
        of_run = (call for call in self.calls.values() if self.jobs[call.job_id].run_id == run_id)
        return _balance(of_run, beyond=True)

    def window_at(self, budget: Budget, starts_at: datetime) -> Window | None:
        """Give a budget's window with that start, if anything was ever held in it."""
        of_budget = (each for each in self.windows.values() if each.budget_id == budget.id)
        return next((each for each in of_budget if each.starts_at == starts_at), None)

    def limits(self, job: Job, starts: dict[uuid.UUID, datetime]) -> Iterator[Limit]:
        """Give every cap over a job; `starts` tells when the current window of each budget began."""
        if job.cap_picos is not None:
            yield _money_cap(job.cap_picos, self.of_job(job.id))
        if job.run_id is not None:
            yield _money_cap(self.runs[job.run_id], self.of_run(job.run_id))
        for budget in self.budgets.values():
            if not budget.bears_on(job):
                continue
            window = self.window_at(budget, starts[budget.id])
            yield Limit(
                cap_tokens=budget.limit_tokens,
                cap_picos=budget.limit_picos,
                balance=_balance([]) if window is None else self.of_window(window.id),
                waits=budget.waits and budget.window is not WindowKind.TOTAL,
            )


def largest_fitting(entering: int, wanted: int, floor: int, rates: Rates, limits: list[Limit]) -> int | None:
    """Give the most tokens of an answer that fit under every cap, or None if not even `floor` do."""

    def fits(output: int) -> bool:
        hold = bound(entering, output, rates)
        return all(limit.verdict(hold) is None for limit in limits)

    if not fits(floor):
        return None
    low, high = floor, wanted
    while low < high:  # whatever fits, less of it fits too
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def bound(entering: int, output: int, rates: Rates) -> Amount:
    """Give the most that a call can come to."""
    dearest = max(rates.input_picos, rates.cached_picos)
    return Amount(tokens=entering + output, picos=entering * dearest + output * rates.output_picos)


def charged(spent: Spent, rates: Rates) -> Amount:
    """Give what was used, in tokens and money."""
    fresh = spent.input_tokens - spent.cached_tokens
    picos = fresh * rates.input_picos + spent.cached_tokens * rates.cached_picos
    return Amount(
        tokens=spent.input_tokens + spent.output_tokens,
        picos=picos + spent.output_tokens * rates.output_picos,
    )


@dataclass(slots=True)
class PriceList:
    """The prices of one model, as they were announced: from when on which rates hold."""

    rows: list[tuple[datetime, Rates]] = field(default_factory=list)

    def at(self, instant: datetime) -> Rates:
        """Give the rates of an instant: those announced for the latest time before it."""
        return max((row for row in self.rows if row[0] <= instant), key=lambda row: row[0])[1]

    def within(self, since: datetime, seconds: float) -> list[Rates]:
        """Give all rates that hold at some time between an instant and so many seconds later."""
        until = since + timedelta(seconds=seconds)
        return [self.at(since), *(rates for start, rates in self.rows if since < start <= until)]


def dearest(several: list[Rates]) -> Rates:
    """Give the highest of each rate."""
    return Rates(
        input_picos=max(rates.input_picos for rates in several),
        cached_picos=max(rates.cached_picos for rates in several),
        output_picos=max(rates.output_picos for rates in several),
    )


def _money_cap(cap_picos: int, balance: Balance) -> Limit:
    return Limit(cap_tokens=None, cap_picos=cap_picos, balance=balance, waits=False)


def _balance(calls: Iterable[Call], *, beyond: bool = False) -> Balance:
    of_state: dict[str, list[Amount]] = {"settled": [], "sent": [], "uncertain": [], "void": []}
    for call in calls:
        settled = call.used if beyond else _within(call)
        of_state[call.state].append(settled if call.state == "settled" else call.hold)
    return Balance(
        settled=_sum(of_state["settled"]), held=_sum(of_state["sent"]), uncertain=_sum(of_state["uncertain"])
    )


def _within(call: Call) -> Amount:
    return Amount(tokens=min(call.used.tokens, call.hold.tokens), picos=min(call.used.picos, call.hold.picos))


def _sum(amounts: list[Amount]) -> Amount:
    return Amount(tokens=sum(each.tokens for each in amounts), picos=sum(each.picos for each in amounts))


def _verdict(hold: int, cap: int | None, used: int, held: int) -> str | None:
    if cap is None or used + hold <= cap:
        return None
    if hold > cap:
        return "over"
    return "exhausted" if used - held + hold > cap else "wait"
