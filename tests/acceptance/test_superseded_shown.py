"""That a run is superseded is told wherever a person looks."""

from tests.acceptance.test_api_runs import run_request, submit
from tests.support.api import Api, User
from tests.support.command import Command
from tests.support.visitor import Visitor, visible

ORIGIN = {"repository": "acme/app", "pull_request": 12}


def superseded(user: User) -> tuple[str, str]:
    """Submit two runs of a pull request; give the id of the older one, and of the one that superseded it."""
    older, newer = (submit(user, run_request(1, origin=ORIGIN)) for _ in range(2))
    return older["id"], newer["id"]


def test_the_command_line_names_the_newer_run(api: Api, user: User, patchmill: Command) -> None:
    older, newer = superseded(user)
    settings = {"PATCHMILL_SERVER_URL": api.url, "PATCHMILL_SERVER_KEY": user.secret.text()}

    status = patchmill("status", older, settings=settings)
    listed = patchmill("runs", settings=settings)

    assert "cancelled, superseded, 1 of 1 jobs ended" in status.data
    assert f"superseded by {newer}" in status.data
    [first, second] = listed.data.splitlines()
    assert (newer in first, "superseded" in first) == (True, False)
    assert (older in second, "superseded" in second) == (True, True)


def test_the_dashboard_links_the_newer_run(user: User, admin: Visitor) -> None:
    older, newer = superseded(user)

    page = admin.text(f"/runs/{older}")

    assert f'href="/runs/{newer}"' in page
    assert "Superseded by" in visible(page)
    assert "Superseded by" not in visible(admin.text(f"/runs/{newer}"))
