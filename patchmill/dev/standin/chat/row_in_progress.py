"""The row of a request that is being served: filled as it goes on, and written once."""

from patchmill.dev.standin.catalogue import MODELS
from patchmill.dev.standin.chat.request import ChatRequest
from patchmill.dev.standin.gateway import Gateway
from patchmill.dev.standin.ledger import Billing, LedgerRow, now
from patchmill.dev.standin.tokens import PromptCache

CLIENT_CLOSED_STATUS = 499


class RowInProgress:
    """What is known of one request so far; the first settlement is the one that counts.

    `model_asked` says whether a client that leaves now is billed, for its input and for `output_tokens`.
    """

    def __init__(self, gateway: Gateway, *, request_id: str, key: str | None) -> None:
        self._gateway = gateway
        self.request_id = request_id
        self.key = key
        self.request: ChatRequest | None = None
        self.messages_sha256: str | None = None
        self.stream = False
        self.input_tokens = 0
        self.cached_tokens = 0
        self.output_tokens = 0
        self.model_asked = False
        self.wire_case: str | None = None
        self.admitted = False
        self._arrived_at = now()
        self._blocks: tuple[bytes, ...] = ()
        self._settled = False
        gateway.ledger.arrive()

    def read_cache(self, request: ChatRequest) -> None:
        """Find out how much of the input is in the prompt cache."""
        cache = self._gateway.cache
        self._blocks = PromptCache.blocks(request.model, request.counted)
        self.cached_tokens = min(cache.cached_tokens(self._blocks), self.input_tokens)

    def refuse(self, status: int, code: str | None) -> None:
        """End without a bill: the request is refused."""
        self._settle(status, Billing.NOT_BILLED, finish=None, code=code)

    def spoil(self, finish: str | None = None) -> None:
        """End without a bill, though the status is 200."""
        self._settle(200, Billing.NOT_BILLED, finish=finish, code=None)

    def bill(self, finish: str) -> None:
        """End with a bill for what is known now."""
        self._settle(200, Billing.BILLED, finish=finish, code=None)

    def leave(self, *, started: bool) -> None:
        """End because the client, or the whole server, went away: bill what was produced, if anything was."""
        outcome = Billing.BILLED if self.model_asked else Billing.NOT_BILLED
        status = 200 if started else CLIENT_CLOSED_STATUS
        self._settle(status, outcome, finish="client_closed", code=None)

    def _settle(self, status: int, outcome: Billing, *, finish: str | None, code: str | None) -> None:
        if self._settled:
            return
        self._settled = True
        gateway, request = self._gateway, self.request
        billed = outcome is Billing.BILLED and request is not None
        if self.admitted:
            gateway.admitted -= 1
        cost_picos = 0
        if request is not None and billed:
            gateway.cache.remember(self._blocks)
            cost_picos = MODELS[request.model].cost_picos(
                input_tokens=self.input_tokens,
                cached_tokens=self.cached_tokens,
                output_tokens=self.output_tokens,
            )
        gateway.ledger.write(
            LedgerRow(
                request_id=self.request_id,
                at=self._arrived_at,
                model=None if request is None else request.model,
                key=gateway.key_name(self.key),
                stream=self.stream,
                status=status,
                code=code,
                outcome=outcome,
                input_tokens=self.input_tokens if billed else 0,
                cached_tokens=self.cached_tokens if billed else 0,
                output_tokens=self.output_tokens if billed else 0,
                cost_picos=cost_picos,
                finish=finish,
                messages_sha256=self.messages_sha256,
                wire_case=self.wire_case,
            )
        )
