from sqlalchemy import func

from patchmill.job.state import State
from tests.support.api import User, job_uuid
from tests.support.visitor import Visitor, visible


def test_the_page_of_a_job_leads_to_the_one_whose_result_it_was_given(user: User, admin: Visitor) -> None:
    first, second = user.submit()["id"], user.submit()["id"]
    user.run(first)
    user.succeed(first)
    user.run(second)
    ended = {"outcome": "verified", "worker_id": None, "finished_at": func.now()}
    user.move(second, State.RUNNING, State.SUCCEEDED, served_from=job_uuid(first), **ended)

    page = admin.text(f"/jobs/{second}")

    assert "which did the same work" in visible(page)
    assert f'href="/jobs/{first}"' in page
    assert "which did the same work" not in visible(admin.text(f"/jobs/{first}"))
    assert user.http.get(f"/v1/jobs/{second}").json()["served_from"] == first


def test_a_job_that_waits_for_another_says_so(user: User, admin: Visitor) -> None:
    job = user.submit()["id"]
    user.move(job, State.QUEUED, State.DISPATCHED, dispatch_no=1)
    later = func.now() + func.make_interval(0, 0, 0, 0, 0, 1)
    user.move(job, State.DISPATCHED, State.QUEUED, wait_reason="same_work", run_at=later)

    assert "Another job does the same work" in visible(admin.text(f"/jobs/{job}"))
    assert user.http.get(f"/v1/jobs/{job}").json()["wait_reason"] == "same_work"
