"""A database, what happens to it, and the model that it is held beside.

Workers are hands that go through the steps of a call one at a time, by the store's own functions. The
provider is a part of this and knows what it charged. After each step everything committed is looked at.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any, TypeVar, cast
from unittest.mock import patch

import redis
from sqlalchemy import Connection, Engine, insert
from sqlalchemy.exc import DBAPIError

from patchmill.budget.ledger import Amount, Spent
from patchmill.budget.prices import Rates
from patchmill.budget.tokens import input_bound
from patchmill.budget.windows import WindowKind, bounds
from patchmill.call.request import ChatRequest, request_body
from patchmill.errors import CancelRequested, LostClaim
from patchmill.job.record import ErrorCode, KindName, Outcome, Task
from patchmill.job.retry import BUDGET_POLL_S, MAX_BILLED_CALLS, Decision, Fail, UnknownPolicy, Wait
from patchmill.job.state import State
from patchmill.store import claims, dispatch, ledger, runs, workers
from patchmill.store import jobs as stored_jobs
from patchmill.store.access import add_key, ensure_project
from patchmill.store.budgets import add_budget
from patchmill.store.claims import Claim
from patchmill.store.engine import one_by_one, open_engine, passes
from patchmill.store.ids import new_id
from patchmill.store.runs import RunSubmission
from patchmill.store.submission import Submission, submit
from patchmill.store.tables import metadata, prices
from tests.support.breaker import Breaker
from tests.support.ledger_look import Onlooker, Seen
from tests.support.ledger_model import (
    NOTHING,
    Budget,
    Call,
    Job,
    Limit,
    Model,
    PriceList,
    Window,
    bound,
    charged,
    dearest,
    largest_fitting,
)
from worker import admission
from worker.price_lists import PriceLists
from worker.process import InHand, Process
from worker.sweepers.lost_jobs import Sweeper

MODEL = "deepseek-v4-flash"
QUEUE = "ledger-machine"
FIRST_RATES = Rates(input_picos=140_000, cached_picos=3_000, output_picos=280_000)
LEASE_S = 60.0
MOST_HANDS = 10
Result = TypeVar("Result")


class Cut(Exception):
    """The connection went away before the commit: nothing of the transaction may be there."""


@dataclass(slots=True, kw_only=True)
class Hand:
    """A worker's thread with a job in hand, and how far it is with a call."""

    claim: Claim
    worker_id: uuid.UUID
    call: Call | None = None
    ending: ledger.Ending | None = None  # the answer that it has got and not written down
    billed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a hand wants to ask."""

    size: int  # bytes of the prompt
    wanted: int
    floor: int
    deadline_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the model says of a call before the ledger is asked."""

    job: Job
    starts: dict[uuid.UUID, datetime]  # of each budget's current window
    entering: int
    highest: Rates
    limits: list[Limit]
    least: Amount  # the hold of the shortest useful answer
    fitting: int | None  # tokens of the longest answer that fits


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Jobs that wait for a budget, in the order of their submission, and of them those to be woken."""

    every: list[uuid.UUID]
    next: list[uuid.UUID]  # of the project whose call ended: they wait for room that is only held


@dataclass(slots=True)
class Clock:
    """The clock of the workers, which may be wrong."""

    at: datetime

    def now(self, _zone: object) -> datetime:
        """Give its time."""
        return self.at


@dataclass(slots=True)
class World:
    """Everything; `begin` makes it empty again."""

    database_url: str
    redis: "redis.Redis"
    restart_postgres: Callable[[], None]
    engine: Engine = field(init=False)
    onlooker: Onlooker = field(init=False)
    breaker: Breaker = field(init=False)
    model: Model = field(init=False)
    clock: Clock = field(init=False)
    price_list: PriceList = field(init=False)
    known_prices: PriceLists = field(init=False)
    seen: Seen = field(init=False)
    projects: list[uuid.UUID] = field(init=False)
    key_id: uuid.UUID = field(init=False)
    hands: list[Hand] = field(init=False)
    workers: list[uuid.UUID] = field(init=False)
    dead: set[uuid.UUID] = field(init=False)
    messages: list[tuple[uuid.UUID, int]] = field(init=False)
    sent_keys: dict[str, tuple[Submission, uuid.UUID]] = field(init=False)

    def __post_init__(self) -> None:
        self.engine = open_engine(self.database_url, pool_size=2)
        self.onlooker = Onlooker(self.database_url)
        self.breaker = Breaker(self.engine, self.onlooker, self._restart)

    def begin(self) -> None:
        """Begin a new history: two projects, a key of the first, one price, two workers."""
        emptied = "; ".join(f"DELETE FROM {table.name}" for table in metadata.sorted_tables)
        # Else nothing may be taken from the ledger.
        self.onlooker.execute(
            f"SET session_replication_role = replica; {emptied}; RESET session_replication_role"
        )
        self.redis.delete(QUEUE)
        self.known_prices = PriceLists(self.engine)
        self.model, self.price_list = Model(), PriceList()
        self.clock = Clock(datetime.now(UTC))
        self.hands, self.workers, self.dead = [], [], set()
        self.messages, self.sent_keys = [], {}
        with self.engine.begin() as connection:
            self.projects = [ensure_project(connection, name) for name in ("one", "two")]
            self.key_id = add_key(
                connection,
                project_id=self.projects[0],
                name="key",
                public_id="public",
                secret_hash=b"",
                scopes=(),
                expires_at=None,
            )
        self.announce(FIRST_RATES, -86_400.0)
        for _ in range(2):
            self.hire()
        self.look()

    def close(self) -> None:
        """Let the connections go."""
        self.engine.dispose()
        self.onlooker.close()

    def look(self) -> None:
        """See what is committed."""
        self.seen = self.onlooker.look()

    def hire(self) -> None:
        """Start a worker."""
        worker_id = new_id()
        with self.engine.begin() as connection:
            workers.register(connection, worker_id, "machine")
        self.workers.append(worker_id)

    def announce(self, rates: Rates, in_s: float) -> None:
        """Add a price that holds from so many seconds after the workers' time on."""
        since = self.clock.at + timedelta(seconds=in_s, microseconds=len(self.price_list.rows))
        with self.engine.begin() as connection:
            connection.execute(
                insert(prices).values(
                    model=MODEL,
                    input_picos=rates.input_picos,
                    cached_picos=rates.cached_picos,
                    output_picos=rates.output_picos,
                    valid_from=since,
                    source="machine",
                )
            )
        self.price_list.rows.append((since, rates))

    def limit(self, scope: str, window: WindowKind, zone: str, limits: tuple[int | None, int | None]) -> None:
        """Add a budget over the installation, the second project, or the key of the first."""
        project_id = self.projects[1] if scope == "project" else None
        key_id = self.key_id if scope == "key" else None
        waits = len(self.model.budgets) % 2 == 0
        with self.engine.begin() as connection:
            budget_id = add_budget(
                connection,
                name=f"budget {len(self.model.budgets)}",
                scope=scope,
                project_id=project_id,
                key_id=key_id,
                window=window,
                time_zone=zone,
                limit_picos=limits[0],
                limit_tokens=limits[1],
                at_limit="wait" if waits else "fail",
            )
        self.model.budgets[budget_id] = Budget(
            id=budget_id,
            project_id=project_id,
            key_id=key_id,
            window=window,
            time_zone=zone,
            limit_picos=limits[0],
            limit_tokens=limits[1],
            waits=waits,
        )

    def change_limit(self, budget: Budget, limits: tuple[int | None, int | None]) -> None:
        """Set other limits, which may be lower than what is spent."""
        self.onlooker.execute(
            "UPDATE budgets SET limit_picos = %s, limit_tokens = %s WHERE id = %s", *limits, budget.id
        )
        budget.limit_picos, budget.limit_tokens = limits

    def end_budget(self, budget: Budget) -> None:
        """Let a budget bear on nothing any more."""
        self.onlooker.execute("UPDATE budgets SET ended_at = now() WHERE id = %s", budget.id)
        budget.live = False

    def roll_over(self, budget: Budget) -> None:
        """Let the time of one window pass: what a budget's windows hold becomes that much older."""
        mine = [each for each in self.model.windows.values() if each.budget_id == budget.id]
        for window in sorted(mine, key=lambda each: each.starts_at):
            before = window.starts_at - timedelta(microseconds=1)
            span = bounds(budget.window, budget.time_zone, before)
            self.onlooker.execute(
                "UPDATE windows SET starts_at = %s, resets_at = %s WHERE id = %s",
                span.starts_at,
                span.resets_at,
                window.id,
            )
            window.starts_at = span.starts_at

    def submit(self, project: int, *, with_key: bool, cap_picos: int | None, key: str | None) -> None:
        """Submit a job; one with an Idempotency-Key that came before is the same job."""
        given = Submission(
            project_id=self.projects[project],
            key_id=self.key_id if with_key and project == 0 else None,
            task=_task(len(self.model.jobs)),
            origin={},
            labels={},
            max_cost_picos=cap_picos,
            idempotency_key=key,
            body_hash=None if key is None else key.encode(),
        )
        known = None
        if key is not None:
            given, known = self.sent_keys.get(f"{project} {key}", (given, None))
        with self.engine.begin() as connection:
            submitted = submit(connection, given)
        assert submitted.replayed == (known is not None), "I8"
        if known is not None:
            assert submitted.job_id == known, "I8 one key, two jobs"
            return
        if key is not None:
            self.sent_keys[f"{project} {key}"] = (given, submitted.job_id)
        self._add_job(submitted.job_id, given, None)

    def submit_run(self, count: int, cap_picos: int) -> None:
        """Submit a run of the second project, with a cap of its own."""
        members = [
            Submission(
                project_id=self.projects[1],
                key_id=None,
                task=_task(len(self.model.jobs) + number),
                origin={},
                labels={},
            )
            for number in range(count)
        ]
        entering = RunSubmission(
            project_id=self.projects[1],
            key_id=None,
            kind="fix",
            jobs=members,
            findings=count,
            skipped=[],
            diff=None,
            origin={},
            labels={},
            max_cost_picos=cap_picos,
        )
        with self.engine.begin() as connection:
            run_id = runs.submit(connection, entering).run_id
        self.model.runs[run_id] = cap_picos
        rows = self.onlooker.execute("SELECT id FROM jobs WHERE run_id = %s", run_id)
        for row, given in zip(rows, members, strict=True):
            self._add_job(row["id"], given, run_id)

    def _add_job(self, job_id: uuid.UUID, given: Submission, run_id: uuid.UUID | None) -> None:
        self.model.jobs[job_id] = Job(
            id=job_id,
            project_id=given.project_id,
            key_id=given.key_id,
            run_id=run_id,
            cap_picos=given.max_cost_picos,
        )

    def dispatch(self) -> None:
        """Mark what is due dispatched, and tell of it through Redis."""
        with self.engine.begin() as connection:
            due = dispatch.dispatch_due(connection, window=12, limit=4)
        for job_id, number, _ in due:
            self.messages.append((job_id, number))
            self.redis.lpush(QUEUE, f"{job_id} {number}")

    def make_all_due(self) -> None:
        """Let every wait pass, and take back what was dispatched and never claimed."""
        self.onlooker.execute("UPDATE jobs SET run_at = now() WHERE state = 'queued'")
        self.onlooker.execute(
            "UPDATE jobs SET dispatched_at = now() - interval '1 h' WHERE state = 'dispatched'"
        )
        with self.engine.begin() as connection:
            dispatch.take_back_stale(connection, older_than_s=LEASE_S, limit=100)

    def deliver(self, message: tuple[uuid.UUID, int] | None) -> None:
        """Let a worker take a message: the oldest of those in Redis, or one that came before."""
        if message is None:
            raw = cast("bytes | None", self.redis.rpop(QUEUE))
            if raw is None:
                return
            job, number = raw.decode().split()
            message = (uuid.UUID(job), int(number))
        worker_id = self.workers[len(self.messages) % len(self.workers)]
        [before] = self.onlooker.execute("SELECT state, dispatch_no FROM jobs WHERE id = %s", message[0])
        with self.engine.begin() as connection:
            claim = claims.claim(connection, *message, worker_id)
        expected = before["state"] == "dispatched" and before["dispatch_no"] == message[1]
        assert (claim is not None) == expected, "a message was taken for what it is not"
        if claim is not None:
            self.hands.append(Hand(claim=claim, worker_id=worker_id))

    def staff(self) -> None:
        """See that some hand is idle, as far as there are jobs."""
        if all(hand.call is not None for hand in self.hands) and len(self.hands) < MOST_HANDS:
            if not any(job["state"] in {"queued", "dispatched"} for job in self.seen.jobs.values()):
                self.submit(len(self.model.jobs) % 2, with_key=True, cap_picos=None, key=None)
            self.make_all_due()
            self.dispatch()
            self.deliver(None)
            self.look()

    def owns(self, hand: Hand) -> bool:
        """Whether a hand's claim is still the job's latest."""
        job = self.seen.jobs[hand.claim.job_id]
        return bool(job["state"] == "running" and job["fence"] == hand.claim.fence)

    def hold(self, hand: Hand, wish: Wish) -> None:
        """Let a hand ask for room; it gives up when its job may make no more calls."""
        if hand.claim.billed_calls + hand.billed >= MAX_BILLED_CALLS:
            self._end_job(hand, State.FAILED, ErrorCode.ATTEMPTS_SPENT)
            return
        messages = [{"role": "user", "content": "x" * wish.size}]
        request = ChatRequest(model=MODEL, messages=messages, max_tokens=wish.wanted, stream=True)
        plan = ledger.CallPlan(
            model=MODEL,
            rung="first",
            prompt_version="v",
            turn=new_id().hex,
            messages=messages,
            deadline_s=wish.deadline_s,
        )
        expected = self._expect(hand, wish, input_bound(len(request_body(request)), 1, request.able))

        try:
            admitted = self._transact(
                lambda engine: self._admit(engine, hand.claim, plan, request, wish.floor)
            )
        except LostClaim:
            assert not self.owns(hand), "a claim that stands was refused"
            self.hands.remove(hand)
        except CancelRequested:
            self._end_job(hand, State.CANCELLED, None)
        except ledger.Refused as refused:
            self._check_refused(expected, refused.decision)
            self._give_back(hand, refused.decision)
        else:
            self._check_admitted(hand, expected, admitted)
            hand.call = self._add_call(admitted, expected)

    def _admit(
        self, engine: Engine, claim: Claim, plan: ledger.CallPlan, request: ChatRequest, floor: int
    ) -> ledger.AdmittedCall:
        with patch.object(admission, "datetime", self.clock):
            return admission.admit(engine, claim, plan, request, floor_tokens=floor, prices=self.known_prices)

    def _expect(self, hand: Hand, wish: Wish, entering: int) -> Expected:
        job = self.model.jobs[hand.claim.job_id]
        starts = self._starts()
        highest = dearest(self.price_list.within(self.clock.at, wish.deadline_s))
        limits = list(self.model.limits(job, starts))
        return Expected(
            job=job,
            starts=starts,
            entering=entering,
            highest=highest,
            limits=limits,
            least=bound(entering, wish.floor, highest),
            fitting=largest_fitting(entering, wish.wanted, wish.floor, highest, limits),
        )

    def _check_refused(self, expected: Expected, decision: Decision) -> None:
        if expected.starts != self._starts():
            return  # a window began meanwhile
        assert expected.fitting is None, f"I11 refused although {expected.fitting} tokens fit"
        verdicts = {limit.verdict(expected.least) for limit in expected.limits}
        assert _word(decision) in verdicts, "refused for another reason than there is"

    def _check_admitted(self, hand: Hand, expected: Expected, admitted: ledger.AdmittedCall) -> None:
        assert self.owns(hand), "who has lost its claim was admitted"
        asked_to_stop = self.seen.jobs[expected.job.id]["cancel_requested"]
        assert not asked_to_stop, "a job that is to be cancelled was admitted"
        assert expected.starts != self._starts() or admitted.max_tokens == expected.fitting

    def _add_call(self, admitted: ledger.AdmittedCall, expected: Expected) -> Call:
        job = expected.job
        rows = self.onlooker.execute(_SEEN_THROUGH, admitted.call_id)
        bearing = {budget.id: budget for budget in self.model.budgets.values() if budget.bears_on(job)}
        assert sorted(row["budget_id"] for row in rows) == sorted(bearing), "a budget was passed by"
        for row in rows:
            budget = bearing[row["budget_id"]]
            current = bounds(budget.window, budget.time_zone, row["sent_at"]).starts_at
            assert row["starts_at"] == current, "a call was counted in another time's window"
            known = Window(id=row["id"], budget_id=budget.id, starts_at=current)
            self.model.windows.setdefault(row["id"], known)
        call = Call(
            id=admitted.call_id,
            job_id=job.id,
            windows=tuple(row["id"] for row in rows),
            entering=expected.entering,
            max_tokens=admitted.max_tokens,
            hold=bound(expected.entering, admitted.max_tokens, expected.highest),
            rates=self.price_list.at(self.clock.at),
        )
        self.model.calls[call.id] = call
        for window_id in call.windows:
            self._check_cap(window_id)
        return call

    def _check_cap(self, window_id: uuid.UUID) -> None:
        budget = self.model.budgets[self.model.windows[window_id].budget_id]
        used = self.model.of_window(window_id).used
        assert budget.limit_picos is None or used.picos <= budget.limit_picos, "I1"
        assert budget.limit_tokens is None or used.tokens <= budget.limit_tokens, "I1"

    def send(self, hand: Hand, answer: str, share: tuple[int, int, int]) -> None:
        """Let the request of a hand arrive: the provider decides what it charges, and what is heard of it.

        `share` says in thousandths how much of its bounds the call uses.
        """
        call = hand.call
        assert call is not None
        [row] = self.onlooker.execute("SELECT state FROM calls WHERE id = %s", call.id)
        assert not call.arrived, "I7 a request was sent twice"
        assert row["state"] in {"sent", "uncertain"}, "I7 a request without a hold"
        call.arrived = True
        call.beyond = answer == "excessive"
        entering = call.entering * share[0] // 1_000
        leaving = call.max_tokens * share[2] // 1_000
        if call.beyond:
            entering, leaving = call.entering + share[0], call.max_tokens + share[2]
        spent = Spent(
            input_tokens=entering, cached_tokens=entering * share[1] // 1_000, output_tokens=leaving
        )
        call.truth = None if answer in {"rejected", "broken_free"} else spent
        hand.ending = {
            "answered": _answered(spent),
            "excessive": _answered(spent),
            "uncounted": ledger.Ending(billed=True, phase="answered", spent=None, values=_REPLY),
            "rejected": _REJECTED,
            "broken_free": _UNKNOWN,
            "broken_charged": _UNKNOWN,
        }[answer]

    def settle(self, hand: Hand) -> None:
        """Let a hand write down what it heard, and wake whoever waits for room."""
        assert hand.call is not None
        assert hand.ending is not None
        self.tell(hand.call, hand.ending)
        hand.billed += hand.ending.billed is not False
        hand.call = hand.ending = None

    def tell(self, call: Call, ending: ledger.Ending) -> None:
        """Tell the ledger how a call ended, perhaps not for the first time."""
        job = self.model.jobs[call.job_id]
        waiting = self._waiting(job)
        told = self._transact(partial(self._end, call, ending))
        counted = ending.billed is not True or ending.spent is not None
        state = {True: "settled", False: "void", None: "uncertain"}[ending.billed if counted else None]
        stays = call.state not in {"sent", "uncertain"} or call.state == state
        assert (told is ledger.EndedCall.STAYED) == stays, "a call ended twice, or not at all"
        if stays:
            return
        call.state = state
        if state == "settled" and ending.spent is not None:
            call.used = charged(ending.spent, call.rates)
        shared = bool(call.windows) or job.run_id is not None
        self._check_woken(waiting, freed=shared and state != "uncertain" and call.used != call.hold)

    def evidence(self, call: Call) -> ledger.Ending:
        """Give what the provider's own books say of a call."""
        return _REJECTED if call.truth is None else _answered(call.truth)

    def repeated(self, kind: str) -> ledger.Ending:
        """Give an ending that somebody tells again, or too late."""
        return {
            "answered": _answered(Spent(input_tokens=1, cached_tokens=0, output_tokens=1)),
            "rejected": _REJECTED,
            "unknown": _UNKNOWN,
        }[kind]

    def _end(self, call: Call, ending: ledger.Ending, engine: Engine) -> ledger.EndedCall:
        with one_by_one(engine) as connection:
            return ledger.end_call(connection, call.job_id, call.id, ending)

    def _waiting(self, job: Job) -> Waiting:
        rows = self.onlooker.execute(_WAITING, job.project_id, f"{BUDGET_POLL_S} s")
        return Waiting(every=[row["id"] for row in rows], next=[row["id"] for row in rows if row["soon"]])

    def _check_woken(self, waiting: Waiting, *, freed: bool) -> None:
        due = {row["id"] for row in self.onlooker.execute(_DUE, waiting.every)}
        woken = due.intersection(waiting.next)
        assert woken == set(waiting.next[: len(woken)]), "I11 waiters are not woken in their order"
        enough = len(woken) == len(waiting.next) or len(due) >= ledger.WAKE_LIMIT
        assert enough or not freed, "I11 room is free, and who waits for it was left asleep"

    def finish(self, hand: Hand, *, again: bool) -> None:
        """End a job whose call has ended, or queue it again."""
        if again:
            self._give_back(hand, Wait(after_s=0.0, reason=None, costs_attempt=True))
        else:
            self._end_job(hand, State.SUCCEEDED, None)

    def cancel(self, job: Job) -> None:
        """Ask to stop a job."""
        with self.engine.begin() as connection:
            stored_jobs.cancel(connection, job.project_id, job.id)

    def lose(self, worker_id: uuid.UUID, *, frozen: bool) -> None:
        """Lose a worker; a frozen one may wake when everybody thinks that it is dead."""
        self.workers.remove(worker_id)
        self.dead.add(worker_id)
        if not frozen:
            self.hands = [hand for hand in self.hands if hand.worker_id != worker_id]
        with self.engine.begin() as connection:
            workers.stop(connection, worker_id)
        self.hire()

    def skew(self, minutes: int) -> None:
        """Set the clock of the workers wrong, or right again."""
        self.clock.at = datetime.now(UTC) + timedelta(minutes=minutes)

    def sweep(self) -> None:
        """Let the deadlines of calls pass whose worker is lost, and take the jobs of lost workers back."""
        lost = [row for row in self.seen.jobs.values() if row["worker_id"] in self.dead]
        ids = [row["id"] for row in lost]
        self.onlooker.execute(_LET_DEADLINES_PASS, ids)
        lease = SimpleNamespace(steady=lambda: True, worker_id=new_id())
        parts = {
            "engine": self.engine,
            "lease": lease,
            "running": InHand(),
            "unknown_policy": UnknownPolicy.RETRY,
        }
        swept = Sweeper(cast("Process", SimpleNamespace(**parts)), lease_ttl_s=LEASE_S).sweep()
        assert swept == len(lost), "a lost job was left, or another one taken"
        for call in self.model.calls.values():
            if call.job_id in ids and call.state == "sent":
                call.state = "uncertain"

    def check(self) -> None:
        """Look at everything, and hold it beside the model."""
        self.look()
        assert self.seen.breaches == []
        assert set(self.seen.jobs) == set(self.model.jobs), "I8"
        assert _calls_seen(self.seen) == {each.id: _call_told(each) for each in self.model.calls.values()}
        assert self.model.windows.keys() <= self.seen.windows.keys()
        for window_id, row in self.seen.windows.items():
            unused = Window(id=window_id, budget_id=row["budget_id"], starts_at=row["starts_at"])
            self.model.windows.setdefault(window_id, unused)
            balance = self.model.of_window(window_id)
            for name in ("settled", "held", "uncertain"):
                assert _amount(row, name) == getattr(balance, name), f"I2 {name}"
        for call in self.model.calls.values():
            self._check_truth(call)
        for job_id in self.model.jobs:
            self._check_requests(job_id)

    def _check_truth(self, call: Call) -> None:
        truth = NOTHING if call.truth is None else charged(call.truth, call.rates)
        if call.state == "settled":
            assert call.used == truth, "I6 settled what was not charged"
        elif call.state == "void":
            assert truth == NOTHING, "I6 void, and charged all the same"
        elif not call.beyond:
            assert truth.tokens <= call.hold.tokens, "I6"
            assert truth.picos <= call.hold.picos, "I6"

    def _check_requests(self, job_id: uuid.UUID) -> None:
        calls = [call for call in self.model.calls.values() if call.job_id == job_id]
        maybe_billed = [call for call in calls if call.arrived and call.state != "void"]
        assert len(maybe_billed) <= MAX_BILLED_CALLS, "I7 more requests than a job may make"

    def wipe_redis(self) -> None:
        """Empty Redis."""
        self.redis.flushdb()

    def _transact(self, write: Callable[[Engine], Result]) -> Result:
        broken = self.breaker.broken
        try:
            return write(self.engine)
        except DBAPIError as error:
            if self.breaker.broken == broken or not passes(error):
                raise
            raise Cut from error
        finally:
            self.breaker.arm(None, wholly=False)

    def _restart(self) -> None:
        self.onlooker.close()
        self.restart_postgres()

    def _starts(self) -> dict[uuid.UUID, datetime]:
        [row] = self.onlooker.execute("SELECT now() AS at")
        return {
            budget.id: bounds(budget.window, budget.time_zone, row["at"]).starts_at
            for budget in self.model.budgets.values()
        }

    def _give_back(self, hand: Hand, decision: Decision) -> None:
        if isinstance(decision, Fail):
            self._end_job(hand, State.FAILED, decision.code)
            return

        def write(connection: Connection) -> None:
            claims.release(
                connection,
                hand.claim.job_id,
                hand.claim.fence,
                reason=decision.reason,
                after_s=decision.after_s,
                refund=not decision.costs_attempt,
            )

        self._leave(hand, write)

    def _end_job(self, hand: Hand, state: State, code: ErrorCode | None) -> None:
        error = None if code is None else {"code": code, "message": "", "retryable": True, "details": {}}
        outcome = Outcome.VERIFIED if state is State.SUCCEEDED else None

        def write(connection: Connection) -> None:
            claims.finish(
                connection, hand.claim.job_id, hand.claim.fence, state, outcome=outcome, error=error
            )

        self._leave(hand, write)

    def _leave(self, hand: Hand, write: Callable[[Connection], None]) -> None:
        try:
            with self.engine.begin() as connection:
                write(connection)
        except LostClaim:
            assert not self.owns(hand), "a claim that stands was refused"
        except CancelRequested:
            with self.engine.begin() as connection:
                claims.finish(connection, hand.claim.job_id, hand.claim.fence, State.CANCELLED)
        self.hands.remove(hand)


