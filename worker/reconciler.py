"""Holds what the gateway says that it billed against the ledger, now and then, in one worker at a time.

The gateway is asked on a thread of its own, since the clock has other duties. Whatever goes wrong leaves
everything as it was, and is said once.
"""

import hashlib
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from patchmill.budget.prices import PICOS_PER_USD, to_usd
from patchmill.budget.reconciliation import HOUR, Proof, Use, Verdict, hour_of, prove, whole_hours
from patchmill.call.account import Account, AccountClient, AccountUnavailable, UsageBucket
from patchmill.errors import Conflict
from patchmill.store import accounts, decisions, reconciliations, shared_time
from patchmill.store.engine import passes, trouble
from patchmill.store.ids import to_edge
from patchmill.store.reconciliations import LOOKS_BACK, NEAR, Compared
from patchmill.telemetry import get_logger

EVERY_S = 600.0
UNSUPPORTED_EVERY_S = 24 * 3600.0
PROOF_AFTER = timedelta(hours=1)  # for so long the gateway must have said the same, before it is evidence
_NO_SUCH_ROUTE = frozenset({404, 405, 501})

log = get_logger(__name__)


class Unreadable(Exception):
    """What the gateway told cannot be compared; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What one look at the account told: of each hour, what was billed by model."""

    account: Account
    billed: dict[datetime, dict[str, Use]]
    clock_agrees: bool


class Reconciler:
    """Reads the account of one key, `alone` if nobody else uses it; `look` does it now, `tick` in turn."""

    def __init__(
        self,
        engine: Engine,
        *,
        base_url: str,
        api_key: str,
        alone: bool,
        now: Callable[[], datetime] = shared_time.now,
        timeout_s: float = 10.0,
    ) -> None:
        self._engine = engine
        self._base_url = base_url
        self._api_key = api_key
        self._alone = alone
        self._now = now
        self._timeout_s = timeout_s
        self._identity = hashlib.sha256(f"{base_url}\0{api_key}".encode()).hexdigest()[:32]
        self._thread: threading.Thread | None = None

    def tick(self) -> None:
        """Begin a look if it is this process's turn; another one that lasts still is left to end."""
        if self._thread is not None and self._thread.is_alive():
            return
        with self._engine.begin() as connection:
            mine = accounts.take_turn(connection, self._identity, every_s=EVERY_S, now=self._now())
        if mine:
            self._thread = threading.Thread(target=self._guarded, name="reconciler", daemon=True)
            self._thread.start()

    def _guarded(self) -> None:
        try:
            self.look()
        except Exception as error:  # whatever it is, the next turn tries again
            if isinstance(error, SQLAlchemyError) and passes(error):
                log.warning("the account was not compared: postgres is away", **trouble(self._engine, error))
            else:
                log.exception("unexpected error while the account was compared")

    def look(self) -> list[Compared]:
        """Read the account and compare each hour of the last days; nothing is given where that failed."""
        now = self._now()
        with self._engine.begin() as connection:
            since = accounts.meet(connection, self._identity, now=now)
        hours = whole_hours(since, now, back=LOOKS_BACK)
        try:
            told = self._read(hours)
        except AccountUnavailable as error:
            self._failed(error, now)
            return []
        except Unreadable as error:
            self._problem(str(error), now)
            return []
        compared = self._compare(hours, told, now)
        for each in compared:
            _tell(each)
        if self._alone:
            self._take_evidence(compared, told, now)
        return compared

    def _read(self, hours: Sequence[datetime]) -> _Told:
        with AccountClient(
            base_url=self._base_url,
            api_key=self._api_key,
            now=shared_time.now,
            timeout_s=self._timeout_s,
        ) as client:
            account = client.account()
            buckets = client.usage(since=hours[0], until=hours[-1] + HOUR) if hours else ()
            heard = client.heard
        date = None if heard is None else heard.date
        return _Told(
            account=account,
            billed=_by_hour(buckets),
            clock_agrees=date is not None and abs(date - shared_time.now()) <= NEAR,
        )

    def _compare(self, hours: Sequence[datetime], told: _Told, now: datetime) -> list[Compared]:
        """Compare hour by hour, each in a transaction of its own, since there may be many calls."""
        compared: list[Compared] = []
        for hour in hours:
            with self._engine.begin() as connection:
                theirs = told.billed.get(hour, {})
                compared += reconciliations.compare(connection, hour, theirs, alone=self._alone, now=now)
        with self._engine.begin() as connection:
            reconciliations.forget_old(connection, now)
            left = told.account.available_usd
            accounts.note_balance(
                connection,
                None if left is None else int(left * PICOS_PER_USD),
                low_balance=told.account.low_balance,
                now=now,
            )
        return compared

    def _failed(self, error: AccountUnavailable, now: datetime) -> None:
        if error.http_status not in _NO_SUCH_ROUTE:
            self._problem(error.failure.message, now)
            return
        with self._engine.begin() as connection:
            is_news = accounts.note_unsupported(connection, again_after_s=UNSUPPORTED_EVERY_S)
        if is_news:
            log.info("the gateway does not tell its account; nothing is compared with it")

    def _problem(self, message: str, now: datetime) -> None:
        with self._engine.begin() as connection:
            is_news = accounts.note_problem(connection, message, now=now)
        if is_news:
            log.warning("the gateway's account cannot be read; nothing is changed", said=message)

    def _take_evidence(self, compared: Sequence[Compared], told: _Told, now: datetime) -> None:
        """End uncertain calls where the numbers leave one explanation alone."""
        asked = [
            each
            for each in compared
            if each.ours.uncertain_calls
            and not each.on_the_wire
            and now - each.now.billed_since >= PROOF_AFTER
        ]
        if asked and not told.clock_agrees:
            log.info("the gateway's clock differs, or is not told; its account is no evidence")
            return
        with self._engine.begin() as connection:
            filled = reconciliations.filled_until(connection)
        for each in asked:
            proof = self._proof(each)
            # That nothing was billed is shown only once the gateway is seen to have come so far.
            seen = filled is not None and each.now.hour <= filled
            if proof is not None and (proof.billed is not None or seen):
                self._end_calls(each, proof)

    def _proof(self, each: Compared) -> Proof | None:
        with self._engine.begin() as connection:
            uncertain = reconciliations.uncertain_in(connection, each.now.hour, each.now.model)
            tried = reconciliations.tried(connection, each.now.hour)
        if tried or len(uncertain) != each.ours.uncertain_calls:
            return None
        return prove(each.now.billed, each.ours, each.now.verdict, uncertain[0][1])

    def _end_calls(self, each: Compared, proof: Proof) -> None:
        with self._engine.begin() as connection:
            uncertain = reconciliations.uncertain_in(connection, each.now.hour, each.now.model)
        for call_id, _ in uncertain:
            decision = decisions.Decision(
                billed=proof.billed,
                ground=decisions.RECONCILIATION,
                reason=_reason(each, proof),
                evidence=_numbers(each),
            )
            try:
                with self._engine.begin() as connection:
                    decisions.decide(connection, call_id, decision, actor=decisions.NUMBERS)
            except Conflict:  # its answer has come after all
                continue
            cost = "0" if proof.billed is None else to_usd(proof.billed.picos)
            log.info("an uncertain call is decided", call=to_edge("call", call_id), cost_usd=cost)


