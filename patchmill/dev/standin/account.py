"""The management API under `/api/v1/me`: balance, use and payments, told from the truth ledger."""

import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from patchmill.dev.standin.catalogue import CONTEXT_TOKENS, MODELS, PICOS_PER_USD
from patchmill.dev.standin.gateway import Gateway
from patchmill.dev.standin.ledger import Billing, LedgerRow
from patchmill.dev.standin.refusal import Refusal, invalid_api_key, invalid_param

KEPT = timedelta(days=90)
_DIMENSIONS = ("hour", "model")
_LOW_PART = 10  # the balance is low once a tenth of what was paid in is left


class Account:
    """Handlers over one gateway's ledger; as the chat route does, they ask for a key."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._opened_at = datetime.now(UTC).replace(microsecond=0)

    def routes(self) -> list[Route]:
        """The routes, to be mounted at `/`."""
        return [
            Route("/api/v1/me/account", self.show_account, methods=["GET"]),
            Route("/api/v1/me/usage", self.show_usage, methods=["GET"]),
            Route("/api/v1/me/billing/transactions", self.show_transactions, methods=["GET"]),
        ]

    async def show_account(self, request: Request) -> Response:
        """What is left in the wallet, and the models that the key may reach."""
        self._gateway.authenticate(request.headers.raw)
        if fault := await self._fault():
            return fault
        paid = self._gateway.money.wallet_picos
        left = paid - self._gateway.ledger.spending.total
        models = [
            {
                "model": card.name,
                "max_output_tokens": card.max_output_tokens,
                "context_tokens": CONTEXT_TOKENS,
                "spend_cap_usd": None,
            }
            for card in MODELS.values()
            if card.name not in self._gateway.out_of_reach
        ]
        return JSONResponse(
            {
                "balance": {
                    "available_usd": usd(max(0, left)),
                    "low_balance_flagged": left * _LOW_PART <= paid,
                },
                "allowed_models": models,
            }
        )

    async def show_usage(self, request: Request) -> Response:
        """What all keys of the account used, in buckets by hour, by model, or by both; 90 days back."""
        self._gateway.authenticate(request.headers.raw)
        if fault := await self._fault():
            return fault
        now = datetime.fromtimestamp(time.time(), UTC)
        since = max(_instant(request, "since", now - KEPT), now - KEPT)
        until = _instant(request, "until", now)
        if until < since:
            raise invalid_param("until", "until: is before since.")
        asked = request.query_params.get("group_by", "")
        dimensions = [name for name in asked.split(",") if name]
        unknown = [name for name in dimensions if name not in _DIMENSIONS]
        if unknown:
            raise invalid_param("group_by", f"group_by: {', '.join(_DIMENSIONS)} are known.")
        data = _buckets(self._filed(since, until, now), dimensions)
        return JSONResponse({"since": _written(since), "until": _written(until), "data": data})

    def _filed(self, since: datetime, until: datetime, now: datetime) -> list[tuple[datetime, LedgerRow]]:
        """The rows that are in buckets by now, each with the time that it is filed under."""
        behaviour = self._gateway.behaviour.account
        lag, shift = timedelta(seconds=behaviour.lag_s), timedelta(seconds=behaviour.clock_s)
        arrived = [(datetime.fromisoformat(row.at), row) for row in self._gateway.ledger.rows]
        filed = [(at + shift, row) for at, row in arrived if not lag or at <= now - lag]
        return [(at, row) for at, row in filed if since <= at <= until]

    async def _fault(self) -> Response | None:
        """What is answered in place of the account, if it is to fail."""
        match self._gateway.behaviour.account.fault:
            case None:
                return None
            case "html_200":
                return Response("<html><body>Bad gateway</body></html>", media_type="text/html")
            case "garbage":
                return JSONResponse({"balance": "much", "data": [{"hour": "soon", "call_count": -1}]})
            case "hang":
                await self._gateway.release_signal.wait()
                return None
            case "401":
                raise invalid_api_key()
            case "404":
                raise Refusal(status=404, code="not_found", message="Not Found.")
            case status:
                raise Refusal(status=int(status), code="internal_error", message="The account is away.")

    async def show_transactions(self, request: Request) -> Response:
        """Top-ups, refunds and adjustments: the stand-in has had one top-up, when it was started."""
        self._gateway.authenticate(request.headers.raw)
        if fault := await self._fault():
            return fault
        top_up = {
            "id": "txn-stand-in-1",
            "type": "top_up",
            "amount_usd": usd(self._gateway.money.wallet_picos),
            "created_at": _written(self._opened_at),
            "description": "No money: the stand-in gateway made it up.",
        }
        return JSONResponse({"data": [top_up]})


def _buckets(rows: Iterable[tuple[datetime, LedgerRow]], dimensions: list[str]) -> list[dict[str, Any]]:
    """Sum what was billed, one bucket for each combination that occurs, in order."""
    sums: dict[tuple[str, ...], list[int]] = {}
    for at, row in rows:
        if row.outcome is not Billing.BILLED:
            continue
        hour = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        values = {"hour": _written(hour), "model": row.model or ""}
        total = sums.setdefault(tuple(values[name] for name in dimensions), [0, 0, 0, 0])
        for index, amount in enumerate((row.cost_picos, row.input_tokens, row.output_tokens, 1)):
            total[index] += amount
    return [
        {
            **dict(zip(dimensions, group, strict=True)),
            "total_usd": usd(total[0]),
            "input_tokens": total[1],
            "output_tokens": total[2],
            "call_count": total[3],
        }
        for group, total in sorted(sums.items())
    ]


def _instant(request: Request, name: str, default: datetime) -> datetime:
    text = request.query_params.get(name)
    if text is None:
        return default
    try:
        read = datetime.fromisoformat(text)
        if read.tzinfo is not None:
            return read.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise invalid_param(name, f"{name}: must be a time with an offset, such as 2026-11-22T12:00:00Z.")


def _written(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def usd(picos: int) -> str:
    """US dollars as an exact decimal, without a float on the way."""
    whole, part = divmod(picos, PICOS_PER_USD)
    return f"{whole}.{part:012d}".rstrip("0").rstrip(".")
