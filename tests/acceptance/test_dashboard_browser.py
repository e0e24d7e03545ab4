"""The dashboard in Chromium: live, without a complaint of the console, and open to everybody."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, Response, Route, expect
from sqlalchemy import Connection

from patchmill.job.circuit import GATEWAY
from patchmill.store import circuits, password, people
from patchmill.store.engine import open_engine
from tests.support.browser import Watched, watched
from tests.support.requests import mutable_default
from tests.support.stack import Stack, until

pytestmark = [pytest.mark.timeout(240), pytest.mark.slow]

NAME, PASSWORD = "admin", "correct horse battery"


@pytest.fixture(scope="module")
def site(service: Stack) -> str:
    """Give the address of the service, once somebody can sign in there."""
    engine = open_engine(service.database_url, pool_size=1)
    with engine.begin() as connection:
        people.add_user(connection, name=NAME, password_hash=password.hashed(PASSWORD), role="admin")
    engine.dispose()
    return service.api_url


@contextmanager
def store(service: Stack) -> Iterator[Connection]:
    engine = open_engine(service.database_url, pool_size=1)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


@pytest.fixture(autouse=True)
def plain_stand_in(service: Stack) -> Iterator[None]:
    service.behave()
    yield
    service.release()
    service.behave()
    with store(service) as connection:
        circuits.close(connection, GATEWAY)


@pytest.fixture
def seen(site: str, browser: Browser) -> Iterator[Watched]:
    with watched(browser, site) as opened:
        sign_in(opened.page)
        yield opened


def sign_in(page: Page) -> None:
    page.goto("/")
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def submit(service: Stack, **more: object) -> str:
    with service.http() as http:
        answer = http.post("/v1/jobs", json=mutable_default(uuid.uuid4().int % 10**9, **more))
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])


def is_refresh(response: Response) -> bool:
    """Say whether a response is the inner part of a page that is there already."""
    return response.request.headers.get("hx-request") == "true" and "/live/" not in response.url


def failed(service: Stack) -> str:
    """Give a job that the model declined."""
    service.behave(script=[{"match": None, "content": "NO CHANGE: fine as it is", "times": 9}])
    job = submit(service)
    assert service.ended(job)["state"] == "failed"
    service.behave()
    return job


def declined(service: Stack) -> str:
    """Give a job with an instruction that the model sees nothing to do for."""
    service.behave(script=[{"match": None, "content": "NO CHANGE: it is clear as it is", "times": 1}])
    job = submit(service, findings=None, instruction="Make this <b>clearer</b>.")
    assert service.ended(job)["outcome"] == "no_change"
    service.behave()
    return job


def submit_run(service: Stack) -> str:
    """Give a run of one file."""
    file = mutable_default(uuid.uuid4().int % 10**9)["file"]
    report = "\n".join(
        json.dumps(
            {
                "message": "mutable default",
                "code": {"value": "B006"},
                "location": {"path": path, "range": {"start": {"line": 4, "column": 24}}},
            }
        )
        for path in (file["path"], "not/there.py")
    )
    origin = {"forge": "github", "repository": "acme/app", "pull_request": 12, "head": "0123456789abcdef"}
    with service.http() as http:
        answer = http.post(
            "/v1/runs",
            json={
                "kind": "fix",
                "reports": [{"format": "rdjsonl", "content": report}],
                "files": [file],
                "origin": origin,
            },
        )
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])


def test_a_job_is_watched_live_to_verified_its_diff_opened_and_a_failed_one_retried(
    service: Stack, seen: Watched
) -> None:
    page = seen.page
    service.behave(latency_ms=1_500)

    job = submit(service)

    row = page.locator(f"#row-{job}")
    expect(row).to_be_visible()
    row.get_by_role("link").click()
    page.wait_for_url(f"**/jobs/{job}")
    loads: list[str] = []
    page.on("load", lambda _: loads.append(page.url))
    state = page.get_by_role("status")
    expect(state).to_contain_text("verified", timeout=20_000)
    expect(state).to_contain_text("1 suggestion")
    assert loads == []
    expect(page.locator(".diff .added").first).to_contain_text("into=None")
    page.get_by_text("checks passed").click()
    expect(page.get_by_role("cell", name="finding gone")).to_be_visible()
    page.get_by_text("Prompt and answer of call 1").click()
    expect(page.get_by_role("region", name="Answer of call 1")).to_contain_text("SEARCH")

    service.behave()
    bad = failed(service)
    page.goto(f"/jobs/{bad}")
    expect(page.get_by_role("status")).to_contain_text("failed")
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_role("status")).to_contain_text("verified", timeout=20_000)
    expect(page.get_by_role("button", name="Retry")).to_have_count(0)

    assert seen.complaints == []
    assert seen.abroad(service.api_url) == []


def test_a_job_that_changes_nothing_says_what_it_was_asked_and_why_not(service: Stack, seen: Watched) -> None:
    job = declined(service)

    seen.page.goto(f"/jobs/{job}")

    asked = seen.page.get_by_role("region", name="Instruction")
    expect(asked).to_contain_text("Make this <b>clearer</b>.")
    why = seen.page.get_by_role("region", name="Why nothing changes")
    expect(why).to_contain_text("it is clear as it is")


def test_a_pause_is_told_on_every_page_and_a_click_lets_calls_go_on(service: Stack, seen: Watched) -> None:
    page = seen.page
    alert = page.get_by_role("alert")
    expect(alert).to_have_count(0)

    service.behave(faults=[{"fault": "402", "times": 1}])
    job = submit(service)
    expect(alert).to_contain_text("The wallet at the gateway is empty. Top it up")
    expect(alert).to_contain_text("1 job waits")
    for address in ("/jobs", "/runs", "/spend", "/gateway", f"/jobs/{job}"):
        page.goto(address)
        expect(alert).to_contain_text("The wallet at the gateway is empty")
    expect(page.get_by_role("status")).to_contain_text("the next try is at")
    alert.get_by_role("button", name="Resume").click()

    page.wait_for_url(f"**/jobs/{job}")
    expect(alert).to_have_count(0)
    expect(page.get_by_role("status")).to_contain_text("verified", timeout=20_000)
    assert seen.complaints == []


def test_an_administrator_pauses_calls_and_the_live_page_follows(seen: Watched) -> None:
    page = seen.page
    beside = page.context.new_page()
    beside.goto("/")
    page.get_by_role("link", name="Gateway", exact=True).click()
    page.get_by_text("Pause calls").click()
    page.get_by_label("Why").fill("the bill")
    page.get_by_role("button", name="Pause all calls").click()

    expect(page.get_by_role("alert")).to_contain_text("Somebody has paused all calls")
    expect(page.get_by_role("button", name="Pause all calls")).to_have_count(0)
    expect(beside.get_by_role("alert")).to_contain_text("the bill")
    page.get_by_role("alert").get_by_role("button", name="Resume").click()
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(beside.get_by_role("alert")).to_have_count(0)
    assert seen.complaints == []


def test_a_page_whose_scripts_come_late_is_live_as_well(service: Stack, seen: Watched) -> None:
    page, held = seen.page, list[Route]()

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/static/hx-sse*", hold)
    page.goto("/", wait_until="commit")
    until(lambda: page.evaluate("'htmx' in window"), "htmx without its extension")
    page.evaluate("new Promise((done) => setTimeout(done))")  # it would have started by then
    held[0].continue_()

    job = submit(service)

    expect(page.locator(f"#row-{job}")).to_be_visible()
    assert seen.complaints == []


def test_a_change_is_on_the_screen_within_two_seconds(service: Stack, seen: Watched) -> None:
    page = seen.page
    job = submit(service)
    service.ended(job)
    with page.expect_response(is_refresh):  # of the page's own arrival
        page.goto("/jobs")
    expect(page.locator(f"#row-{job}")).to_be_visible()

    def in_time() -> bool:
        """Say whether it was, for a new job; a machine that is busy at that moment may need another one."""
        row = page.locator(f"#row-{submit(service)}")
        try:
            expect(row).to_be_visible(timeout=2_000)
        except AssertionError:
            expect(row).to_be_visible()
            return False
        return True

    assert any(in_time() for _ in range(5))


def test_a_paused_page_asks_for_nothing_and_catches_up_when_it_goes_on(service: Stack, seen: Watched) -> None:
    page = seen.page
    expect(page.locator(".tiles")).to_be_visible()
    page.get_by_role("button", name="Live").click()
    expect(page.get_by_role("button", name="Paused")).to_have_attribute("aria-pressed", "true")
    before = len(seen.requests)

    job = submit(service)
    service.ended(job)
    beside = page.context.new_page()  # by now every fresh page shows the job
    beside.goto("/")
    expect(beside.locator(f"#row-{job}")).to_contain_text("verified")

    assert seen.requests[before:] == []
    expect(page.locator(f"#row-{job}")).to_have_count(0)
    page.get_by_role("button", name="Paused").click()
    expect(page.locator(f"#row-{job}")).to_be_visible()
    assert seen.complaints == []


def test_what_is_open_stays_open_while_the_page_is_live(service: Stack, seen: Watched) -> None:
    page = seen.page
    service.behave(latency_ms=2_500)
    job = submit(service)
    page.goto(f"/jobs/{job}")
    page.locator("#events > summary").click()
    expect(page.locator("#events li").first).to_be_visible()

    expect(page.get_by_role("status")).to_contain_text("verified", timeout=20_000)

    expect(page.locator("#events li", has_text="running → succeeded")).to_be_visible()


def test_keys_search_step_through_rows_and_show_themselves(service: Stack, seen: Watched) -> None:
    page = seen.page
    job = submit(service)
    service.ended(job)
    page.goto("/spend")

    page.keyboard.press("/")
    expect(page.get_by_label("Search")).to_be_focused()
    page.keyboard.type("src/")
    page.keyboard.press("Enter")
    page.wait_for_url("**/jobs?q=src*")
    page.keyboard.press("j")
    expect(page.locator(".rows tbody tr").first.get_by_role("link")).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()


def budget(service: Stack) -> str:
    body = {
        "name": f"browser {uuid.uuid4()}",
        "scope": {"kind": "installation"},
        "window": {"kind": "day"},
        "limit": {"usd": "1000", "tokens": 10**12},
    }
    with service.http() as http:
        made: str = http.post("/v1/budgets", json=body).json()["id"]
        return made


def test_without_a_script_everything_can_be_read_and_a_failed_job_retried(
    service: Stack, site: str, browser: Browser
) -> None:
    bad = failed(service)
    with watched(browser, site, script=False) as opened:
        page = opened.page
        sign_in(page)
        page.get_by_role("link", name="Jobs", exact=True).click()
        page.locator(f"#row-{bad}").get_by_role("link").click()
        expect(page.get_by_role("alert")).to_contain_text("model declined")
        expect(page.locator("#pause")).to_be_hidden()
        page.get_by_role("button", name="Retry").click()
        service.ended(bad)
        page.reload()
        expect(page.get_by_role("status")).to_contain_text("verified")
        assert not [each for each in opened.requests if each.endswith(".js")]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_barrier_on_any_page_in_either_theme(
    service: Stack, site: str, browser: Browser, theme: str
) -> None:
    job, bad, asked, run = submit(service), failed(service), declined(service), submit_run(service)
    service.ended(job)
    addresses = [
        "/",
        "/jobs",
        "/jobs?q=nothing+like+it",
        f"/jobs/{job}",
        f"/jobs/{bad}",
        f"/jobs/{asked}",
        "/runs",
        "/runs?outcome=failed",
        f"/runs/{run}",
        "/spend",
        "/spend?days=7&by=day,rule",
        "/budgets",
        f"/budgets/{budget(service)}",
        "/queues",
        "/gateway",
        "/docs",
        "/problems/invalid_field",
        "/nowhere",
    ]
    with watched(browser, site, dark=theme == "dark") as opened:
        page = opened.page
        page.goto("/sign-in")
        assert opened.barriers() == []
        sign_in(page)
        page.get_by_role("button", name="Pause").or_(page.get_by_role("button", name="Live")).click()
        for address in addresses:
            page.goto(address)
            for details in page.locator("details").all():
                details.evaluate("each => { each.open = true }")
            assert opened.barriers() == [], address
        with store(service) as connection:
            circuits.pause(connection, "too <b>dear</b>", actor="host")
        page.goto("/gateway")
        expect(page.get_by_role("alert")).to_contain_text("too <b>dear</b>")
        assert opened.barriers() == []
        page.get_by_role("alert").get_by_role("button", name="Resume").click()
        page.emulate_media(color_scheme="light" if theme == "dark" else "dark")
        page.goto(f"/jobs/{job}")
        page.get_by_role("button", name=theme.capitalize()).click()
        expect(page.locator("html")).to_have_attribute("data-theme", theme)
        assert opened.barriers() == []
        assert [each for each in opened.complaints if "404" not in each] == []


@pytest.mark.parametrize(
    "address", ["/", "/jobs", "/runs", "/spend", "/budgets", "/queues", "/gateway", "/docs", "job"]
)
def test_pages_fit_a_narrow_screen(service: Stack, site: str, browser: Browser, address: str) -> None:
    job = submit(service)
    service.ended(job)
    with watched(browser, site, width=320) as opened:
        sign_in(opened.page)
        opened.page.goto(f"/jobs/{job}" if address == "job" else address)
        expect(opened.page.get_by_role("heading", level=1)).to_be_visible()
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= 320


def test_long_rules_fit_the_overview_of_a_wide_screen(service: Stack, site: str, browser: Browser) -> None:
    request = mutable_default(uuid.uuid4().int % 10**9)
    rules = ("typescript-eslint(no-explicit-any)", "jsx-a11y(no-noninteractive-element-interactions)")
    findings = [{**request["findings"][0], "tool": "oxlint", "rule": rule} for rule in rules]
    job = submit(service, findings=findings)
    with watched(browser, site, width=1200) as opened:
        sign_in(opened.page)
        expect(opened.page.locator(f"#row-{job}")).to_contain_text("typescript-eslint")
        table = opened.page.get_by_role("region", name="Table: Latest jobs")

        assert table.evaluate("each => each.scrollWidth - each.clientWidth") == 0


def test_the_edge_that_a_table_goes_on_behind_is_shaded(service: Stack, site: str, browser: Browser) -> None:
    service.ended(submit(service))
    with watched(browser, site, width=390) as opened:
        sign_in(opened.page)
        opened.page.goto("/jobs")
        table = opened.page.get_by_role("region", name="Table: Jobs")
        hidden = table.evaluate("each => each.scrollWidth - each.clientWidth")
        edges = table.evaluate("each => getComputedStyle(each).backgroundAttachment")

    assert hidden > 0
    # Covers that scroll with the table lie over shades that stay: what is scrolled to its end shows none.
    assert edges.startswith("local, local, scroll, scroll")


def test_signed_out_elsewhere_a_live_page_leads_to_the_sign_in_page(service: Stack, seen: Watched) -> None:
    engine = open_engine(service.database_url, pool_size=1)
    with engine.begin() as connection:
        user = people.user_named(connection, NAME)
        assert user is not None
        people.set_password(connection, user.id, password.hashed(PASSWORD))
    engine.dispose()

    submit(service)

    seen.page.wait_for_url("**/sign-in")
