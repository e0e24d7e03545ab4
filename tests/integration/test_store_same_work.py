"""Who does identical work, who waits for it, and who is given its result: by the store alone."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from patchmill.edit.span import Hunk
from patchmill.job.record import ErrorCode, FindingStatus, Outcome
from patchmill.job.state import State
from patchmill.store import claims, erasure, jobs, results, retries
from patchmill.store.access import ensure_project
from patchmill.store.claims import Claim
from patchmill.store.results import CheckRow, Found
from patchmill.store.same_work import lost_race
from tests.support import claimed, invariants
from tests.support.claimed import dispatched, submitted, worker
from tests.support.offers import group
from tests.support.stack import until

TERMS = b"terms"
SOON = "run_at - now() BETWEEN interval '0 seconds' AND interval '1 second'"
WAITS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)
LATER = "run_at - now() BETWEEN interval '30 seconds' AND interval '61 seconds'"


def twins(engine: Engine, number: int, **more: Any) -> list[uuid.UUID]:
    return [submitted(engine, reuse=True, **more) for _ in range(number)]


def sent(engine: Engine) -> dict[uuid.UUID, int]:
    return {job_id: number for job_id, number, _ in dispatched(engine)}


def take(engine: Engine, job_id: uuid.UUID, number: int, terms: bytes = TERMS) -> Claim | None:
    return claimed.take(engine, job_id, number, terms=terms)


def begun(engine: Engine, job_id: uuid.UUID, number: int, **more: Any) -> Claim:
    claim = take(engine, job_id, number, **more)
    assert claim is not None
    assert claim.served_from is None
    return claim


def end(engine: Engine, claim: Claim, outcome: Outcome = Outcome.VERIFIED, **more: Any) -> None:
    with engine.begin() as connection:
        claims.lock(connection, claim.job_id, claim.fence)
        claims.finish(
            connection,
            claim.job_id,
            claim.fence,
            State.SUCCEEDED,
            outcome=outcome,
            **{"serves": True, **more},
        )


def fail(engine: Engine, claim: Claim) -> None:
    error = {"code": ErrorCode.UNVERIFIED, "message": "m", "retryable": True, "details": {}}
    with engine.begin() as connection:
        claims.finish(connection, claim.job_id, claim.fence, State.FAILED, error=error)


def column(engine: Engine, job_id: uuid.UUID, name: str) -> Any:
    with engine.connect() as connection:
        return connection.scalar(text(f"SELECT {name} FROM jobs WHERE id = :id"), {"id": job_id})


def due(engine: Engine) -> int:
    [(number,)] = invariants.rows(
        engine, "SELECT count(*) FROM jobs WHERE state = 'queued' AND run_at <= now()"
    )
    return int(number)


def test_while_one_runs_the_others_wait_and_lose_no_attempt(engine: Engine) -> None:
    first, second = twins(engine, 2)
    numbers = sent(engine)

    begun(engine, first, numbers[first])
    assert take(engine, second, numbers[second]) is None

    shown = "state, wait_reason, attempts, fence"
    with engine.connect() as connection:
        row = connection.execute(text(f"SELECT {shown} FROM jobs WHERE id = :id"), {"id": second}).one()
    assert tuple(row) == ("queued", "same_work", 0, 0)
    assert column(engine, second, LATER)
    told = "SELECT data ->> 'wait_reason' FROM events WHERE job_id = :id ORDER BY seq DESC LIMIT 1"
    with engine.connect() as connection:
        assert connection.scalar(text(told), {"id": second}) == "same_work"


def test_a_result_wakes_all_who_wait_and_each_gets_a_copy_of_its_own(engine: Engine) -> None:
    first, *others = twins(engine, 4)
    numbers = sent(engine)
    claim = begun(engine, first, numbers[first])
    for other in others:
        assert take(engine, other, numbers[other]) is None
    changes = [
        Hunk(
            start_line=4,
            end_line=4,
            original=claim.task.source.splitlines(keepends=True)[3],
            replacement="x\n",
        ),
        Hunk(
            start_line=6,
            end_line=6,
            original=claim.task.source.splitlines(keepends=True)[5],
            replacement="y\n",
        ),
    ]
    offered = group(claim.task.source, changes, source="model", path="a.py")
    evidence = [
        CheckRow(
            suggestion_id=one.id, call_id=None, check="finding_gone", result="passed", detail="ruff B006"
        )
        for one in offered
    ]
    refused = CheckRow(suggestion_id=None, call_id=None, check="parses", result="failed", detail="not shown")
    assert due(engine) == 0

    fates: dict[int, tuple[FindingStatus, str | None]] = {0: (FindingStatus.VERIFIED, None)}
    end(engine, claim, found=Found(offered=offered, evidence=[*evidence, refused], fates=fates))

    assert due(engine) == 3
    numbers = sent(engine)
    for other in others:
        served = take(engine, other, numbers[other])
        assert served is not None
        assert served.served_from == first
        assert column(engine, other, "state || ' ' || outcome") == "succeeded verified"
        with engine.connect() as connection:
            copies = results.suggestions_of(connection, [other])[other]
            checks = results.evidence_of(connection, [other])
            [finding] = jobs.findings_of(connection, [other])[other]
        assert [(one.source, one.replacement) for one in copies] == [("store", "x\n"), ("store", "y\n")]
        assert copies[0].requires == (copies[1].id,)
        assert copies[1].requires == (copies[0].id,)
        assert not {one.id for one in copies} & {one.id for one in offered}
        assert [[check.detail for check in checks[one.id]] for one in copies] == [["ruff B006"]] * 2
        assert finding.status == "verified"
    assert invariants.rows(engine, "SELECT count(*) FROM checks") == [(9,)]


def test_who_stands_back_holds_nobody_while_it_waits_for_its_own_row(engine: Engine) -> None:
    first, second = twins(engine, 2)
    numbers = sent(engine)
    assert take(engine, first, numbers[first]) is not None
    lock = text("SELECT id FROM jobs WHERE id = :job FOR UPDATE")

    with ThreadPoolExecutor(1) as threads:
        with engine.begin() as connection:
            connection.execute(lock, {"job": second})
            standing_back = threads.submit(take, engine, second, numbers[second])
            until(lambda: invariants.rows(engine, WAITS) == [(1,)], "the claim, waiting")
            connection.execute(lock, {"job": first})
        assert standing_back.result() is None

    assert column(engine, second, "wait_reason") == "same_work"


def test_the_mark_of_the_stand_in_is_never_lost(engine: Engine) -> None:
    first, second = twins(engine, 2)
    numbers = sent(engine)
    claim = begun(engine, first, numbers[first])
    change = Hunk(
        start_line=4, end_line=4, original=claim.task.source.splitlines(keepends=True)[3], replacement="x\n"
    )
    offered = group(claim.task.source, [change], source="stand-in", path="a.py")
    end(engine, claim, found=Found(offered=offered))

    assert take(engine, second, numbers[second]) is not None

    with engine.connect() as connection:
        assert [one.source for one in results.suggestions_of(connection, [second])[second]] == ["stand-in"]


def test_after_a_failure_one_of_those_who_wait_does_the_work(engine: Engine) -> None:
    first, *others = twins(engine, 4)
    numbers = sent(engine)
    claim = begun(engine, first, numbers[first])
    for other in others:
        take(engine, other, numbers[other])

    fail(engine, claim)

    assert due(engine) == 1
    [(woken, number)] = sent(engine).items()
    assert woken == others[0]
    begun(engine, woken, number)


def test_after_a_cancellation_too(engine: Engine) -> None:
    first, second = twins(engine, 2)
    numbers = sent(engine)
    claim = begun(engine, first, numbers[first])
    take(engine, second, numbers[second])
    with engine.begin() as connection:
        jobs.cancel(connection, claim.project_id, first)
        claims.finish(connection, first, claim.fence, State.CANCELLED)

    begun(engine, second, sent(engine)[second])


def test_a_result_that_something_else_has_cut_short_serves_nobody(engine: Engine) -> None:
    first, *others = twins(engine, 3)
    numbers = sent(engine)
    claim = begun(engine, first, numbers[first])
    for other in others:
        take(engine, other, numbers[other])

    end(engine, claim, Outcome.PARTIAL, serves=False)

    [(woken, number)] = sent(engine).items()
    begun(engine, woken, number)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"number": 1}),
        ({}, {"project": "another"}),
        ({}, {"reuse": False}),
        ({"reuse": False}, {}),
    ],
    ids=["other content", "other project", "refused", "does not serve"],
)
def test_what_is_not_the_same_work_is_done(
    engine: Engine, one: dict[str, Any], other: dict[str, Any]
) -> None:
    first = submitted(engine, **{"reuse": True, **one})
    second = submitted(engine, **{"reuse": True, **other})
    numbers = sent(engine)
    claim = begun(engine, first, numbers[first])
    end(engine, claim)

    begun(engine, second, numbers[second])


def test_on_other_terms_the_work_is_another(engine: Engine) -> None:
    first, second, third = twins(engine, 3)
    numbers = sent(engine)
    end(engine, begun(engine, first, numbers[first]))

    begun(engine, second, numbers[second], terms=b"another prompt")

    with engine.begin() as connection:
        connection.execute(text("""UPDATE projects SET policy = '{"model": "another"}'"""))
    begun(engine, third, numbers[third])


def test_a_job_whose_code_was_erased_serves_nobody_and_its_copies_neither(engine: Engine) -> None:
    first, second, third = twins(engine, 3)
    numbers = sent(engine)
    claim = begun(engine, first, numbers[first])
    end(engine, claim)
    assert take(engine, second, numbers[second]) is not None
    with engine.begin() as connection:
        erasure.erase(connection, claim.project_id, first, actor="somebody")

    begun(engine, third, numbers[third])


def test_what_is_being_erased_at_this_moment_does_not_serve(engine: Engine) -> None:
    first, second = twins(engine, 2)
    numbers = sent(engine)
    claim = begun(engine, first, numbers[first])
    end(engine, claim)

    with engine.begin() as erasing:
        erasure.erase(erasing, claim.project_id, first, actor="somebody")
        begun(engine, second, numbers[second])


def test_a_job_that_is_asked_for_again_does_the_work_anew(engine: Engine) -> None:
    first, second = twins(engine, 2)
    numbers = sent(engine)
    end(engine, begun(engine, first, numbers[first]), Outcome.PARTIAL)
    served = take(engine, second, numbers[second])
    assert served is not None
    with engine.begin() as connection:
        retries.retry(connection, ensure_project(connection, "default"), second, actor="user:ada")

    begun(engine, second, sent(engine)[second])

    assert column(engine, second, "served_from") is None


def test_whoever_finds_the_other_about_to_end_looks_again_soon(engine: Engine) -> None:
    first, second = twins(engine, 2)
    numbers = sent(engine)
    claim = begun(engine, first, numbers[first])

    with engine.begin() as ending:
        claims.lock(ending, first, claim.fence)
        take(engine, second, numbers[second])
        assert column(engine, second, SOON)
        claims.finish(ending, first, claim.fence, State.SUCCEEDED, outcome=Outcome.NO_CHANGE, serves=True)


@pytest.mark.parametrize("well", [True, False])
def test_whoever_goes_to_wait_while_the_other_ends_is_never_overlooked(engine: Engine, well: bool) -> None:  # noqa: FBT001
    """Both at once, many times: afterwards the waiting one is due, or about to look again."""
    for each in range(25):
        first, second = (submitted(engine, each, reuse=True) for _ in range(2))
        numbers = sent(engine)
        claim = begun(engine, first, numbers[first])
        barrier = threading.Barrier(2)

        def act(job_id: uuid.UUID, *, claim: Claim = claim, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            if job_id != claim.job_id:
                take(engine, job_id, numbers[job_id])  # noqa: B023 - the threads end within the round
            elif well:
                end(engine, claim)
            else:
                fail(engine, claim)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(act, (first, second)))

        waits = column(engine, second, f"state = 'queued' AND run_at > now() AND NOT ({SOON})")
        assert not waits, "it sleeps though nobody runs"


def test_the_database_lets_one_of_many_at_once_begin(engine: Engine) -> None:
    """Claims at one moment, past the look at who runs: the index holds, and whoever lost finds the other."""
    made = twins(engine, 6)
    numbers = sent(engine)
    workers = {job_id: worker(engine) for job_id in made}
    barrier = threading.Barrier(len(made))

    def act(job_id: uuid.UUID) -> str:
        barrier.wait()
        try:
            return look(job_id)
        except IntegrityError as error:
            if not lost_race(error):
                raise
            return look(job_id)

    def look(job_id: uuid.UUID) -> str:
        claim = claimed.take(engine, job_id, numbers[job_id], workers[job_id], terms=TERMS)
        return "waits" if claim is None else "begins"

    with ThreadPoolExecutor(len(made)) as pool:
        fates = sorted(pool.map(act, made))

    assert fates == ["begins", *["waits"] * 5]
    assert invariants.rows(engine, "SELECT count(*) FROM jobs WHERE state = 'running'") == [(1,)]


def test_two_of_one_work_cannot_be_made_to_run(engine: Engine) -> None:
    first, second = twins(engine, 2)
    numbers = sent(engine)
    begun(engine, first, numbers[first])
    forced = text(
        "UPDATE jobs SET state = 'running', worker_id = gen_random_uuid(),"
        " work_key = (SELECT work_key FROM jobs WHERE id = :first) WHERE id = :second"
    )

    with pytest.raises(IntegrityError) as refused, engine.begin() as connection:
        connection.execute(forced, {"first": first, "second": second})

    assert lost_race(refused.value)


@pytest.mark.parametrize(
    ("index", "wanted"),
    [("ix_jobs_done_work", "done"), ("ix_jobs_at_work", "runs")],
)
def test_a_claim_looks_by_index_however_many_have_ended(engine: Engine, index: str, wanted: str) -> None:
    """Among many jobs of the project, planned for what the tables hold."""
    first, second = twins(engine, 2)
    numbers = sent(engine)
    claim = begun(engine, first, numbers[first])
    if wanted == "done":
        end(engine, claim)
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO jobs (id, project_id, kind, state, outcome, finished_at, priority, run_at, path,"
                " language, sha256, bytes, request, origin, labels, timings, task_key, work_key)"
                " SELECT gen_random_uuid(), project_id, kind, 'succeeded', 'verified', now(), priority,"
                " now(), path, language, sha256, bytes, request, '{}', '{}', '{}', task_key,"
                " sha256(convert_to(n::text, 'UTF8')) FROM jobs, generate_series(1, 20000) n WHERE id = :id"
            ),
            {"id": first},
        )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE jobs"))
    used = text("SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = :name")
    read = text("SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'jobs'")

    def counted() -> tuple[int, int]:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_stat_force_next_flush()"))
        with engine.connect() as connection:
            return (
                connection.scalar(used, {"name": index}) or 0,
                connection.scalar(read) or 0,
            )

    before = counted()
    with engine.begin() as connection:
        claims.claim(connection, second, numbers[second], worker(engine), terms=TERMS)
        connection.execute(text("SELECT pg_stat_force_next_flush()"))
    after = counted()

    assert after[0] > before[0]
    assert after[1] == before[1], "no table is read whole"
