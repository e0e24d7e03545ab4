"""Limits of budgets: read from a request, and refused when no call could ever fit them."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from api.budget_shapes import LimitBody, LimitChange
from api.database import Connection
from api.parts import Parts
from patchmill.budget.ledger import smallest_hold
from patchmill.budget.models import capability_of
from patchmill.budget.prices import from_usd, highest_rates, to_usd
from patchmill.edit.formats import DEFAULT, EDIT_FORMATS
from patchmill.errors import BelowMinimumHold, FieldError, InvalidFields
from patchmill.kinds import KINDS
from patchmill.store import prices

Limits = Mapping[str, int | None]


def limits_of(asked: LimitBody | LimitChange, *, of: Limits | None = None) -> dict[str, int | None]:
    """Give the columns of a limit, those `of` a budget where nothing was said.

    Raises:
        InvalidFields: no limit is left.
    """
    limits = {"limit_picos": None, "limit_tokens": None, **(of or {})}
    if "usd" in asked.model_fields_set:
        limits["limit_picos"] = None if asked.usd is None else from_usd(asked.usd)
    if "tokens" in asked.model_fields_set:
        limits["limit_tokens"] = asked.tokens
    if limits["limit_picos"] is None and limits["limit_tokens"] is None:
        raise InvalidFields([FieldError("/limit", "missing", "give usd, tokens, or both")])
    return limits


def refuse_useless(connection: Connection, parts: Parts, limits: Limits, now: datetime) -> None:
    """Refuse a limit that no call could ever fit; without a price there is no call to compare with."""
    limit_picos, limit_tokens = limits["limit_picos"], limits["limit_tokens"]
    until = now + timedelta(seconds=parts.call_deadline_s)
    rates = highest_rates(prices.prices_of(connection, parts.policy.model), now, until)
    if rates is None:
        return
    rules, able = EDIT_FORMATS[DEFAULT].instructions, capability_of(parts.policy.model)
    smallest = min(
        (
            smallest_hold(len(f"{kind.rules}{rules}".encode()), kind.floor_tokens, able, rates)
            for kind in KINDS.values()
        ),
        key=lambda hold: hold.picos,
    )
    said = f"no call would fit in this limit: the smallest one to {parts.policy.model}"
    if limit_picos is not None and limit_picos < smallest.picos:
        raise BelowMinimumHold(f"{said} holds {to_usd(smallest.picos)} US dollars")
    if limit_tokens is not None and limit_tokens < smallest.tokens:
        raise BelowMinimumHold(f"{said} holds {smallest.tokens} tokens")
