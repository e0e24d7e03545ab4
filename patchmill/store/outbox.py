"""News for webhooks, written in the transaction that makes it: what commits is told, what does not is not.

That jobs and runs have ended is put out by the functions of the database that end them (`follow_ends`,
`count_runs`).
"""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Float,
    FromClause,
    Insert,
    Integer,
    Text,
    Uuid,
    all_,
    and_,
    any_,
    bindparam,
    case,
    func,
    insert,
    null,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB

from patchmill.instants import rfc3339
from patchmill.job.circuit import Circuit, Condition
from patchmill.store.ids import new_id_each
from patchmill.store.recordset import as_rows, given_rows
from patchmill.store.tables import deliveries, webhooks
from patchmill.store.webhooks import give_up


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """One message: its type as webhooks subscribe to it, and its data."""

    project_id: uuid.UUID
    type: str
    data: Mapping[str, Any]


def _put_out(told: FromClause, type_: ColumnElement[str], data: ColumnElement[Any]) -> Insert:
    """Give the statement that puts a message out for each webhook of `told` that wants its type."""
    return insert(deliveries).from_select(
        ["id", "webhook_id", "message_id", "type", "data", "attempts", "next_attempt_at"],
        select(
            new_id_each(),
            webhooks.c.id,
            new_id_each(),
            type_,
            data,
            func.jsonb_build_array(),
            func.now(),
        )
        .select_from(told)
        .where(type_ == any_(webhooks.c.events), webhooks.c.enabled, webhooks.c.deleted_at.is_(None)),
    )


_NEWS = given_rows({"project_id": Uuid(), "type": Text(), "data": JSONB()}, name="news")
_OF_PROJECT = webhooks.join(_NEWS, webhooks.c.project_id == _NEWS.c.project_id)
_PUT_OUT = _put_out(_OF_PROJECT, _NEWS.c.type, _NEWS.c.data)
_PUT_OUT_TO_ALL = _put_out(webhooks, bindparam("type", type_=Text), bindparam("data", type_=JSONB))


def tell(connection: Connection, news: Sequence[News]) -> None:
    """Put each message out for every webhook of its project that wants its type."""
    if news:
        connection.execute(_PUT_OUT, as_rows(asdict(one) for one in news))


def tell_of_gateway(connection: Connection, circuit: Circuit) -> None:
    """Tell every project that calls are paused, why, or that they go on."""
    data = {
        "state": circuit.state,
        "reason": circuit.why,
        "message": circuit.message or None,
        "since": rfc3339(circuit.since),
        "url": "/v1/gateway",
    }
    type_ = "gateway.resumed" if circuit.state is Condition.OK else "gateway.paused"
    connection.execute(_PUT_OUT_TO_ALL, {"type": type_, "data": data})


