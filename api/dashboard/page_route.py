"""Routes whose answers are pages, those to mistakes too."""

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.dashboard.rendering import guard, is_fragment, page
from patchmill.errors import InvalidFields, PatchmillError, Unavailable
from patchmill.telemetry import get_logger

SIGN_IN = "/sign-in"
_UNREADABLE = "This address cannot be read"
_FOR_PROGRAMS = ("/v1/", "/hooks/", "/live/")
_log = get_logger("api.dashboard")


class SignInNeeded(Exception):
    """Nobody is signed in, or no longer."""


class PageRoute(APIRoute):
    """A route of the dashboard: what goes wrong in it is told on a page, and every answer is guarded."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the handler."""
        handle = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                response = await handle(request)
            except SignInNeeded:
                response = _to_sign_in(request)
            except (PatchmillError, RequestValidationError, HTTPException) as error:
                response = _refusal(request, error)
            except Exception:  # noqa: BLE001 - whatever it is, a person gets a page
                _log.exception("page_failed", method=request.method, path=request.url.path)
                response = _unexpected(request)
            return guard(response)

        return answered


def install(app: FastAPI) -> None:
    """Show a page to browsers that ask for what is not there; programs keep their problem documents."""
    as_problem: Any = app.exception_handlers[HTTPException]

    async def answer(request: Request, error: Exception) -> Response:
        wants_page = "text/html" in request.headers.get("accept", "")
        if isinstance(error, HTTPException) and wants_page and not request.url.path.startswith(_FOR_PROGRAMS):
            return guard(_refusal(request, error))
        answered: Response = await as_problem(request, error)
        return answered

    app.add_exception_handler(HTTPException, answer)


def _to_sign_in(request: Request) -> Response:
    """Lead a person to the sign-in page, and back afterwards; a script is told where that is."""
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    back = wanted if request.method == "GET" and not wanted.startswith(_FOR_PROGRAMS) else "/"
    address = SIGN_IN if back == "/" else f"{SIGN_IN}?{urlencode({'next': back})}"
    if is_fragment(request):
        return Response(status_code=HTTPStatus.UNAUTHORIZED, headers={"HX-Redirect": SIGN_IN})
    return RedirectResponse(address, HTTPStatus.SEE_OTHER)


def _refusal(request: Request, error: PatchmillError | RequestValidationError | HTTPException) -> Response:
    if isinstance(error, HTTPException):
        status = HTTPStatus(error.status_code)
        sentence = f"There is no page {request.url.path}." if status == HTTPStatus.NOT_FOUND else error.detail
        return error_page(request, status, sentence)
    if isinstance(error, RequestValidationError):
        sentence = "Something in it has another form than it should."
        return error_page(request, HTTPStatus.UNPROCESSABLE_ENTITY, sentence, title=_UNREADABLE)
    sentence = str(error)
    if isinstance(error, InvalidFields):
        sentence = "; ".join(
            f"{each.pointer.removeprefix('/query/')}: {each.detail}" for each in error.errors
        )
        if request.method == "GET":
            return error_page(request, HTTPStatus(error.status), f"{sentence}.", title=_UNREADABLE)
    headers = {"Retry-After": "1"} if isinstance(error, Unavailable) else {}
    response = error_page(request, HTTPStatus(error.status), f"{sentence[:1].upper()}{sentence[1:]}.")
    response.headers.update(headers)
    return response


def _unexpected(request: Request) -> Response:
    sentence = f"Something went wrong that should not. The log has more under {request.state.request_id}."
    return error_page(request, HTTPStatus.INTERNAL_SERVER_ERROR, sentence)


def error_page(request: Request, status: HTTPStatus, sentence: str, *, title: str = "") -> Response:
    """Render the page that says what went wrong, in one sentence; from a bad filter it leads to all."""
    values = {
        "status": int(status),
        "title": title or status.phrase,
        "sentence": sentence,
        "without": request.url.path if title and request.url.query else None,
    }
    return page(request, "error", values, status=status)
