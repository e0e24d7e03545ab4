import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, func, select, text, update
from sqlalchemy.exc import IntegrityError

from patchmill.budget.ledger import Amount, Spent, cost
from patchmill.budget.windows import WindowKind
from patchmill.errors import CancelRequested, LostClaim
from patchmill.job.state import WaitReason
from patchmill.store import claims, ledger
from patchmill.store.budgets import add_budget
from patchmill.store.call_news import note_first_token
from patchmill.store.engine import one_by_one
from patchmill.store.tables import calls, events, jobs
from tests.support import invariants
from tests.support.claimed import HOLD, PLAN, RATES, admitted, claimed

ANSWERED = ledger.Ending(
    billed=True,
    phase="answered",
    spent=Spent(input_tokens=400, cached_tokens=128, output_tokens=50),
    values={"reply": "text", "finish_reason": "stop"},
)
REJECTED = ledger.Ending(billed=False, phase="rejected", spent=None, values={"status": 503})
UNKNOWN = ledger.Ending(billed=None, phase="unknown", spent=None, values={})
UNCOUNTED = ledger.Ending(
    billed=True, phase="answered", spent=None, values={"reply": "text", "finish_reason": "stop"}
)


def limit(
    engine: Engine,
    picos: int,
    window: WindowKind = WindowKind.DAY,
    *,
    scope: str = "installation",
    project_id: uuid.UUID | None = None,
) -> None:
    with engine.begin() as connection:
        add_budget(
            connection,
            name=f"budget {picos} {window}",
            scope=scope,
            project_id=project_id,
            key_id=None,
            window=window,
            time_zone="UTC",
            limit_picos=picos,
            limit_tokens=None,
            at_limit="wait",
        )


def money(engine: Engine) -> tuple[int, int, int]:
    (row,) = invariants.rows(engine, "SELECT settled_picos, held_picos, uncertain_picos FROM windows")
    return tuple(row)


def end(engine: Engine, call_id: uuid.UUID, ending: ledger.Ending) -> bool:
    with engine.begin() as connection:
        job_id = connection.scalars(select(calls.c.job_id).where(calls.c.id == call_id)).one()
        ended = ledger.end_call(connection, job_id, call_id, ending)
    return ended is not ledger.EndedCall.STAYED


def test_an_answer_settles_what_it_used_and_frees_the_rest(engine: Engine) -> None:
    limit(engine, 10 * HOLD.picos)
    call_id = admitted(engine, claimed(engine))
    assert money(engine) == (0, HOLD.picos, 0)

    end(engine, call_id, ANSWERED)

    assert ANSWERED.spent is not None
    assert money(engine) == (cost(ANSWERED.spent, RATES), 0, 0)


def test_a_refused_call_frees_its_hold_and_an_unknown_one_keeps_it(engine: Engine) -> None:
    limit(engine, 10 * HOLD.picos)
    refused, unknown = admitted(engine, claimed(engine)), admitted(engine, claimed(engine))

    end(engine, refused, REJECTED)
    end(engine, unknown, UNKNOWN)

    assert money(engine) == (0, 0, HOLD.picos)


def test_an_answer_without_usage_keeps_its_hold_and_its_reply(engine: Engine) -> None:
    limit(engine, 10 * HOLD.picos)
    call_id = admitted(engine, claimed(engine))

    end(engine, call_id, UNCOUNTED)

    assert money(engine) == (0, 0, HOLD.picos)
    assert invariants.rows(engine, "SELECT state, reply FROM calls") == [("uncertain", "text")]


def test_a_call_settles_once_however_often_it_is_told(engine: Engine) -> None:
    limit(engine, 10 * HOLD.picos)
    call_id = admitted(engine, claimed(engine))

    told = [end(engine, call_id, ending) for ending in (ANSWERED, ANSWERED, UNKNOWN, REJECTED)]

    assert told == [True, False, False, False]
    assert ANSWERED.spent is not None
    assert money(engine) == (cost(ANSWERED.spent, RATES), 0, 0)


def test_late_evidence_settles_an_uncertain_call(engine: Engine) -> None:
    limit(engine, 10 * HOLD.picos)
    call_id = admitted(engine, claimed(engine))
    end(engine, call_id, UNKNOWN)

    assert end(engine, call_id, ANSWERED)

    assert ANSWERED.spent is not None
    assert money(engine) == (cost(ANSWERED.spent, RATES), 0, 0)