def tell_of_budget(
    connection: Connection, type_: str, data: Mapping[str, Any], *, project_id: uuid.UUID | None
) -> None:
    """Tell of a budget: a project of its own and of its keys', every project of the installation's."""
    if project_id is None:
        connection.execute(_PUT_OUT_TO_ALL, {"type": type_, "data": data})
    else:
        tell(connection, [News(project_id=project_id, type=type_, data=data)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A delivery that was taken to be sent now, until `lease`: somebody else may take it then."""

    id: uuid.UUID
    webhook_id: uuid.UUID
    project_id: uuid.UUID
    message_id: uuid.UUID
    type: str
    data: Mapping[str, Any]
    created_at: datetime  # the message's own time
    attempts: int  # made before
    by_hand: bool
    lease: datetime
    url: str
    secret_no: int
    rotated_at: datetime | None


_is_due = and_(deliveries.c.state == "pending", deliveries.c.next_attempt_at <= func.now())
_of_webhook = (
    select(deliveries.c.id, deliveries.c.next_attempt_at)
    .where(deliveries.c.webhook_id == webhooks.c.id, _is_due)
    .order_by(deliveries.c.next_attempt_at)
    # One that fails gets one at a time, until it takes one.
    .limit(case((webhooks.c.failing_since.is_(None), bindparam("each", type_=Integer)), else_=1))
    .lateral("of_webhook")
)
_in_webhook = func.row_number().over(
    partition_by=webhooks.c.id, order_by=[_of_webhook.c.next_attempt_at, _of_webhook.c.id]
)
_due = (
    select(_of_webhook.c.id, _of_webhook.c.next_attempt_at, webhooks.c.project_id)
    .add_columns(_in_webhook.label("in_webhook"))
    .select_from(webhooks.join(_of_webhook, true()))
    .where(
        webhooks.c.enabled,
        webhooks.c.deleted_at.is_(None),
        webhooks.c.id != all_(bindparam("busy", type_=ARRAY(Uuid))),
    )
    .subquery("due")
)
_held = (
    func.unnest(bindparam("holders", type_=ARRAY(Uuid)), bindparam("numbers", type_=ARRAY(Integer)))
    .table_valued("project_id", "number")
    .render_derived("held")
)
# A project's turns begin after what it holds, and go round its webhooks.
_turn = func.coalesce(_held.c.number, 0) + func.row_number().over(
    partition_by=_due.c.project_id, order_by=[_due.c.in_webhook, _due.c.next_attempt_at, _due.c.id]
)
_turns = (
    select(_due.c.id, _due.c.next_attempt_at, _turn.label("turn"))
    .select_from(_due.outerjoin(_held, _held.c.project_id == _due.c.project_id))
    .subquery("turns")
)
_candidates = (
    select(_turns.c.id)
    .where(_turns.c.turn <= bindparam("share"))
    .order_by(_turns.c.turn, _turns.c.next_attempt_at)
    .limit(bindparam("at_most"))
)
_taken = (
    select(deliveries.c.id)
    .where(deliveries.c.id.in_(_candidates), _is_due)
    .with_for_update(skip_locked=True)
    .cte("taken")
)
_CLAIM = (
    update(deliveries)
    .where(deliveries.c.id == _taken.c.id, webhooks.c.id == deliveries.c.webhook_id)
    .values(
        next_attempt_at=func.now() + func.make_interval(0, 0, 0, 0, 0, 0, bindparam("lease_s", type_=Float))
    )
    .returning(
        deliveries.c.id,
        deliveries.c.webhook_id,
        webhooks.c.project_id,
        deliveries.c.message_id,
        deliveries.c.type,
        deliveries.c.data,
        deliveries.c.created_at,
        func.jsonb_array_length(deliveries.c.attempts).label("attempts"),
        deliveries.c.by_hand,
        deliveries.c.next_attempt_at.label("lease"),
        webhooks.c.url,
        webhooks.c.secret_no,
        webhooks.c.rotated_at,
    )
)


def claim(
    connection: Connection,
    *,
    at_most: int,
    each: int,
    share: int,
    held: Mapping[uuid.UUID, int],
    busy: Collection[uuid.UUID],
    lease_s: float,
) -> list[Due]:
    """Take deliveries that are due, first for the projects that hold the fewest.

    At most `each` of a webhook (of one that fails one), none of the `busy` webhooks, and no more of a project
    than make its `share` together with what it has `held` by project. Their next attempt is put `lease_s`
    seconds ahead, so that nobody else takes them, and somebody does if whoever took them dies.
    """
    given = {
        "at_most": at_most,
        "each": each,
        "share": share,
        "holders": list(held),
        "numbers": list(held.values()),
        "busy": list(busy),
        "lease_s": lease_s,
    }
    return [Due(**row) for row in connection.execute(_CLAIM, given).mappings()]


_may_settle = or_(
    # What was delivered is, whatever was thought of it meanwhile.
    and_(bindparam("to") == "delivered", deliveries.c.state != "delivered"),
    and_(deliveries.c.state == "pending", deliveries.c.next_attempt_at == bindparam("lease")),
)
_SETTLE = (
    update(deliveries)
    .where(deliveries.c.id == bindparam("delivery"), _may_settle)
    .values(
        state=bindparam("to"),
        attempts=deliveries.c.attempts.op("||")(bindparam("attempt", type_=JSONB)),
        next_attempt_at=func.now() + func.make_interval(0, 0, 0, 0, 0, 0, bindparam("after_s", type_=Float)),
        ended_at=case((bindparam("to") == "pending", null()), else_=func.now()),
    )
)
_RECOVER = (
    update(webhooks)
    .where(webhooks.c.id == bindparam("webhook"), webhooks.c.failing_since.is_not(None))
    .values(failing_since=None)
)
_FAIL = (
    update(webhooks)
    .where(webhooks.c.id == bindparam("webhook"), webhooks.c.failing_since.is_(None))
    .values(failing_since=func.now())
)
_DISABLE = update(webhooks).where(webhooks.c.id == bindparam("webhook")).values(enabled=False)


def settle(
    connection: Connection,
    due: Due,
    attempt: Mapping[str, Any],
    *,
    delivered: bool,
    after_s: float | None,
    gone: bool = False,
) -> None:
    """Write an attempt: it delivered the message, or the next one comes `after_s` seconds, or none does.

    An endpoint that is `gone` disables its webhook. One whose lease is over writes nothing, unless it did
    deliver: whoever took the delivery after it writes.
    """
    webhook = {"webhook": due.webhook_id}
    if not due.by_hand:
        connection.execute(_RECOVER if delivered else _FAIL, webhook)
        if gone:
            connection.execute(_DISABLE, webhook)
    waits = not delivered and after_s is not None
    connection.execute(
        _SETTLE,
        {
            "delivery": due.id,
            "lease": due.lease,
            "to": "delivered" if delivered else "pending" if waits else "failed",
            "attempt": [dict(attempt)],
            "after_s": after_s if waits else None,
        },
    )
    if gone and not due.by_hand:
        give_up(connection, due.webhook_id)
