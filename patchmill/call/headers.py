"""The quota headers of a response, which may come with any status, in part, or not at all."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime

from patchmill.call.reply import Quota

# More than anybody has; a larger number is a broken header.
_MOST_USD = Decimal(10) ** 12
_LONGEST_NUMBER = 40
_LAST_TIMESTAMP = 253_402_300_799


def quota_of(headers: Mapping[str, str]) -> Quota:
    """Read the quota headers; `headers` is looked up by lower-case name."""
    return Quota(
        limit_usd=usd(headers.get("x-ratelimit-limit")),
        remaining_usd=usd(headers.get("x-ratelimit-remaining")),
        reset_at=_instant(headers.get("x-ratelimit-reset")),
        key_usd=usd(headers.get("x-quota-remaining-credits")),
        org_usd=usd(headers.get("x-org-quota-remaining-credits")),
    )


def usd(value: object) -> Decimal | None:
    """Read an amount of US dollars, from text or a JSON number; what cannot be one is None."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = str(value).strip()
    if len(text) > _LONGEST_NUMBER:
        return None
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and abs(amount) <= _MOST_USD else None


def date_of(headers: Mapping[str, str]) -> datetime | None:
    """Read the gateway's own time, in whole seconds; `headers` is looked up by lower-case name."""
    try:
        told = parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return told.replace(tzinfo=told.tzinfo or UTC)


def _instant(text: str | None) -> datetime | None:
    seconds = usd(text)
    if seconds is None or not 0 < seconds <= _LAST_TIMESTAMP:
        return None
    return datetime.fromtimestamp(float(seconds), UTC)