def test_what_exceeds_its_hold_never_exceeds_the_budget(engine: Engine) -> None:
    small = Amount(tokens=10, picos=1_000)
    limit(engine, 1_000)
    call_id = admitted(engine, claimed(engine), small)

    end(engine, call_id, ANSWERED)

    assert money(engine) == (1_000, 0, 0)
    assert invariants.rows(engine, "SELECT debit, credit FROM ledger_entries WHERE phase = 'overrun'") == [
        ("overrun", "settled")
    ]


def test_a_hold_that_does_not_fit_one_window_is_held_in_none(engine: Engine) -> None:
    limit(engine, 10 * HOLD.picos, WindowKind.TOTAL)
    limit(engine, HOLD.picos - 1, WindowKind.HOUR)
    claim = claimed(engine)

    with pytest.raises(ledger.Refused):
        admitted(engine, claim)

    assert invariants.rows(engine, "SELECT sum(held_picos) FROM windows") in ([(None,)], [(0,)])
    assert invariants.rows(engine, "SELECT count(*) FROM calls") == [(0,)]


def test_a_jobs_own_cap_counts_what_it_spent_and_what_is_uncertain(engine: Engine) -> None:
    claim = claimed(engine, max_cost_picos=2 * HOLD.picos)
    end(engine, admitted(engine, claim), UNKNOWN)
    end(engine, admitted(engine, claim), ANSWERED)

    with pytest.raises(ledger.Refused):
        admitted(engine, claim)


def test_only_the_current_claim_may_send(engine: Engine) -> None:
    claim = claimed(engine)
    with engine.begin() as connection:
        claims.release(connection, claim.job_id, claim.fence, reason=None, after_s=0, refund=True)

    with pytest.raises(LostClaim):
        admitted(engine, claim)


def test_a_job_to_be_cancelled_sends_nothing_more(engine: Engine) -> None:
    claim = claimed(engine)
    with engine.begin() as connection:
        connection.execute(update(jobs).values(cancel_requested=True))

    with pytest.raises(CancelRequested):
        admitted(engine, claim)


def test_the_database_itself_refuses_to_exceed_a_cap(engine: Engine) -> None:
    limit(engine, 2 * HOLD.picos)
    admitted(engine, claimed(engine))

    with pytest.raises(IntegrityError, match="cap_picos"), engine.begin() as connection:
        connection.execute(text("UPDATE windows SET held_picos = cap_picos + 1"))


def together(count: int, act: Callable[[int], object]) -> None:
    barrier = threading.Barrier(count)

    def run(number: int) -> None:
        barrier.wait()
        act(number)

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(run, range(count)))


def test_of_twenty_at_once_only_as_many_are_admitted_as_fit(engine: Engine) -> None:
    limit(engine, 5 * HOLD.picos)
    ready = [claimed(engine) for _ in range(8)]
    refused: list[int] = []

    def act(number: int) -> None:
        try:
            admitted(engine, ready[number])
        except ledger.Refused:
            refused.append(number)

    together(8, act)

    assert len(refused) == 3
    assert money(engine) == (0, 5 * HOLD.picos, 0)


ENDINGS = {"answered": ANSWERED, "rejected": REJECTED, "unknown": UNKNOWN, "uncounted": UNCOUNTED}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.sampled_from(sorted(ENDINGS)), max_size=3), min_size=1, max_size=4))
def test_counters_can_be_rebuilt_from_the_ledger_after_any_history(
    engine: Engine, histories: list[list[str]]
) -> None:
    if not invariants.rows(engine, "SELECT id FROM budgets"):
        limit(engine, 10**15)
    for history in histories:
        call_id = admitted(engine, claimed(engine))
        for name in history:
            end(engine, call_id, ENDINGS[name])
        end(engine, call_id, UNKNOWN)

    invariants.check_ledger(engine)


def waiting_for_budget(engine: Engine, seconds: float, project: str = "default") -> uuid.UUID:
    claim = claimed(engine, project=project)
    with engine.begin() as connection:
        claims.release(
            connection, claim.job_id, claim.fence, reason=WaitReason.BUDGET, after_s=seconds, refund=True
        )
    return claim.job_id


