from sqlalchemy import Engine, text

from patchmill.store import key_secret
from patchmill.store.access import add_key, ensure_project
from tests.support import invariants
from tests.support.requests import mutable_default
from tests.support.stack import Stack, until

SLOTS = 3

# How many dispatches of others came after a job was submitted and before it was dispatched itself.
OVERTAKEN = text("""
    SELECT count(DISTINCT other.xact_id) FROM events other
    JOIN events submitted ON submitted.job_id = :job AND submitted.seq = 1
    JOIN events dispatched ON dispatched.job_id = :job AND dispatched.data ->> 'to' = 'dispatched'
    WHERE other.data ->> 'to' = 'dispatched' AND other.project_id <> submitted.project_id
        AND other.id > submitted.id AND other.id < dispatched.id AND other.xact_id <> dispatched.xact_id
""")


def key_of_another_project(stack: Stack, engine: Engine) -> str:
    secret = key_secret.make()
    with engine.begin() as connection:
        add_key(
            connection,
            project_id=ensure_project(connection, "small"),
            name="test",
            public_id=secret.public_id,
            secret_hash=key_secret.digest(secret, key_secret.load_pepper(None, stack.data_dir)),
            scopes=("jobs:read", "jobs:write"),
            expires_at=None,
        )
    return secret.text()


def test_a_project_with_a_few_jobs_is_not_held_up_by_one_with_a_backlog(stack: Stack, engine: Engine) -> None:
    stack.settings["PATCHMILL_GATEWAY_CONCURRENCY"] = str(SLOTS)
    stack.start_api()
    stack.start("worker")
    stack.behave(latency_ms=150)
    with stack.http() as http:
        for number in range(90):
            body = mutable_default(number, options={"priority": "interactive"})
            assert http.post("/v1/jobs", json=body).status_code == 202
    until(lambda: invariants.rows(engine, "SELECT 1 FROM jobs WHERE state = 'running'"), "the backlog begun")
    stack.key = key_of_another_project(stack, engine)

    for number in range(5):
        assert stack.run(mutable_default(1_000 + number))["outcome"] == "verified"

    left = "SELECT 1 FROM jobs WHERE state = 'queued'"
    assert invariants.rows(engine, left), "there was a backlog all the time"
    mine = "SELECT jobs.id FROM jobs JOIN projects p ON p.id = project_id WHERE p.name = 'small'"
    with engine.connect() as connection:
        overtaken = [connection.scalar(OVERTAKEN, {"job": row.id}) for row in invariants.rows(engine, mine)]
    # Those that were under way when the job came, at most one from each slot that ended a job.
    assert len(overtaken) == 5
    assert max(each or 0 for each in overtaken) <= SLOTS
