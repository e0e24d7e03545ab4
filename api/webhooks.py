"""Webhooks: where a project's news goes, its log of deliveries, and sending once more.

All of it needs the scope `admin`: a webhook's URL may hold a password of its receiver.
"""

from http import HTTPStatus
from typing import Annotated, Literal

import httpx
from fastapi import APIRouter, Depends, Query, Response

from api import webhook_shapes as shapes
from api.answering import json_answer
from api.auth import Admin, Caller
from api.bodies import JsonBytes, read_model
from api.database import Connection
from api.openapi import BODY_PROBLEMS, answers, problems, takes
from api.parts import Parts, PartsOf
from api.query import PAGE, Cursor, Limit, from_cursor, paged, refuse_unknown
from api.webhook_shapes import (
    Attempt,
    Delivery,
    DeliveryList,
    NewWebhook,
    Replayed,
    ReplayRequest,
    Webhook,
    WebhookChange,
    WebhookList,
    WebhookRequest,
)
from patchmill.deliver import addresses, signature, webhook
from patchmill.errors import Conflict, FieldError, InvalidFields, NotFound
from patchmill.store import auditing, webhooks
from patchmill.store.ids import from_edge, to_edge
from patchmill.store.webhooks import DeliveryRow, WebhookRow

MAX_WEBHOOKS = 20  # of one project

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"], dependencies=[Depends(refuse_unknown())])


@router.post(
    "",
    summary="Make a webhook",
    status_code=HTTPStatus.CREATED,
    openapi_extra=takes(WebhookRequest, shapes.WEBHOOK_REQUESTS),
    responses={
        **answers(HTTPStatus.CREATED, NewWebhook, shapes.NEW_WEBHOOK, "The webhook, with its secret."),
        **problems(Conflict, *BODY_PROBLEMS),
    },
)
def create_webhook(caller: Admin, body: JsonBytes, parts: PartsOf) -> Response:
    """Send news of the caller's project to a URL; the secret is shown in this answer and never again."""
    asked = read_model(body, WebhookRequest)
    _refuse_forbidden(asked.url, parts)
    with parts.database.begin() as connection:
        row = webhooks.add(
            connection,
            caller.project_id,
            url=asked.url,
            events=_each_once(asked.events),
            enabled=asked.enabled,
            at_most=MAX_WEBHOOKS,
        )
        if row is None:
            raise Conflict(f"a project has at most {MAX_WEBHOOKS} webhooks; delete one")
        _record(connection, caller, "webhook.create", row)
    headers = {"Location": f"/v1/webhooks/{to_edge('whk', row.id)}"}
    return json_answer(_with_secret(row, parts), HTTPStatus.CREATED, headers)


@router.get(
    "",
    summary="List webhooks",
    responses={
        **answers(HTTPStatus.OK, WebhookList, shapes.WEBHOOK_LIST, "A page of webhooks, newest first."),
        **problems(InvalidFields),
    },
)
def list_webhooks(caller: Admin, parts: PartsOf, limit: Limit = PAGE, cursor: Cursor = None) -> Response:
    """List the project's webhooks, without their secrets."""
    before = from_cursor(cursor)
    with parts.database.begin() as connection:
        rows = webhooks.find_many(connection, caller.project_id, before=before, limit=limit + 1)
    page, more = paged(rows, limit)
    return json_answer(WebhookList(data=[_document(row) for row in page], next_cursor=more))


@router.get(
    "/{webhook_id}",
    summary="Read a webhook",
    responses={
        **answers(HTTPStatus.OK, Webhook, shapes.WEBHOOK, "The webhook."),
        **problems(NotFound, InvalidFields),
    },
)
def read_webhook(webhook_id: str, caller: Admin, parts: PartsOf) -> Response:
    """Read one of the project's webhooks, without its secret."""
    with parts.database.begin() as connection:
        row = _find(connection, caller, webhook_id)
    return json_answer(_document(row))


