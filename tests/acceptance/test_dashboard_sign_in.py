import socket
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import func, select, text, update

from api.dashboard.session import COOKIE, token_hash
from api.dashboard.throttle import MAX_OF_NAME
from patchmill.store import people
from patchmill.store.tables import audit, sessions
from tests.support.api import Api
from tests.support.visitor import PASSWORD, Visitor, form_token, from_here, make_user, visible


@pytest.fixture
def http(api: Api) -> Iterator[httpx.Client]:
    with api.client({"Accept": "text/html"}) as client:
        yield client


def sign_in(http: httpx.Client, name: str, password: str = PASSWORD, **more: str) -> httpx.Response:
    fields = {"name": name, "password": password, **more}
    return http.post("/sign-in", data=fields, headers=from_here(http))


def test_a_page_leads_to_the_sign_in_page_and_back(api: Api, http: httpx.Client) -> None:
    name = make_user(api)

    away = http.get("/jobs?state=failed")

    assert (away.status_code, away.headers["location"]) == (303, "/sign-in?next=%2Fjobs%3Fstate%3Dfailed")
    assert 'name="next" value="/jobs?state=failed"' in http.get(away.headers["location"]).text
    back = sign_in(http, name, next="/jobs?state=failed")
    assert (back.status_code, back.headers["location"]) == (303, "/jobs?state=failed")
    assert name in http.get("/jobs?state=failed").text


@pytest.mark.parametrize("path", ["/", "/jobs", "/spend", f"/jobs/job_{'0' * 32}", f"/runs/run_{'0' * 32}"])
def test_without_a_session_no_page_is_shown_and_a_script_is_told_where_to_go(
    http: httpx.Client, path: str
) -> None:
    assert http.get(path).status_code == 303
    asked = http.get(path, headers={"HX-Request": "true"})
    assert (asked.status_code, asked.headers["hx-redirect"], asked.text) == (401, "/sign-in", "")


@pytest.mark.parametrize("path", ["/live/all", f"/live/jobs/job_{'0' * 32}", f"/live/runs/run_{'0' * 32}"])
def test_without_a_session_no_stream_opens(http: httpx.Client, path: str) -> None:
    assert http.get(path).status_code == 303
    assert http.get(path, headers={"Cookie": f"{COOKIE}={'x' * 43}"}).status_code == 303


def test_the_session_is_kept_as_a_hash_in_a_cookie_that_scripts_cannot_read(
    api: Api, http: httpx.Client
) -> None:
    name = make_user(api)

    response = sign_in(http, name)

    cookie = response.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Secure" not in cookie
    token = http.cookies[COOKIE]
    with api.engine.connect() as connection:
        kept = connection.scalars(select(sessions.c.token_hash)).all()
        done = connection.scalars(select(audit.c.action).where(audit.c.actor == f"user:{name}")).all()
    assert token_hash(token) in kept
    assert token.encode() not in kept
    assert done == ["session.open"]


def test_over_tls_the_cookie_stays_on_tls(api: Api, http: httpx.Client) -> None:
    fields = {"name": make_user(api), "password": PASSWORD}

    response = http.post("/sign-in", data=fields, headers={**from_here(http), "X-Forwarded-Proto": "https"})

    assert "Secure" in response.headers["set-cookie"]


def test_signing_in_again_begins_a_session_under_another_token_and_ends_the_one_before(
    api: Api, http: httpx.Client
) -> None:
    name = make_user(api)
    sign_in(http, name)
    first = http.cookies[COOKIE]

    sign_in(http, name)

    second = http.cookies[COOKIE]
    assert second != first
    with api.client({"Cookie": f"{COOKIE}={first}"}) as earlier:
        assert earlier.get("/spend").status_code == 303
    assert http.get("/spend").status_code == 200


def test_a_wrong_password_and_an_unknown_name_are_told_alike(api: Api, http: httpx.Client) -> None:
    name = make_user(api)

    wrong = sign_in(http, name, "wrong horse battery")
    unknown = sign_in(http, f"nobody-{name}", "wrong horse battery")

    assert (wrong.status_code, unknown.status_code) == (401, 401)
    assert visible(wrong.text) == visible(unknown.text)
    assert "There is no such name with this password." in visible(wrong.text)
    assert COOKIE not in http.cookies


def test_after_some_wrong_passwords_even_the_right_one_has_to_wait(api: Api, http: httpx.Client) -> None:
    name, other = make_user(api), make_user(api)
    codes = [sign_in(http, name, f"wrong horse {number}").status_code for number in range(MAX_OF_NAME)]

    refused = sign_in(http, name)

    assert codes == [401] * MAX_OF_NAME
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0
    assert COOKIE not in http.cookies
    assert sign_in(http, other).status_code == 303


def test_a_disabled_user_is_signed_out_and_cannot_come_back(api: Api, http: httpx.Client) -> None:
    visitor = Visitor(api)
    with api.engine.begin() as connection:
        user = people.user_named(connection, visitor.name)
        assert user is not None
        assert people.disable(connection, user.id)

    assert visitor.http.get("/spend").status_code == 303
    assert sign_in(http, visitor.name).status_code == 401
    visitor.http.close()


@pytest.mark.parametrize(
    ("column", "ago"), [("seen_at", people.IDLE), ("expires_at", timedelta())], ids=["idle", "old"]
)
def test_a_session_ends_when_nobody_uses_it_and_after_its_lifetime(
    api: Api, admin: Visitor, column: str, ago: timedelta
) -> None:
    assert admin.http.get("/spend").status_code == 200
    with api.engine.begin() as connection:
        connection.execute(
            update(sessions)
            .where(sessions.c.token_hash == token_hash(admin.token))
            .values({column: func.now() - ago})
        )

    assert admin.http.get("/spend").status_code == 303


