"""How a budget's window was spent: its counters beside the ledger's entries, read in one moment."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from itertools import accumulate

from sqlalchemy import ARRAY, Connection, DateTime, RowMapping, Uuid, bindparam, text

from patchmill.budget.forecast import exhausted_at, pace_since
from patchmill.budget.ledger import NOTHING, Amount
from patchmill.budget.windows import Bounds, WindowKind, bounds, steps
from patchmill.store.budgets import BudgetRow, BudgetUse, unused
from patchmill.store.ids import first_id

_LONGEST_CALL = timedelta(days=1)  # from its admission to its settlement, and far more than that


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What was settled from `starts_at` until the next step, and since the window began."""

    starts_at: datetime
    settled: Amount
    cumulative: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """A window's use, its steps, and what was settled in it `lately`."""

    use: BudgetUse
    steps: Sequence[Step]
    lately: Amount
    lately_since: datetime


# What exceeded a hold is overrun, which no window bears. One statement, and so one snapshot: the entries
# sum to the counters.
_COURSE = text(
    """
    SELECT w.settled_picos, w.settled_tokens, w.held_picos, w.held_tokens,
           w.uncertain_picos, w.uncertain_tokens,
           posted.step, posted.picos, posted.tokens, posted.lately_picos, posted.lately_tokens
    FROM windows w LEFT JOIN LATERAL (
        SELECT greatest(1, width_bucket(moved.at, :starts)) AS step,
               sum(moved.picos)::bigint AS picos,
               sum(moved.tokens)::bigint AS tokens,
               sum(moved.picos) FILTER (WHERE moved.at >= :lately)::bigint AS lately_picos,
               sum(moved.tokens) FILTER (WHERE moved.at >= :lately)::bigint AS lately_tokens
        FROM (
            SELECT e.at,
                   CASE WHEN e.credit = 'settled' THEN e.picos ELSE -e.picos END AS picos,
                   CASE WHEN e.credit = 'settled' THEN e.tokens ELSE -e.tokens END AS tokens
            FROM call_windows c JOIN ledger_entries e ON e.call_id = c.call_id
            WHERE c.window_id = w.id AND c.call_id >= :first_call
              AND 'settled' IN (e.credit, e.debit) AND 'overrun' NOT IN (e.credit, e.debit)
        ) moved
        GROUP BY 1
    ) posted ON true
    WHERE w.budget_id = :budget_id AND w.starts_at = :starts_at
    """
).bindparams(
    bindparam("starts", type_=ARRAY(DateTime(timezone=True))),
    bindparam("lately", type_=DateTime(timezone=True)),
    bindparam("first_call", type_=Uuid),
    bindparam("budget_id", type_=Uuid),
    bindparam("starts_at", type_=DateTime(timezone=True)),
)


def course_of(connection: Connection, budget: BudgetRow, now: datetime, *, whole: bool) -> Course:
    """Give the use of a budget's current window, and how it came to it: in its steps if `whole`.

    A total is shown from some days back, and its first step holds all that was settled before.
    """
    window = bounds(budget.window, budget.time_zone, now)
    lately = pace_since(budget.window, starts_at=window.starts_at, created_at=budget.created_at, now=now)
    starts = steps(budget.window, budget.time_zone, now) if whole else [window.starts_at]
    rows = connection.execute(
        _COURSE,
        {
            "starts": starts,
            "lately": lately,
            "first_call": first_id(_summed_since(budget, starts, lately, whole=whole) - _LONGEST_CALL),
            "budget_id": budget.id,
            "starts_at": window.starts_at,
        },
    )
    found = rows.mappings().all()
    use = _use(window, found[0]) if found else unused(window)
    posted = {row["step"]: Amount(tokens=row["tokens"], picos=row["picos"]) for row in found if row["step"]}
    each = [posted.get(number, NOTHING) for number in range(1, len(starts) + 1)]
    if _shortened(budget):
        each[0] = reduce(Amount.minus, each[1:], use.settled)
    sums = accumulate(each, Amount.plus)
    return Course(
        use=use,
        steps=[
            Step(starts_at=at, settled=settled, cumulative=cumulative)
            for at, settled, cumulative in zip(starts, each, sums, strict=True)
        ]
        if whole
        else [],
        lately=Amount(
            tokens=sum(row["lately_tokens"] or 0 for row in found),
            picos=sum(row["lately_picos"] or 0 for row in found),
        ),
        lately_since=lately,
    )


def forecast(budget: BudgetRow, course: Course, now: datetime) -> datetime | None:
    """Say when the window will be used up at its recent pace; None when it will not, or nobody knows."""
    use = course.use
    axes = []
    if budget.limit_picos is not None:
        axes.append((budget.limit_picos - use.settled.picos - use.uncertain.picos, course.lately.picos))
    if budget.limit_tokens is not None:
        axes.append((budget.limit_tokens - use.settled.tokens - use.uncertain.tokens, course.lately.tokens))
    return exhausted_at(axes, since=course.lately_since, now=now, resets_at=use.bounds.resets_at)


def _summed_since(
    budget: BudgetRow, starts: Sequence[datetime], lately: datetime, *, whole: bool
) -> datetime:
    """Give since when entries are looked at; of a total the first step is what the others leave."""
    if not whole:
        return lately
    return min([lately, *starts[1:]]) if _shortened(budget) else starts[0]


def _shortened(budget: BudgetRow) -> bool:
    return budget.window is WindowKind.TOTAL


def _use(window: Bounds, row: RowMapping) -> BudgetUse:
    settled, held, uncertain = (
        Amount(tokens=row[f"{name}_tokens"], picos=row[f"{name}_picos"])
        for name in ("settled", "held", "uncertain")
    )
    return BudgetUse(bounds=window, settled=settled, held=held, uncertain=uncertain)
