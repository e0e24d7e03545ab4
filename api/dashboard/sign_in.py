"""Signing in and out, and the theme: what the browser remembers of a person."""

from http import HTTPStatus

import anyio
import anyio.to_thread
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse

from api.dashboard.page_route import SIGN_IN, PageRoute
from api.dashboard.rendering import THEME, THEMES, page
from api.dashboard.session import (
    COOKIE,
    Form,
    SignedForm,
    forget,
    local,
    make_token,
    remember,
    token_hash,
    token_of,
)
from api.dashboard.throttle import Throttle
from api.parts import Parts, PartsOf
from patchmill.store import auditing, password, people
from patchmill.store.people import LIFETIME, UserRow
from patchmill.telemetry import get_logger

MAX_NAME = 100
HASHERS = 2  # passwords compared at a time: each takes tens of milliseconds and 64 MiB
_YEAR_S = 365 * 86_400
_WRONG = "There is no such name with this password."
_log = get_logger("api.dashboard")

router = APIRouter(route_class=PageRoute)


class SignIns:
    """What signing in needs to remember in this process; lives on one event loop."""

    def __init__(self) -> None:
        self.throttle = Throttle()
        self.hashers = anyio.CapacityLimiter(HASHERS)


@router.get(SIGN_IN)
async def show_sign_in(request: Request) -> Response:
    """Show the form."""
    return _sign_in_page(request, back=local(request.query_params.get("next")))


@router.post(SIGN_IN)
async def sign_in(request: Request, form: Form, parts: PartsOf) -> Response:
    """Begin a session under a new token; a wrong name takes as long as a wrong password."""
    sign_ins: SignIns = request.app.state.sign_ins
    name, given = form.get("name", "")[:MAX_NAME].strip(), form.get("password", "")
    address = request.client.host if request.client else ""
    back = local(form.get("next"))
    wait_s = sign_ins.throttle.wait_s(name, address)
    if wait_s > 0:
        minutes = int(wait_s // 60) + 1
        said = f"Too many wrong passwords. Try again in {minutes} min."
        response = _sign_in_page(
            request, back=back, name=name, said=said, status=HTTPStatus.TOO_MANY_REQUESTS
        )
        response.headers["Retry-After"] = str(minutes * 60)
        return response
    sign_ins.throttle.tried(name, address)  # counted first: many at the same time count, too
    user = await run_in_threadpool(_user_named, parts, name)
    usable = user is not None and user.disabled_at is None and len(given) <= password.MAX_LENGTH
    stored = user.password_hash if user is not None and usable else None
    same = await anyio.to_thread.run_sync(
        password.matches, given[: password.MAX_LENGTH], stored, limiter=sign_ins.hashers
    )
    if user is None or not same:
        _log.warning("sign_in_refused", address=address)
        return _sign_in_page(request, back=back, name=name, said=_WRONG, status=HTTPStatus.UNAUTHORIZED)
    sign_ins.throttle.succeeded(name, address)
    token = make_token()
    await run_in_threadpool(_open, parts, user, token, token_of(request))
    response = RedirectResponse(back, HTTPStatus.SEE_OTHER)
    remember(response, request, COOKIE, token, max_age_s=int(LIFETIME.total_seconds()))
    return response


@router.post("/sign-out")
def sign_out(request: Request, person: SignedForm, parts: PartsOf) -> Response:
    """End the session, here and in the database."""
    token = token_of(request)
    with parts.database.begin() as connection:
        if token is not None:
            people.close_session(connection, token_hash(token))
        auditing.record(
            connection, actor=person.actor, action="session.close", subject=person.actor, details={}
        )
    response = RedirectResponse(SIGN_IN, HTTPStatus.SEE_OTHER)
    forget(response, request)
    return response


@router.post("/theme")
async def choose_theme(request: Request, form: Form) -> Response:
    """Remember the theme, for whoever uses this browser."""
    response = RedirectResponse(local(form.get("back")), HTTPStatus.SEE_OTHER)
    chosen = form.get("theme")
    remember(response, request, THEME, chosen if chosen in THEMES else THEMES[0], max_age_s=_YEAR_S)
    return response


def _user_named(parts: Parts, name: str) -> UserRow | None:
    with parts.database.begin() as connection:
        return people.user_named(connection, name)


def _open(parts: Parts, user: UserRow, token: str, earlier: str | None) -> None:
    with parts.database.begin() as connection:
        if earlier is not None:
            people.close_session(connection, token_hash(earlier))
        people.open_session(connection, user.id, token_hash(token))
        actor = f"user:{user.name}"
        auditing.record(connection, actor=actor, action="session.open", subject=actor, details={})


def _sign_in_page(
    request: Request,
    *,
    back: str,
    name: str = "",
    said: str | None = None,
    status: HTTPStatus = HTTPStatus.OK,
) -> Response:
    return page(request, "sign_in", {"back": back, "name": name, "said": said}, status=status)