def due(engine: Engine) -> set[uuid.UUID]:
    with engine.connect() as connection:
        waiting = select(jobs.c.id).where(jobs.c.wait_reason == "budget", jobs.c.run_at <= func.now())
        return set(connection.scalars(waiting))


def ended(engine: Engine, call_id: uuid.UUID, ending: ledger.Ending) -> ledger.EndedCall:
    with one_by_one(engine) as connection:
        job_id = connection.scalars(select(calls.c.job_id).where(calls.c.id == call_id)).one()
        return ledger.end_call(connection, job_id, call_id, ending)


def test_a_settlement_wakes_those_who_wait_for_held_room_and_not_those_who_wait_for_a_window(
    engine: Engine,
) -> None:
    limit(engine, 10 * HOLD.picos)
    first, second = (admitted(engine, claimed(engine)) for _ in range(2))
    soon, later = waiting_for_budget(engine, 4.0), waiting_for_budget(engine, 3600.0)

    assert ended(engine, first, ANSWERED) is ledger.EndedCall.WOKE_WAITERS
    assert due(engine) == {soon}
    assert ended(engine, second, ANSWERED) is ledger.EndedCall.FREED_ROOM
    assert later not in due(engine)


def test_room_that_was_uncertain_lets_those_go_on_too_who_wait_for_a_window(engine: Engine) -> None:
    limit(engine, 10 * HOLD.picos)
    call_id = admitted(engine, claimed(engine))
    later = waiting_for_budget(engine, 3600.0)

    assert ended(engine, call_id, UNKNOWN) is ledger.EndedCall.ENDED
    assert due(engine) == set()
    assert ended(engine, call_id, REJECTED) is ledger.EndedCall.WOKE_WAITERS
    assert due(engine) == {later}


@pytest.mark.parametrize(("scope", "woken"), [("installation", True), ("project", False)])
def test_waiters_of_other_projects_are_woken_where_the_budget_is_everybodys(
    engine: Engine, scope: str, *, woken: bool
) -> None:
    claim = claimed(engine)
    project_id = claim.project_id if scope == "project" else None
    limit(engine, 10 * HOLD.picos, scope=scope, project_id=project_id)
    limit(engine, 10 * HOLD.picos, WindowKind.TOTAL, scope="project", project_id=claim.project_id)
    call_id = admitted(engine, claim)
    other = waiting_for_budget(engine, 4.0, project="other")

    assert ended(engine, call_id, ANSWERED) is (
        ledger.EndedCall.WOKE_WAITERS if woken else ledger.EndedCall.FREED_ROOM
    )
    assert due(engine) == ({other} if woken else set())


def test_waiters_are_woken_in_the_order_of_their_submission(engine: Engine) -> None:
    limit(engine, 100 * HOLD.picos)
    call_ids = [admitted(engine, claimed(engine)) for _ in range(2)]
    waiting = [waiting_for_budget(engine, 4.0) for _ in range(ledger.WAKE_LIMIT + 3)]

    ended(engine, call_ids[0], ANSWERED)
    assert due(engine) == set(waiting[: ledger.WAKE_LIMIT])
    ended(engine, call_ids[1], ANSWERED)
    assert due(engine) == set(waiting)


def test_a_call_that_a_broken_worker_left_open_becomes_uncertain(engine: Engine) -> None:
    limit(engine, 10 * HOLD.picos)
    claim = claimed(engine)
    admitted(engine, claim)

    with engine.begin() as connection:
        assert ledger.suspend_open_call(connection, claim.job_id, "it broke")
        assert not ledger.suspend_open_call(connection, claim.job_id, "it broke")

    assert money(engine) == (0, 0, HOLD.picos)


def test_the_first_token_of_a_call_is_told_while_it_runs_and_never_after_its_end(engine: Engine) -> None:
    claim = claimed(engine)
    call_id = admitted(engine, claim)
    for _ in range(2):
        with engine.begin() as connection:
            note_first_token(connection, claim.job_id, call_id, PLAN.model)
        end(engine, call_id, ANSWERED)

    with engine.connect() as connection:
        told = connection.scalars(
            select(events.c.data).where(events.c.type == "job.call").order_by(events.c.seq)
        ).all()
    assert [event["phase"] for event in told] == ["started", "first_token", "answered"]
    assert told[1] == {
        "call": f"call_{call_id.hex}",
        "model": "deepseek-v4-flash",
        "phase": "first_token",
        "output_tokens": 0,
    }
