"""The clocks of machines are an hour wrong, and jump: what is decided goes by other clocks."""

import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text

from api.dashboard.session import COOKIE, make_token, token_hash
from patchmill.store import people
from tests.acceptance.test_api_runs import run_request
from tests.fault.test_webhook_outbox import LOOPBACK, subscribe
from tests.support import faults, invariants
from tests.support.clocks import WrongClock
from tests.support.faults import Told
from tests.support.jobs import all_ended, named, post, states, submit
from tests.support.nursery import Process
from tests.support.receiver import Receiver
from tests.support.requests import mutable_default
from tests.support.stack import Stack, until

pytestmark = [
    pytest.mark.fault,
    pytest.mark.slow,
    pytest.mark.timeout(faults.timeout_s(240)),
]

HOUR_S = 3600.0
JOBS = faults.of_scale(10, 300)
JUMPS = faults.of_scale(3, 40)
DEADLINE_S = 4.0
ASKED = "H5_retry_after_date"  # the gateway asks for a wait of 2 s, by a date of its own clock
ASKED_S = 2.0
TTL_S = 5.0  # which a busy machine keeps
CALL_S = 6.0  # until a call's deadline
LATE_S = 2.0
ORIGIN = {"forge": "github", "repository": "acme/app", "pull_request": 12}
MINUTES = timedelta(minutes=10)
_WAITED = """
    SELECT extract(epoch FROM max(sent_at) - min(ended_at))::float8
    FROM calls c JOIN jobs j ON j.id = c.job_id WHERE j.path = 'src/asked.py'
"""
_TOOK = "SELECT extract(epoch FROM finished_at - created_at)::float8 FROM jobs WHERE path = 'src/late.py'"


def one(engine: Engine, statement: str) -> Any:
    [[value]] = invariants.rows(engine, statement)
    return value


def killed_in_a_call(stack: Stack, engine: Engine, victim: Process, first: int) -> float:
    """Kill a worker while a call of its own is on the wire; give the seconds until that is given up."""
    mine = f"""
        SELECT c.id FROM calls c JOIN jobs j ON j.id = c.job_id JOIN workers w ON w.id = j.worker_id
        WHERE c.state = 'sent' AND split_part(w.name, ':', 2) = '{victim.pid}'
    """
    stack.behave(faults=[{"fault": "hold", "times": 8}])
    submit(stack, 8, first=first)
    [call] = until(lambda: invariants.rows(engine, mine), "a call of the worker on the wire")[0]
    victim.send_signal(signal.SIGKILL)
    until(lambda: all_ended(engine, first + 8), "all ended")
    took = f"SELECT extract(epoch FROM ended_at - sent_at)::float8 FROM calls WHERE id = '{call}'"
    return float(one(engine, took))


def test_workers_whose_clocks_jump_by_an_hour_decide_nothing_early_and_nothing_late(
    stack: Stack, engine: Engine, tmp_path: Path
) -> None:
    rng = faults.chance("clocks")
    jumping = WrongClock(tmp_path / "jumping", ahead_s=HOUR_S)
    behind = WrongClock(tmp_path / "behind", ahead_s=-HOUR_S)
    stack.settings |= {"PATCHMILL_LEASE_TTL_S": str(TTL_S), "PATCHMILL_CALL_DEADLINE_S": str(CALL_S)}
    stack.behave(
        latency_ms=1_000,
        faults=[
            {"fault": "hold", "times": 9, "match": "src/late"},
            {"wire_case": ASKED, "times": 1, "match": "src/asked"},
        ],
    )
    stack.start_api()
    victim = stack.start("worker", **jumping.settings)
    stack.start("worker", **behind.settings)
    until(lambda: stack.logs().count("worker ready") == 2, "two workers")
    submit(stack, JOBS, options={"deadline_s": 60})
    late = {"options": {"deadline_s": DEADLINE_S}}
    post(stack, named("src/asked.py", JOBS), named("src/late.py", JOBS + 1, **late))

    ahead_s = HOUR_S
    for _ in range(JUMPS):
        faults.wait_while(rng.uniform(0.5, 1.5))
        ahead_s = -ahead_s
        jumping.jump(ahead_s)
    until(lambda: all_ended(engine, JOBS + 2), "all ended")

    assert states(engine) == {"succeeded": JOBS + 1, "failed": 1}
    assert one(engine, "SELECT error->>'code' FROM jobs WHERE state = 'failed'") == "deadline_exceeded"
    taken = "SELECT path FROM jobs WHERE losses > 0 OR fence > 1 AND path LIKE 'src/module%'"
    assert invariants.rows(engine, taken) == []
    asked_s = one(engine, _WAITED)
    late_s = one(engine, _TOOK) - DEADLINE_S
    back_s = killed_in_a_call(stack, engine, victim, JOBS + 2)
    stack.release()
    until(lambda: stack.truth()["in_flight"] == 0, "nothing in flight")

    invariants.check(engine, stack.truth())
    assert asked_s >= ASKED_S - 1  # which a date has no parts of
    assert late_s >= 0
    assert back_s >= CALL_S + TTL_S
    assert faults.in_time(max(asked_s - ASKED_S, late_s, back_s - CALL_S - TTL_S), LATE_S)
    faults.tell(
        Told(
            broke="the clocks of two workers are an hour ahead and behind, and one jumps by two hours",
            often=f"{JUMPS} jumps",
            jobs=JOBS + 10,
            bar="no job is taken away early; waits, deadlines and the taking over from a killed worker "
            f"are at most {LATE_S:g} s late",
            measured=f"0 taken away; a wait of {ASKED_S:g} s took {asked_s:.1f} s, "
            f"a deadline was {late_s:.1f} s late, "
            f"a call of {CALL_S:g} s and a lease of {TTL_S} s were given up after {back_s:.1f} s",
        )
    )


