"""Somebody at the dashboard without a browser: signed in, with the token that the forms carry."""

import re
from collections.abc import Iterator, Mapping
from html import unescape

import httpx
import pytest

from api.dashboard.session import COOKIE, make_token, token_hash
from patchmill.store import password, people
from patchmill.store.ids import new_id
from tests.support.api import Api

PASSWORD = "correct horse battery"
_HASHED: list[str] = []


def make_user(api: Api, role: str = "admin") -> str:
    """Make a user with the password of all tests; give the name."""
    if not _HASHED:
        _HASHED.append(password.hashed(PASSWORD))
    name = f"{role}-{new_id().hex}"
    with api.engine.begin() as connection:
        assert people.add_user(connection, name=name, password_hash=_HASHED[0], role=role)
    return name


class Visitor:
    """A user who is signed in already."""

    def __init__(self, api: Api, role: str = "admin", name: str | None = None) -> None:
        self.name = name or make_user(api, role)
        self.token = make_token()
        with api.engine.begin() as connection:
            user = people.user_named(connection, self.name)
            assert user is not None
            people.open_session(connection, user.id, token_hash(self.token))
        self.http = api.client({"Cookie": f"{COOKIE}={self.token}", "Accept": "text/html"})

    def text(self, address: str, status: int = 200) -> str:
        """Give a page's HTML."""
        response = self.http.get(address)
        assert response.status_code == status, response.text
        return response.text

    def form_token(self) -> str:
        """Give the token that the forms of this session carry."""
        return form_token(self.text("/spend"))

    def send(self, address: str, **fields: str) -> httpx.Response:
        """Send a form of one of the pages."""
        return self.http.post(
            address, data={"form_token": self.form_token(), **fields}, headers=from_here(self.http)
        )


def form_token(html: str) -> str:
    """Find the token in a page."""
    found = re.search(r'name="form_token" value="([0-9a-f]+)"', html)
    assert found is not None, html
    return found[1]


def from_here(http: httpx.Client) -> Mapping[str, str]:
    """Give the header that a browser sends with a form of this site."""
    return {"Origin": str(http.base_url).rstrip("/")}


def visible(html: str) -> str:
    """Give the text of a page without its tags; where a line may break there is no blank."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html.replace("<wbr>", ""))).split())


@pytest.fixture
def admin(api: Api) -> Iterator[Visitor]:
    """Give an admin who is signed in."""
    made = Visitor(api)
    yield made
    made.http.close()


@pytest.fixture
def viewer(api: Api) -> Iterator[Visitor]:
    """Give a viewer who is signed in."""
    made = Visitor(api, role="viewer")
    yield made
    made.http.close()