@router.patch(
    "/{webhook_id}",
    summary="Change a webhook",
    openapi_extra=takes(WebhookChange, shapes.WEBHOOK_CHANGES),
    responses={
        **answers(HTTPStatus.OK, Webhook, shapes.WEBHOOK, "The webhook as it is now."),
        **problems(NotFound, *BODY_PROBLEMS),
    },
)
def change_webhook(webhook_id: str, caller: Admin, body: JsonBytes, parts: PartsOf) -> Response:
    """Change where a webhook sends, what, or whether; disabled, it gives up what is on its way."""
    asked = read_model(body, WebhookChange)
    if asked.url is not None:
        _refuse_forbidden(asked.url, parts)
    with parts.database.begin() as connection:
        row = webhooks.change(
            connection,
            _find(connection, caller, webhook_id, locked=True),
            url=asked.url,
            events=None if asked.events is None else _each_once(asked.events),
            enabled=asked.enabled,
        )
        _record(connection, caller, "webhook.change", row)
    return json_answer(_document(row))


@router.delete(
    "/{webhook_id}",
    summary="Delete a webhook",
    status_code=HTTPStatus.NO_CONTENT,
    responses={
        204: {"description": "It is gone, and gets no more messages.", "content": {}},
        **problems(NotFound, InvalidFields),
    },
)
def delete_webhook(webhook_id: str, caller: Admin, parts: PartsOf) -> Response:
    """Delete a webhook; what is on its way to it is given up."""
    with parts.database.begin() as connection:
        row = _find(connection, caller, webhook_id, locked=True)
        webhooks.delete(connection, row)
        _record(connection, caller, "webhook.delete", row)
    return Response(status_code=HTTPStatus.NO_CONTENT)


@router.post(
    "/{webhook_id}/rotate",
    summary="Give a webhook a new secret",
    responses={
        **answers(HTTPStatus.OK, NewWebhook, shapes.NEW_WEBHOOK, "The webhook, with its new secret."),
        **problems(NotFound, InvalidFields),
    },
)
def rotate_webhook(webhook_id: str, caller: Admin, parts: PartsOf) -> Response:
    """Give a webhook a new secret; for 24 hours messages carry signatures by the old one too."""
    with parts.database.begin() as connection:
        row = webhooks.rotate(connection, _find(connection, caller, webhook_id, locked=True))
        _record(connection, caller, "webhook.rotate", row)
    return json_answer(_with_secret(row, parts))


@router.post(
    "/{webhook_id}/test",
    summary="Send a test message",
    status_code=HTTPStatus.ACCEPTED,
    responses={
        **answers(HTTPStatus.ACCEPTED, Delivery, shapes.NEW_DELIVERY, "The message's delivery."),
        **problems(NotFound, Conflict, InvalidFields),
    },
)
def send_test(webhook_id: str, caller: Admin, parts: PartsOf) -> Response:
    """Send a `webhook.test` message, once and without retries; read the delivery to see how it went."""
    with parts.database.begin() as connection:
        row = _find_enabled(connection, caller, webhook_id)
        data = {"id": to_edge("whk", row.id), "url": f"/v1/webhooks/{to_edge('whk', row.id)}"}
        sent = webhooks.send(connection, row.id, webhook.TEST, data)
        _record(connection, caller, "webhook.test", row)
    parts.courier.wake()
    return json_answer(_delivery(sent), HTTPStatus.ACCEPTED)


@router.get(
    "/{webhook_id}/deliveries",
    summary="List a webhook's deliveries",
    responses={
        **answers(HTTPStatus.OK, DeliveryList, shapes.DELIVERY_LIST, "A page of deliveries, newest first."),
        **problems(NotFound, InvalidFields),
    },
)
def list_deliveries(
    webhook_id: str,
    caller: Admin,
    parts: PartsOf,
    *,
    state: Annotated[Literal["pending", "delivered", "failed"] | None, Query()] = None,
    limit: Limit = PAGE,
    cursor: Cursor = None,
) -> Response:
    """List the messages to a webhook, with every attempt to deliver them."""
    before = from_cursor(cursor)
    with parts.database.begin() as connection:
        row = _find(connection, caller, webhook_id)
        rows = webhooks.find_deliveries(connection, row.id, state=state, before=before, limit=limit + 1)
    page, more = paged(rows, limit)
    return json_answer(DeliveryList(data=[_delivery(each) for each in page], next_cursor=more))


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/replay",
    summary="Send a message once more",
    status_code=HTTPStatus.ACCEPTED,
    responses={
        **answers(HTTPStatus.ACCEPTED, Delivery, shapes.NEW_DELIVERY, "The new delivery of the message."),
        **problems(NotFound, Conflict, InvalidFields),
    },
)
def replay_delivery(webhook_id: str, delivery_id: str, caller: Admin, parts: PartsOf) -> Response:
    """Send a message once more, with the id that it had, signed with the current secret."""
    identity = from_edge("dlv", delivery_id)
    with parts.database.begin() as connection:
        row = _find_enabled(connection, caller, webhook_id)
        found = None if identity is None else webhooks.find_delivery(connection, row.id, identity)
        if found is None:
            raise NotFound(f"there is no delivery {delivery_id[:100]}")
        if found.state == "pending":
            raise Conflict("this delivery is on its way still; replay it when it has ended")
        again = webhooks.replay(connection, found.id)
        _record(connection, caller, "webhook.replay", row)
    parts.courier.wake()
    return json_answer(_delivery(again), HTTPStatus.ACCEPTED)