def _task(number: int) -> Task:
    source = f"NUMBER = {number}\n"
    return Task(
        kind=KindName.FIX,
        path=f"{number}.py",
        language="python",
        source=source,
        findings=(),
        instruction="mend",
    )


def _amount(row: dict[str, Any], name: str) -> Amount:
    return Amount(tokens=row[f"{name}_tokens"], picos=row[f"{name}_picos"])


def _calls_seen(seen: Seen) -> dict[uuid.UUID, tuple[Any, ...]]:
    return {
        each["id"]: (
            each["state"],
            each["max_tokens"],
            _amount(each, "hold"),
            Rates(
                input_picos=each["input_picos"],
                cached_picos=each["cached_picos"],
                output_picos=each["output_picos"],
            ),
            each["cost_picos"],
        )
        for each in seen.calls.values()
    }


def _call_told(call: Call) -> tuple[Any, ...]:
    return call.state, call.max_tokens, call.hold, call.rates, call.used.picos


def _answered(spent: Spent) -> ledger.Ending:
    usage = {"prompt_tokens": spent.input_tokens, "completion_tokens": spent.output_tokens}
    return ledger.Ending(billed=True, phase="answered", spent=spent, values={**_REPLY, "usage": usage})


def _word(decision: Decision) -> str:
    """Give the model's word for what followed a refusal."""
    if isinstance(decision, Wait):
        return "wait" if decision.after_s == BUDGET_POLL_S else "reset"
    return "over" if decision.code is ErrorCode.OVER_BUDGET else "exhausted"


_REPLY = {"reply": "text", "finish_reason": "stop"}
_REJECTED = ledger.Ending(billed=False, phase="rejected", spent=None, values={"status": 503})
_UNKNOWN = ledger.Ending(billed=None, phase="unknown", spent=None, values={})
_SEEN_THROUGH = """
    SELECT w.id, w.budget_id, w.starts_at, c.sent_at FROM call_windows v
    JOIN windows w ON w.id = v.window_id JOIN calls c ON c.id = v.call_id WHERE v.call_id = %s
"""
_DUE = "SELECT id FROM jobs WHERE id = ANY(%s) AND run_at <= now()"
_LET_DEADLINES_PASS = """
    UPDATE calls SET deadline_at = now() - interval '1 day' WHERE job_id = ANY(%s) AND state = 'sent'
"""
_WAITING = """
    SELECT id, project_id = %s AND run_at <= now() + %s::interval AS soon FROM jobs
    WHERE state = 'queued' AND wait_reason = 'budget' AND run_at > now() ORDER BY id
"""
