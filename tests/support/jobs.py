"""Jobs submitted to a service over HTTP, and what became of all that there are."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine, text

from patchmill.job.state import TERMINAL
from tests.support import invariants
from tests.support.requests import mutable_default
from tests.support.stack import Stack


def post(stack: Stack, *bodies: Mapping[str, Any]) -> list[str]:
    """Submit jobs; give their ids."""
    with stack.http() as http:
        answers = [http.post("/v1/jobs", json=body) for body in bodies]
    assert {answer.status_code for answer in answers} == {202}, answers[-1].text
    return [answer.json()["id"] for answer in answers]


def submit(stack: Stack, count: int, *, first: int = 0, **more: Any) -> list[str]:
    """Submit so many jobs, which need the model; give their ids."""
    return post(stack, *(mutable_default(number, **more) for number in range(first, first + count)))


def named(path: str, number: int, **more: Any) -> dict[str, Any]:
    """Give the request for a job about a file of this path, which its prompts name."""
    body = mutable_default(number, **more)
    return body | {"file": {**body["file"], "path": path}}


def let_deadlines_pass(engine: Engine) -> None:
    """Let the deadline of each call on the wire have passed, as far as other workers can tell."""
    with engine.begin() as connection:
        connection.execute(text("UPDATE calls SET deadline_at = now() WHERE state = 'sent'"))


def states(engine: Engine) -> dict[str, int]:
    """Count the jobs by state."""
    return dict(map(tuple, invariants.rows(engine, "SELECT state, count(*) FROM jobs GROUP BY state")))


def succeeded(engine: Engine) -> int:
    """Count the jobs that ended well."""
    return states(engine).get("succeeded", 0)


def all_succeeded(engine: Engine, count: int) -> bool:
    """Whether there are so many jobs and all of them ended well."""
    return states(engine) == {"succeeded": count}


def all_ended(engine: Engine, count: int) -> bool:
    """Whether so many jobs have ended."""
    return sum(number for state, number in states(engine).items() if state in TERMINAL) == count
