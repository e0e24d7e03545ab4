"""Postgres is killed and started again, and its connections are cut, under load."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from patchmill.store.engine import open_engine
from tests.support import faults, invariants, ledger_audit
from tests.support.faults import Told
from tests.support.load import Load, declining
from tests.support.own_services import OwnPostgres, own_postgres
from tests.support.stack import Stack, standing, until

pytestmark = [
    pytest.mark.fault,
    pytest.mark.slow,
    pytest.mark.timeout(faults.timeout_s(240)),
]

PER_S = faults.of_scale(5, 6)
RESTARTS = faults.of_scale(2, 20)
STORM_S = faults.of_scale(2, 30)
STORM_EVERY_S = 0.3
BACK_WITHIN_S = 30.0
ACCEPTED = {200, 202}


@pytest.fixture
def server() -> Iterator[OwnPostgres]:
    with own_postgres() as server:
        yield server


@pytest.fixture
def own_stack(server: OwnPostgres, redis_url: str, tmp_path: Path) -> Iterator[Stack]:
    with server.database("outages") as url, standing(url, redis_url, tmp_path) as made:
        # Answers come while Postgres is away, and no call is given up for that.
        made.settings["PATCHMILL_CALL_DEADLINE_S"] = "30"
        yield made


@pytest.fixture
def own_engine(own_stack: Stack) -> Iterator[Engine]:
    engine = open_engine(own_stack.database_url, pool_size=2)
    yield engine
    engine.dispose()


def accepted_since(load: Load, at: float) -> float | None:
    """Give how long after a time the first submission was accepted."""
    times = [each.at + each.took_s - at for each in load.since(at) if each.status in ACCEPTED]
    return min(times, default=None)


def restart(server: OwnPostgres, load: Load) -> list[float]:
    """Kill it again and again; give how long after each start the next submission was accepted."""
    rng = faults.chance("postgres")
    back = []
    for _ in range(RESTARTS):
        faults.wait_while(rng.uniform(0.5, 2.5))
        server.kill()
        faults.wait_while(rng.uniform(0.0, 1.5))
        server.start()
        back.append(until(partial(accepted_since, load, time.time()), "a submission accepted"))
    return back


def cut_again_and_again(server: OwnPostgres, stack: Stack) -> int:
    """Cut every connection to the database many times; give how many were cut."""
    name = make_url(stack.database_url).database
    cut = 0
    engine = create_engine(server.url, isolation_level="AUTOCOMMIT")
    statement = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")

    def terminate() -> None:
        nonlocal cut
        with engine.connect() as connection:
            cut += len(connection.execute(statement, {"name": name}).all())

    faults.wait_while(STORM_S, terminate, STORM_EVERY_S)
    engine.dispose()
    return cut


def all_ended(engine: Engine) -> bool:
    try:
        return invariants.open_jobs(engine) == 0
    except SQLAlchemyError:
        return False


def test_nothing_is_lost_or_done_twice_whatever_becomes_of_postgres(
    own_stack: Stack, own_engine: Engine, server: OwnPostgres
) -> None:
    own_stack.behave(latency_ms=1_000, script=declining())
    own_stack.start_api()
    processes = [own_stack.processes[0], *(own_stack.start("worker") for _ in range(2))]
    with Load(own_stack, per_s=PER_S, again=True) as load:
        until(lambda: own_stack.truth()["requests"] > PER_S, "the service at work")
        back = restart(server, load)
        restarted = len(load.accepted)
        cut = cut_again_and_again(server, own_stack)
        stormed_at = time.time()
        back_after_storm = until(lambda: accepted_since(load, stormed_at), "a submission accepted")
    until(lambda: all_ended(own_engine), "all ended", faults.timeout_s(120))

    truth = until(lambda: (told := own_stack.truth())["in_flight"] == 0 and told, "nothing in flight")
    assert [process.poll() for process in processes] == [None] * 3
    assert set(load.statuses) <= {*ACCEPTED, 503}
    assert len(set(load.accepted)) == len(load.accepted)
    assert invariants.rows(own_engine, "SELECT count(*) FROM jobs") == [(len(load.accepted),)]
    assert invariants.rows(own_engine, "SELECT DISTINCT state FROM jobs") == [("succeeded",)]
    invariants.check(own_engine, truth, load.accepted)
    total = ledger_audit.audit(own_engine, truth).total
    assert total.uncertain_billed_picos == 0  # every answer that a worker had in hand was saved
    for times in (back, [back_after_storm]):
        assert faults.in_time(max(times), BACK_WITHIN_S)
    _tell(load, total, restarted=restarted, back=back, cut=cut, back_after_storm=back_after_storm)


def _tell(
    load: Load,
    total: ledger_audit.Account,
    *,
    restarted: int,
    back: list[float],
    cut: int,
    back_after_storm: float,
) -> None:
    bar = (
        "0 lost, 0 double; no process ends; every answer is saved; the API answers 503 alone, "
        f"and accepts within {BACK_WITHIN_S:.0f} s after"
    )
    both = (
        f"0 lost, 0 double, no process ended, {total.states['settled']:,} answers saved of "
        f"{total.requests:,} (both together); {load.statuses[503]} times 503 and nothing else; "
        "accepted again after at most"
    )
    faults.tell(
        Told(
            broke="Postgres is killed and started again, under load",
            often=f"{len(back)} kills",
            jobs=restarted,
            bar=bar,
            measured=f"{both} {max(back):.1f} s",
        )
    )
    faults.tell(
        Told(
            broke="connections to Postgres are cut, under load",
            often=f"{cut:,} connections in {STORM_S} s",
            jobs=len(load.accepted) - restarted,
            bar=bar,
            measured=f"{both} {back_after_storm:.1f} s",
        )
    )
