"""The gateway's account and catalogue: what is left, what was used, what was paid. Asking is free."""

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import httpx

from patchmill.call.address import checked_key, endpoint, management
from patchmill.call.failures import clean, error_in, failure_of_status, read_report
from patchmill.call.headers import date_of, quota_of, usd
from patchmill.call.reply import Quota
from patchmill.call.storable import storable
from patchmill.errors import PatchmillError
from patchmill.job.failure import Failure, FailureClass

TIMEOUT_S = 10.0
MAX_BODY_BYTES = 8 * 1024 * 1024
LONGEST_NAME = 200
_MOST = 10**15

_log = logging.getLogger(__name__)
Entry = TypeVar("Entry")


class AccountUnavailable(PatchmillError):
    """The gateway did not tell what it was asked: `failure` says why, `http_status` what it answered with."""

    code = "gateway_account_unavailable"
    title = "The gateway's account cannot be read"
    retryable = True

    def __init__(self, failure: Failure, http_status: int | None) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.http_status = http_status


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedModel:
    """A model that the key may reach, with its own caps; None for what was not said."""

    model: str
    context_tokens: int | None
    output_tokens: int | None
    spend_cap_usd: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The wallet: what is left in it (None: not said), whether that is little, and what the key may reach."""

    available_usd: Decimal | None
    low_balance: bool
    allowed_models: tuple[AllowedModel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageBucket:
    """What was billed, of one hour and one model where it was asked for by them."""

    hour: datetime | None
    model: str | None
    total_usd: Decimal
    input_tokens: int
    output_tokens: int
    calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """A top-up, a refund or an adjustment."""

    id: str
    kind: str
    amount_usd: Decimal
    at: datetime | None
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedModel:
    """A model of the catalogue; None for what was not said."""

    model: str
    context_tokens: int | None
    output_tokens: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What the headers of a response told beside its body: the gateway's time, and what is left."""

    date: datetime | None
    quota: Quota