@pytest.fixture
def apis(stack: Stack, tmp_path: Path) -> Iterator[list[httpx.Client]]:
    """Give clients of two APIs, whose clocks are an hour ahead and an hour behind."""
    stack.settings["PATCHMILL_WEBHOOK_ALLOWED_NETWORKS"] = LOOPBACK
    with ExitStack() as clients:
        made = []
        for name, ahead_s in (("ahead", HOUR_S), ("behind", -HOUR_S)):
            clock = WrongClock(tmp_path / name, ahead_s=ahead_s)
            stack.settings |= clock.settings
            stack.start_api()
            made.append(clients.enter_context(stack.http()))
        for setting in clock.settings:
            del stack.settings[setting]
        yield made


def test_the_newer_run_is_the_one_that_was_submitted_later_whatever_the_clocks_of_the_apis_say(
    apis: list[httpx.Client],
) -> None:
    older, newer = (
        http.post("/v1/runs", json=run_request(1, origin=ORIGIN | {"head": head})).json()
        for http, head in zip(apis, ("aaa", "bbb"), strict=True)
    )

    superseded = [apis[0].get(f"/v1/runs/{run['id']}").json()["superseded_by"] for run in (older, newer)]
    assert superseded == [newer["id"], None]


def sign_in(engine: Engine) -> Mapping[str, str]:
    """Open a session; give the headers of whoever has it."""
    token = make_token()
    with engine.begin() as connection:
        people.add_user(connection, name="somebody", password_hash="none", role="viewer")
        user = people.user_named(connection, "somebody")
        assert user is not None
        people.open_session(connection, user.id, token_hash(token))
    return {"Cookie": f"{COOKIE}={token}", "Accept": "text/html"}


def test_keys_sessions_and_webhooks_are_good_for_the_right_time(
    stack: Stack, engine: Engine, apis: list[httpx.Client]
) -> None:
    signed_in = sign_in(engine)
    stack.start("worker")
    with Receiver() as receiver:
        _, secret = subscribe(stack, receiver.url())
        ids = [
            http.post("/v1/jobs", json=mutable_default(number)).json()["id"]
            for number, http in enumerate(apis)
        ]
        done = [stack.ended(job_id)["outcome"] for job_id in ids]
        told = receiver.wait_for(len(ids))
    off_s = max(abs(float(message.headers["webhook-timestamp"]) - time.time()) for message in told)
    assert done == ["verified", "verified"]
    assert {message.verified(secret)["type"] for message in told} == {"job.succeeded"}

    for left, status in ((MINUTES, 200), (-MINUTES, 401)):
        with engine.begin() as connection:
            connection.execute(text("UPDATE keys SET expires_at = now() + :left"), {"left": left})
        assert [http.get("/v1/jobs").status_code for http in apis] == [status, status]
        assert [http.get("/spend", headers=signed_in).status_code for http in apis] == [200, 200]

    invariants.check(engine, stack.truth())
    faults.tell(
        Told(
            broke="the clocks of two API processes are an hour ahead and behind",
            often="2 processes",
            jobs=len(ids) + 2,
            bar="the later run supersedes; keys and sessions end when they should; webhooks are signed with "
            "the right time; jobs are due at once",
            measured=f"all so; signatures at most {off_s:.1f} s old when looked at",
        )
    )
