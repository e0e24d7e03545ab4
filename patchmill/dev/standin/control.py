"""The `/standin` routes: health, ledger, behaviour and release; a tool for loopback, without a key."""

import json
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from patchmill.dev.standin.behaviour import InvalidBehaviour, read_behaviour
from patchmill.dev.standin.gateway import Gateway
from patchmill.dev.standin.refusal import error_envelope
from patchmill.dev.standin.scenarios import InvalidScenario, bundled_scenarios, load_scenario
from patchmill.dev.standin.wire_cases import CASES


class Control:
    """Handlers over one gateway's state."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def routes(self) -> list[Route]:
        """The routes, to be mounted at `/`."""
        return [
            Route("/standin/health", self.health, methods=["GET"]),
            Route("/standin/ledger", self.show_ledger, methods=["GET"]),
            Route("/standin/ledger", self.clear_ledger, methods=["DELETE"]),
            Route("/standin/behaviour", self.show_behaviour, methods=["GET"]),
            Route("/standin/behaviour", self.set_behaviour, methods=["PUT", "POST"]),
            Route("/standin/scenario", self.set_scenario, methods=["POST"]),
            Route("/standin/scenarios", self.show_scenarios, methods=["GET"]),
            Route("/standin/wire-cases", self.show_wire_cases, methods=["GET"]),
            Route("/standin/release", self.release, methods=["POST"]),
        ]

    async def health(self, _request: Request) -> Response:
        """That it runs, and how many requests are in flight and held."""
        state = {
            "status": "ok",
            "stand_in": True,
            "in_flight": self._gateway.ledger.in_flight,
            "holding": self._gateway.holding,
        }
        return JSONResponse(state)

    async def show_ledger(self, _request: Request) -> Response:
        """All rows and the counts."""
        return JSONResponse(self._gateway.ledger.document())

    async def clear_ledger(self, _request: Request) -> Response:
        """Forget all rows."""
        self._gateway.ledger.clear()
        return Response(status_code=204)

    async def show_behaviour(self, _request: Request) -> Response:
        """The behaviour now: faults and answers that are used up are gone, `times` is what is left.

        `concurrency` is what holds: that of the start where none is set.
        """
        behaviour = self._gateway.behaviour.model_dump(mode="json")
        return JSONResponse({**behaviour, "concurrency": self._gateway.concurrency})

    async def set_behaviour(self, request: Request) -> Response:
        """PUT replaces the whole behaviour, so that an absent field returns to its default; POST keeps it."""
        kept = self._gateway.behaviour.model_dump(mode="json") if request.method == "POST" else {}
        return await self._behave(request, lambda given: {**kept, **given})

    async def show_scenarios(self, _request: Request) -> Response:
        """The bundled scenarios."""
        data = [
            {"name": name, "description": load_scenario(name).description} for name in bundled_scenarios()
        ]
        return JSONResponse({"data": data})

    async def set_scenario(self, request: Request) -> Response:
        """Behave as the bundled scenario `name` does, but for the fields that are given beside it."""

        def with_fields(given: dict[str, Any]) -> dict[str, Any]:
            fields = {field: value for field, value in given.items() if field != "name"}
            scenario = load_scenario(given.get("name", ""))
            return {**scenario.behaviour.model_dump(mode="json", exclude_unset=True), **fields}

        return await self._behave(request, with_fields)

    async def _behave(
        self, request: Request, complete: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> Response:
        try:
            given = json.loads(await request.body())
            behaviour = read_behaviour(complete(given) if isinstance(given, dict) else given)
        except (InvalidBehaviour, InvalidScenario) as error:
            return JSONResponse(error_envelope(422, "invalid_behaviour", str(error)), status_code=422)
        except (ValueError, RecursionError) as error:
            detail = f"body: not valid JSON: {error}"
            return JSONResponse(error_envelope(422, "invalid_behaviour", detail), status_code=422)
        self._gateway.behave(behaviour)
        return await self.show_behaviour(request)

    async def show_wire_cases(self, _request: Request) -> Response:
        """The catalogue of wire cases."""
        cases = [
            {
                "name": case.name,
                "row": case.row,
                "summary": case.summary,
                "mode": case.mode,
                "ending": case.ending,
                "billed": case.billed,
                "usage": case.usage,
            }
            for case in CASES.values()
        ]
        return JSONResponse({"data": cases})

    async def release(self, _request: Request) -> Response:
        """Let every held request go on."""
        return JSONResponse({"released": self._gateway.release()})