class AccountClient:
    """Reads the account of one key, synchronously; closed by `close`, or used as a context manager.

    Nothing is required of the answers but what makes an entry an entry: one without it is left out and
    logged (of `usage`: refused). Every method takes at most about twice `timeout_s` seconds and raises
    AccountUnavailable. `heard` is what the headers of the last response told, None before there was one.

    Raises:
        ConfigurationError: the URL is not HTTP, or the key cannot stand in a header.
    """

    def __init__(
        self, *, base_url: str, api_key: str, now: Callable[[], datetime], timeout_s: float = TIMEOUT_S
    ) -> None:
        self._base_url = base_url
        self._models_url = endpoint(base_url, "models")
        self._key = checked_key(api_key)
        self._now = now
        self._timeout_s = timeout_s
        self.heard: Heard | None = None
        self._client = httpx.Client(
            timeout=timeout_s,
            trust_env=False,
            follow_redirects=False,
            verify=httpx.create_ssl_context(verify=self._models_url.scheme == "https"),
            headers={
                "Authorization": f"Bearer {self._key}",
                "Accept": "application/json",
                "User-Agent": "patchmill",
            },
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self._client.close()

    def account(self) -> Account:
        """Read what is left, and which models the key may reach."""
        document = self._get(management(self._base_url, "account"), {})
        balance = _mapping(document.get("balance"))
        return Account(
            available_usd=usd(balance.get("available_usd")),
            low_balance=balance.get("low_balance_flagged") is True,
            allowed_models=tuple(_each(document.get("allowed_models"), _allowed_model)),
        )

    def usage(
        self,
        *,
        since: datetime,
        until: datetime,
        group_by: Sequence[Literal["hour", "model"]] = ("hour", "model"),
    ) -> tuple[UsageBucket, ...]:
        """Read what was billed between two aware times, at most 90 days back, in buckets.

        One that cannot be read makes all of them useless: they are there to be summed up.
        """
        asked = {"since": _written(since), "until": _written(until), "group_by": ",".join(group_by)}
        entries = self._entries(management(self._base_url, "usage"), asked)
        buckets = [_bucket(_mapping(entry)) for entry in entries]
        if None in buckets:
            raise _unreadable("the gateway listed use that cannot be read")
        return tuple(each for each in buckets if each is not None)

    def transactions(self) -> tuple[Transaction, ...]:
        """Read the top-ups, refunds and adjustments."""
        return self._list(management(self._base_url, "billing/transactions"), _transaction, {})

    def models(self) -> tuple[ListedModel, ...]:
        """Read the catalogue."""
        return self._list(self._models_url, _listed_model, {})

    def _list(
        self, url: httpx.URL, read: Callable[[Any], Entry | None], asked: Mapping[str, str]
    ) -> tuple[Entry, ...]:
        return tuple(_each(self._entries(url, asked), read))

    def _entries(self, url: httpx.URL, asked: Mapping[str, str]) -> list[Any]:
        entries = self._get(url, asked).get("data")
        if not isinstance(entries, list):
            raise _unreadable("the gateway's answer has no list of data")
        return entries

    def _get(self, url: httpx.URL, asked: Mapping[str, str]) -> Mapping[str, Any]:
        try:
            with self._client.stream("GET", url.copy_merge_params(asked)) as response:
                self.heard = Heard(date=date_of(response.headers), quota=quota_of(response.headers))
                body = self._body(response)
        except httpx.HTTPError as error:
            message = clean(str(error), secret=self._key) or type(error).__name__
            raise AccountUnavailable(Failure(failure=FailureClass.CONNECT, message=message), None) from error
        if not response.is_success:
            report = read_report(error_in(body), secret=self._key)
            failure = failure_of_status(response.status_code, report, response.headers, now=self._now())
            raise AccountUnavailable(failure, response.status_code)
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            raise _unreadable("the gateway answered with something other than JSON") from None
        if not isinstance(document, dict):
            raise _unreadable("the gateway answered with JSON that is not an object")
        return document

    def _body(self, response: httpx.Response) -> bytes:
        """Read the body, within the time and size that it may take."""
        body = bytearray()
        ends_at = time.monotonic() + self._timeout_s
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise _unreadable(f"the gateway's answer is larger than {MAX_BODY_BYTES} bytes")
            if time.monotonic() > ends_at:
                raise _unreadable(f"the gateway's answer took longer than {self._timeout_s:g} s")
        return bytes(body)


def _unreadable(message: str) -> AccountUnavailable:
    return AccountUnavailable(Failure(failure=FailureClass.BROKEN, message=message), 200)


def _each(entries: object, read: Callable[[Any], Entry | None]) -> Iterator[Entry]:
    for entry in entries if isinstance(entries, list) else []:
        made = read(_mapping(entry))
        if made is None:
            _log.warning(
                "the gateway listed something that cannot be read: %s", clean(repr(entry), secret="")
            )
        else:
            yield made


def _allowed_model(entry: Mapping[str, Any]) -> AllowedModel | None:
    name = _text(entry.get("model")) or _text(entry.get("id"))
    if name is None:
        return None
    return AllowedModel(
        model=name,
        context_tokens=_count(entry.get("context_tokens")),
        output_tokens=_count(entry.get("max_output_tokens")),
        spend_cap_usd=usd(entry.get("spend_cap_usd")),
    )


def _listed_model(entry: Mapping[str, Any]) -> ListedModel | None:
    name = _text(entry.get("id"))
    if name is None:
        return None
    return ListedModel(
        model=name,
        context_tokens=_count(entry.get("context_tokens")),
        output_tokens=_count(entry.get("max_output_tokens")),
    )


def _bucket(entry: Mapping[str, Any]) -> UsageBucket | None:
    total = usd(entry.get("total_usd"))
    counts = [_count(entry.get(name)) for name in ("input_tokens", "output_tokens", "call_count")]
    entering, leaving, calls = counts
    if total is None or entering is None or leaving is None or calls is None:
        return None
    return UsageBucket(
        hour=_instant(entry.get("hour")),
        model=_text(entry.get("model")),
        total_usd=total,
        input_tokens=entering,
        output_tokens=leaving,
        calls=calls,
    )


def _transaction(entry: Mapping[str, Any]) -> Transaction | None:
    name, amount = _text(entry.get("id")), usd(entry.get("amount_usd"))
    if name is None or amount is None:
        return None
    return Transaction(
        id=name,
        kind=_text(entry.get("type")) or "",
        amount_usd=amount,
        at=_instant(entry.get("created_at")),
        description=_text(entry.get("description")) or "",
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return storable(value)[:LONGEST_NAME] if isinstance(value, str) and value else None


def _count(value: object) -> int | None:
    return value if type(value) is int and 0 <= value <= _MOST else None


def _instant(value: object) -> datetime | None:
    try:
        read = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return None if read is None or read.tzinfo is None else read.astimezone(UTC)


def _written(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