def _by_hour(buckets: Sequence[UsageBucket]) -> dict[datetime, dict[str, Use]]:
    found: dict[datetime, dict[str, Use]] = defaultdict(dict)
    for each in buckets:
        if each.hour is None or each.model is None or each.hour != hour_of(each.hour):
            raise Unreadable("the gateway's account of use is not told by hours and models")
        use = Use(
            calls=each.calls,
            input_tokens=each.input_tokens,
            output_tokens=each.output_tokens,
            picos=_picos(each.total_usd),
        )
        found[each.hour][each.model] = found[each.hour].get(each.model, Use()).plus(use)
    return found


def _picos(usd: Decimal) -> int:
    picos = int(usd * PICOS_PER_USD)
    if picos < 0:
        raise Unreadable("the gateway's account of use tells a cost below zero")
    return picos


def _tell(each: Compared) -> None:
    drifts, drifted = (verdict is Verdict.DRIFT for verdict in (each.now.verdict, each.before))
    if drifts == drifted:
        return
    told = {
        "hour": each.now.hour.isoformat(),
        "model": each.now.model,
        "calls_difference": each.now.billed.calls - each.now.settled.calls,
        "tokens_difference": each.now.billed.tokens - each.now.settled.tokens,
        "usd_difference": to_usd(each.now.billed.picos - each.now.settled.picos),
    }
    if drifts:
        log.warning("drift: the gateway's account and the ledger differ, and nothing explains it", **told)
    else:
        log.info("drift ended", verdict=each.now.verdict, **told)


def _reason(each: Compared, proof: Proof) -> str:
    what = "was not billed" if proof.billed is None else "was billed for all that is more than settled"
    return f"by the gateway's account of {each.now.hour:%Y-%m-%d %H:%M} UTC, {each.now.model}: it {what}"


def _numbers(each: Compared) -> dict[str, object]:
    def of(use: Use) -> dict[str, object]:
        return {
            "calls": use.calls,
            "input_tokens": use.input_tokens,
            "output_tokens": use.output_tokens,
            "usd": to_usd(use.picos),
        }

    return {
        "hour": each.now.hour.isoformat(),
        "model": each.now.model,
        "billed": of(each.now.billed),
        "settled": of(each.now.settled),
        "uncertain_calls": each.now.uncertain_calls,
        "unchanged_since": each.now.billed_since.isoformat(),
    }
