from typing import Any

import pytest
from sqlalchemy import select

from patchmill.store.ids import to_edge
from patchmill.store.tables import audit
from tests.support.api import Api, User

PLAIN = {"weight": 1, "max_in_flight": None, "tokens_per_minute": None}


def path(user: User) -> str:
    return f"/v1/projects/{to_edge('prj', user.project_id)}"


def change(user: User, body: dict[str, Any]) -> dict[str, Any]:
    answer = user.http.patch(path(user), json=body)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def test_a_share_is_set_number_by_number_and_taken_back(operator: User) -> None:
    assert operator.http.get(path(operator)).json()["share"] == PLAIN

    first = change(operator, {"share": {"weight": 3, "max_in_flight": 10}})
    second = change(operator, {"share": {"tokens_per_minute": 50_000, "max_in_flight": None}})
    third = change(operator, {"share": {"weight": None}})

    assert first["share"] == {"weight": 3, "max_in_flight": 10, "tokens_per_minute": None}
    assert second["share"] == {"weight": 3, "max_in_flight": None, "tokens_per_minute": 50_000}
    assert third["share"] == PLAIN | {"tokens_per_minute": 50_000}
    assert operator.http.get("/v1/projects").json()["data"][0]["share"] == third["share"]


def test_policy_and_share_may_be_changed_at_once_and_each_is_written_down(operator: User) -> None:
    changed = change(operator, {"policy": {"repairs": 2}, "share": {"weight": 2}})

    assert (changed["policy"]["repairs"], changed["share"]["weight"]) == (2, 2)
    subject, actor = to_edge("prj", operator.project_id), to_edge("key", operator.key_id)
    with operator.api.engine.connect() as connection:
        rows = connection.execute(
            select(audit.c.actor, audit.c.action, audit.c.details)
            .where(audit.c.subject == subject, audit.c.actor == actor)
            .order_by(audit.c.id)
        ).all()
    assert [tuple(row) for row in rows] == [
        (actor, "project.policy", {"repairs": 2}),
        (actor, "project.share", {"weight": 2}),
    ]


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"share": {"weight": 0}}, "/share/weight", "out_of_range"),
        ({"share": {"weight": 101}}, "/share/weight", "out_of_range"),
        ({"share": {"weight": "many"}}, "/share/weight", "wrong_type"),
        ({"share": {"max_in_flight": 0}}, "/share/max_in_flight", "out_of_range"),
        ({"share": {"tokens_per_minute": 2**40}}, "/share/tokens_per_minute", "out_of_range"),
        ({"share": {"wieght": 2}}, "/share/wieght", "unknown_field"),
        ({"share": {"weight": 2}, "policy": {"model": "no-such"}}, "/policy/model", "not_allowed"),
        ({}, "", "missing"),
        ({"share": {}}, "", "missing"),
    ],
)
def test_a_share_that_cannot_work_is_refused_with_its_place_and_nothing_changes(
    user: User, body: dict[str, Any], pointer: str, code: str
) -> None:
    answer = user.http.patch(path(user), json=body)

    assert answer.status_code == 422
    assert [(each["pointer"], each["code"]) for each in answer.json()["errors"]] == [(pointer, code)]
    assert user.http.get(path(user)).json()["share"] == PLAIN


def test_only_a_key_with_the_scope_admin_sets_the_share_of_its_own_project(api: Api, user: User) -> None:
    writer = User(api, ("jobs:read", "jobs:write"))

    assert writer.http.patch(path(writer), json={"share": {"weight": 2}}).status_code == 403
    assert user.http.patch(path(writer), json={"share": {"weight": 2}}).status_code == 404
    writer.http.close()