@router.post(
    "/{webhook_id}/replay",
    summary="Send once more what failed",
    status_code=HTTPStatus.ACCEPTED,
    openapi_extra=takes(ReplayRequest, shapes.REPLAY_REQUESTS),
    responses={
        **answers(HTTPStatus.ACCEPTED, Replayed, shapes.REPLAYED, "How many messages go out again."),
        **problems(NotFound, Conflict, *BODY_PROBLEMS),
    },
)
def replay_failed(webhook_id: str, caller: Admin, body: JsonBytes, parts: PartsOf) -> Response:
    """Send once more what failed since a time and was not replayed since, 1,000 messages a request."""
    asked = read_model(body, ReplayRequest)
    with parts.database.begin() as connection:
        row = _find_enabled(connection, caller, webhook_id)
        count = webhooks.replay_failed(connection, row.id, asked.since)
        _record(connection, caller, "webhook.replay", row)
    parts.courier.wake()
    return json_answer(Replayed(replayed=count), HTTPStatus.ACCEPTED)


def _refuse_forbidden(url: str, parts: Parts) -> None:
    """Refuse a URL that could only fail; what a name leads to is judged when it is connected to."""
    host = httpx.URL(url).raw_host.decode("ascii")
    try:
        addresses.judge_host(host, parts.webhook_networks)
    except addresses.ForbiddenAddress as error:
        raise InvalidFields([FieldError("/url", "not_allowed", str(error))]) from None


def _find(connection: Connection, caller: Caller, text: str, *, locked: bool = False) -> WebhookRow:
    identity = from_edge("whk", text)
    row = None if identity is None else webhooks.find(connection, caller.project_id, identity, locked=locked)
    if row is None:
        raise NotFound(f"there is no webhook {text[:100]}")
    return row


def _find_enabled(connection: Connection, caller: Caller, text: str) -> WebhookRow:
    # Locked, so that a message does not go out to a webhook that is disabled in this moment.
    row = _find(connection, caller, text, locked=True)
    if not row.enabled:
        raise Conflict("this webhook is disabled; enable it first")
    return row


def _record(connection: Connection, caller: Caller, action: str, row: WebhookRow) -> None:
    """Write down who changed what; of the URL its host alone, as the rest may hold a password."""
    auditing.record(
        connection,
        actor=to_edge("key", caller.key_id),
        action=action,
        subject=to_edge("whk", row.id),
        details={"host": httpx.URL(row.url).host, "events": list(row.events), "enabled": row.enabled},
    )


def _each_once(events: list[str]) -> list[str]:
    return list(dict.fromkeys(events))


def _document(row: WebhookRow) -> Webhook:
    return Webhook(
        id=to_edge("whk", row.id),
        url=row.url,
        events=list(row.events),
        enabled=row.enabled,
        failing_since=row.failing_since,
    )


def _with_secret(row: WebhookRow, parts: Parts) -> NewWebhook:
    secret = signature.secret(parts.pepper, row.id, row.secret_no)
    return NewWebhook(**_document(row).model_dump(), secret=secret)


def _delivery(row: DeliveryRow) -> Delivery:
    return Delivery.model_validate(
        {
            "id": to_edge("dlv", row.id),
            "webhook": to_edge("whk", row.webhook_id),
            "message": to_edge("msg", row.message_id),
            "type": row.type,
            "state": row.state,
            "attempts": [Attempt.model_validate(attempt) for attempt in row.attempts],
            "next_attempt_at": row.next_attempt_at,
        }
    )
