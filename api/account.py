"""The account at the gateway as documents say it: balance, when it is used up, and how it compares."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from api.account_shapes import Balance, BalanceForecast, Difference, Reconciliation, Used
from api.database import Connection
from patchmill.budget.prices import to_usd
from patchmill.budget.reconciliation import HOUR, Use, Verdict, exhausted_at, whole_hours
from patchmill.store import accounts, decisions, reconciliations
from patchmill.store.accounts import AccountRow
from patchmill.store.reconciliations import LOOKS_BACK, Comparison

MOST = 50
RECENT = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """How the account stands."""

    balance: Balance | None
    forecast: BalanceForecast
    reconciliation: Reconciliation


def account_of(connection: Connection, now: datetime) -> Account:
    """Read how the account stands, as it was last looked at."""
    row = accounts.read(connection)
    drift = reconciliations.drifting(connection, since=now - LOOKS_BACK - HOUR, most=MOST)
    told = row if row is not None and row.available_picos is not None and row.balance_at else None
    return Account(
        balance=None if told is None else _balance(told),
        forecast=_forecast(connection, row),
        reconciliation=Reconciliation(
            state=_state(row, drift),
            message=None if row is None else row.problem,
            looked_at=None if row is None else row.looked_at,
            uncertain_calls=decisions.count_uncertain(connection),
            drift=[difference_of(each) for each in drift],
        ),
    )


def difference_of(each: Comparison) -> Difference:
    """Give an hour as documents say it."""
    return Difference(
        hour=each.hour,
        model=each.model,
        verdict=each.verdict,
        billed=_used(each.billed),
        settled=_used(each.settled),
        uncertain_calls=each.uncertain_calls,
        uncertain_usd=to_usd(each.uncertain.picos),
        since=each.drifted_at if each.verdict is Verdict.DRIFT else None,
        message=sentence_of(each),
    )


def sentence_of(each: Comparison) -> str:
    """Say in words by how much the gateway's account differs from the ledger."""
    excess = each.billed.minus(each.settled)
    money = f"${to_usd(abs(excess.picos))} {'more' if excess.picos > 0 else 'less'}"
    if excess.calls:
        count = abs(excess.calls)
        calls = f"{count} call{'' if count == 1 else 's'}"
        what = "more was billed than was made" if excess.calls > 0 else "that we settled is not billed"
        if count > 1:
            what = what.replace("was billed", "were billed").replace("is not", "are not")
            what = what.replace("than was made", "than were made")
        return f"{calls} {what}: {money}"
    if excess.tokens or excess.input_tokens:
        return f"the same calls are billed for other tokens: {money}"
    if excess.picos:
        return f"the same calls and tokens are billed at other prices: {money}"
    return "both say the same"


def _balance(row: AccountRow) -> Balance:
    return Balance.model_validate(
        {"available_usd": to_usd(row.available_picos or 0), "low": row.low_balance, "at": row.balance_at}
    )


def _state(row: AccountRow | None, drift: list[Comparison]) -> Any:
    if drift:
        return "drift"
    if row is not None and not row.supported:
        return "unsupported"
    if row is not None and row.problem is not None:
        return "unavailable"
    return "pending" if row is None or row.looked_at is None else "ok"


def _forecast(connection: Connection, row: AccountRow | None) -> BalanceForecast:
    """Let spending go on as in the last hours that were compared, at most 24, of all who use the account."""
    if row is None or row.looked_at is None:
        return BalanceForecast(exhausted_at=None, spent_usd="0", over_hours=0)
    hours = whole_hours(row.known_since, row.looked_at, back=RECENT)
    spent = reconciliations.billed_since(connection, hours[0]) if hours else 0
    used_up = None
    if row.available_picos is not None and row.balance_at is not None:
        used_up = exhausted_at(row.available_picos, spent, over=len(hours) * HOUR, now=row.balance_at)
    return BalanceForecast(exhausted_at=used_up, spent_usd=to_usd(spent), over_hours=len(hours))


def _used(use: Use) -> Used:
    return Used(
        calls=use.calls,
        input_tokens=use.input_tokens,
        output_tokens=use.output_tokens,
        usd=to_usd(use.picos),
    )