def test_what_a_page_asks_for_by_itself_does_not_keep_a_session_alive(api: Api, admin: Visitor) -> None:
    mine = sessions.c.token_hash == token_hash(admin.token)
    with api.engine.begin() as connection:
        connection.execute(update(sessions).where(mine).values(seen_at=text("now() - interval '1 hour'")))

    def idle_for() -> timedelta:
        with api.engine.connect() as connection:
            now, seen_at = connection.execute(select(func.now(), sessions.c.seen_at).where(mine)).one()
        idle: timedelta = now - seen_at
        return idle

    assert admin.http.get("/spend", headers={"HX-Request": "true"}).status_code == 200
    assert idle_for() > timedelta(minutes=59)
    assert admin.http.get("/spend").status_code == 200
    assert idle_for() < timedelta(minutes=1)


def test_signing_out_ends_the_session_in_the_database_too(api: Api, admin: Visitor) -> None:
    response = admin.send("/sign-out")

    assert (response.status_code, response.headers["location"]) == (303, "/sign-in")
    assert admin.http.get("/spend").status_code == 303
    with api.engine.connect() as connection:
        kept = connection.scalars(select(sessions.c.token_hash)).all()
    assert token_hash(admin.token) not in kept


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
def test_a_form_from_elsewhere_is_refused(api: Api, admin: Visitor, origin: str) -> None:
    name = make_user(api)
    fields = {"form_token": admin.form_token(), "name": name, "password": PASSWORD}

    for address in ("/sign-in", "/sign-out", "/theme"):
        response = admin.http.post(address, data=fields, headers={"Origin": origin})
        assert response.status_code == 403, address
        assert "set-cookie" not in response.headers
    assert admin.http.get("/spend").status_code == 200


@pytest.mark.parametrize("token", ["", "0" * 64, "other", "\u2603"])
def test_a_form_without_the_token_of_its_session_is_refused(api: Api, admin: Visitor, token: str) -> None:
    if token == "other":
        other = Visitor(api)
        token = other.form_token()
        other.http.close()

    response = admin.send("/sign-out", form_token=token)

    assert response.status_code == 403
    assert "load it again" in visible(response.text)
    assert admin.http.get("/spend").status_code == 200


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/",
        "//evil.example/",
        "///evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "\t//evil.example",
        " //evil.example",
        "/\n/evil.example",
        "javascript:alert(1)",
        "evil",
        "@evil.example",
        ".evil.example",
        "/a\r\nX: y",
        "/\u2028/evil.example",
        "",
    ],
)
def test_signing_in_never_leads_to_another_site(api: Api, http: httpx.Client, elsewhere: str) -> None:
    assert sign_in(http, make_user(api), next=elsewhere).headers["location"] == "/"


def test_a_token_that_was_planted_before_is_not_the_session_s(api: Api, http: httpx.Client) -> None:
    planted = "A" * 43
    http.cookies.set(COOKIE, planted)

    sign_in(http, make_user(api))

    with api.client({"Cookie": f"{COOKIE}={planted}"}) as other:
        assert other.get("/spend").status_code == 303


@pytest.mark.parametrize(
    "path", ["//evil.example/jobs", "/\\evil.example", "/%2f%2fevil.example", "/.//evil.example"]
)
def test_an_odd_address_leads_to_no_other_site(http: httpx.Client, path: str) -> None:
    host, port = http.base_url.host, http.base_url.port
    with socket.create_connection((host, port or 80), timeout=10) as raw:
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: raw.recv(65_536), b"")).decode()

    head = answer.partition("\r\n\r\n")[0].lower()
    assert head.startswith(("http/1.1 404", "http/1.1 400"))
    assert "location:" not in head


def test_a_form_that_is_no_form_is_refused(http: httpx.Client) -> None:
    headers = from_here(http)

    assert http.post("/sign-in", json={"name": "x"}, headers=headers).status_code == 415
    assert http.post("/sign-in", data={"name": "x" * 20_000}, headers=headers).status_code == 413
    many = {f"field{number}": "x" for number in range(50)}
    assert http.post("/sign-in", data=many, headers=headers).status_code == 403
    strange = {"name": "a\0b", "password": "x\0"}
    assert http.post("/sign-in", data=strange, headers=headers).status_code == 401


def test_the_theme_is_remembered_and_written_into_the_page(http: httpx.Client) -> None:
    assert '<html lang="en" data-theme="system">' in http.get("/sign-in").text

    response = http.post("/theme", data={"theme": "dark", "back": "/sign-in"}, headers=from_here(http))

    assert (response.status_code, response.headers["location"]) == (303, "/sign-in")
    assert '<html lang="en" data-theme="dark">' in http.get("/sign-in").text
    http.post("/theme", data={"theme": "<script>", "back": "/"}, headers=from_here(http))
    assert 'data-theme="system"' in http.get("/sign-in").text


def test_the_token_of_the_forms_belongs_to_the_session_alone(api: Api, admin: Visitor) -> None:
    other = Visitor(api)
    tokens = {form_token(each.text("/spend")) for each in (admin, admin, other)}
    other.http.close()

    assert len(tokens) == 2
    assert not tokens & {admin.token, other.token}
