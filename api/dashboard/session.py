"""Who looks at a page, and whether a form comes from one of our own pages."""

import hashlib
import hmac
import re
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPMethod
from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from fastapi import Depends, Request
from starlette.responses import Response

from api.dashboard.page_route import SignInNeeded
from api.dashboard.rendering import is_fragment
from api.parts import PartsOf
from patchmill.errors import Forbidden, TooLarge, UnsupportedMediaType
from patchmill.store import people
from patchmill.store.people import UserRow

COOKIE = "patchmill_session"
TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")  # 256 random bits
MAX_FORM_BYTES = 16_384
MAX_FORM_FIELDS = 20
FORM_TYPE = "application/x-www-form-urlencoded"
_LOCAL = re.compile(r"/(?![/\\])[!-~]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who is signed in; `form_token` is what the forms of this session carry."""

    id: uuid.UUID
    name: str
    role: str
    form_token: str

    @property
    def acts(self) -> bool:
        """Whether this one may change anything, and read prompts."""
        return self.role == "admin"

    @property
    def actor(self) -> str:
        """How the audit names this one."""
        return f"user:{self.name}"


def token_of(request: Request) -> str | None:
    """Give the session's token that came with a request, if it looks like one."""
    token = request.cookies.get(COOKIE, "")
    return token if TOKEN.fullmatch(token) else None


def token_hash(token: str) -> bytes:
    """Give what is stored in the place of a token."""
    return hashlib.sha256(token.encode()).digest()


def make_token() -> str:
    """Make the token of a new session."""
    return secrets.token_urlsafe(32)


def remember(response: Response, request: Request, name: str, value: str, *, max_age_s: int) -> None:
    """Set a cookie that scripts cannot read, and that goes over TLS alone when the page came over it."""
    response.set_cookie(
        name, value, max_age=max_age_s, path="/", httponly=True, samesite="lax", secure=_is_secure(request)
    )


def forget(response: Response, request: Request) -> None:
    """Delete the session's cookie."""
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax", secure=_is_secure(request))


def local(address: str | None) -> str:
    """Give an address within this site as it is, and the front page in the place of any other."""
    return address if address and _LOCAL.fullmatch(address) else "/"


def _signed_in(request: Request, parts: PartsOf) -> Person:
    token = token_of(request)
    if token is None:
        raise SignInNeeded
    # What a page asks for by itself does not keep a session alive.
    used = not is_fragment(request)
    with parts.database.begin() as connection:
        user = people.session_user(connection, token_hash(token), used=used)
    if user is None:
        raise SignInNeeded
    person = _person(user, token)
    request.state.person = person
    return person


def _person(user: UserRow, token: str) -> Person:
    form_token = hmac.new(token.encode(), b"form", hashlib.sha256).hexdigest()
    return Person(id=user.id, name=user.name, role=user.role, form_token=form_token)


Viewer = Annotated[Person, Depends(_signed_in)]


def _needing_admin(person: Viewer) -> Person:
    if not person.acts:
        raise Forbidden(f"{person.name} may look at everything here but prompts, and change nothing")
    return person


Admin = Annotated[Person, Depends(_needing_admin)]


async def _form(request: Request) -> Mapping[str, str]:
    """Read a form that one of our own pages sent; of a field that comes twice the last one counts."""
    if not _is_from_here(request):
        raise Forbidden("this form was not sent by a page of this service")
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM_TYPE:
        raise UnsupportedMediaType(f"send the form as {FORM_TYPE}")
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_FORM_BYTES:
            raise TooLarge("the form is larger than any of these pages")
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FORM_FIELDS)
    except ValueError:  # not UTF-8, or too many fields
        raise Forbidden("this form was not sent by a page of this service") from None
    return {name: value.replace("\0", "") for name, value in fields}


Form = Annotated[Mapping[str, str], Depends(_form)]


def _confirmed(person: Viewer, form: Form) -> Person:
    sent = form.get("form_token", "")
    if not hmac.compare_digest(sent.encode(), person.form_token.encode()):
        raise Forbidden("this page is older than the session; load it again")
    return person


SignedForm = Annotated[Person, Depends(_confirmed)]


def _acting(person: SignedForm) -> Person:
    return _needing_admin(person)


Acting = Annotated[Person, Depends(_acting)]  # somebody who may change things, and meant to


def _is_from_here(request: Request) -> bool:
    """Say whether a form was sent by this site; every browser names the origin of a form."""
    if request.method != HTTPMethod.POST:
        return False
    origin = request.headers.get("origin")
    if origin is None:
        return request.headers.get("sec-fetch-site", "none") in {"same-origin", "none"}
    try:
        return urlsplit(origin).netloc == request.headers.get("host")
    except ValueError:
        return False


def _is_secure(request: Request) -> bool:
    """Say whether the browser speaks TLS; a lie in the header harms nobody but who tells it."""
    forwarded = request.headers.get("x-forwarded-proto", "").partition(",")[0].strip()
    return "https" in {request.url.scheme, forwarded}
