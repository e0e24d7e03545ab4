import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select, update

from patchmill.budget.models import capability_of, with_learned
from patchmill.cli.installation import PRICES
from patchmill.dev.standin.gateway import DEFAULT_KEY
from patchmill.dev.standin.server import running
from patchmill.job.circuit import GATEWAY, Condition, Trip, Why
from patchmill.store import circuits, models
from patchmill.store.prices import add_prices_if_none
from patchmill.store.tables import audit, prices
from tests.support import plain_http
from tests.support.api import Api, User
from tests.support.command import Command, Done
from tests.support.prices import changeable_prices
from tests.support.raw_server import RawServer, response

FLASH, PRO, OLDER = "deepseek-v4-flash", "deepseek-v4-pro", "deepseek-v3-2"
CAP_PICOS = 10**9  # 0.001 USD


@dataclass(frozen=True, slots=True, kw_only=True)
class Standin:
    """A stand-in of this test alone."""

    root: str

    def behave(self, **behaviour: Any) -> None:
        plain_http.send("PUT", f"{self.root}/standin/behaviour", json=behaviour).raise_for_status()

    def scenario(self, name: str) -> None:
        plain_http.send("POST", f"{self.root}/standin/scenario", json={"name": name}).raise_for_status()

    def rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = plain_http.get(f"{self.root}/standin/ledger").json()["rows"]
        return rows


@pytest.fixture
def standin() -> Iterator[Standin]:
    with running() as root:
        yield Standin(root=root)


@pytest.fixture
def user(api_of_file: Api) -> Iterator[User]:
    """Somebody of an installation whose calls no other file's tests make up."""
    made = User(api_of_file)
    yield made
    made.http.close()


@pytest.fixture
def settings(user: User, standin: Standin, tmp_path: Path) -> dict[str, str]:
    return {
        "PATCHMILL_SERVER_URL": user.api.url,
        "PATCHMILL_SERVER_KEY": user.secret.text(),
        "PATCHMILL_GATEWAY_URL": f"{standin.root}/v1",
        "PATCHMILL_GATEWAY_API_KEY": DEFAULT_KEY,
        "PATCHMILL_DATA_DIR": str(tmp_path),
    }


def found(done: Done) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = json.loads(done.data)
    return lines


def of(done: Done, name: str) -> list[dict[str, Any]]:
    return [line for line in found(done) if line["name"] == name]


def warned(done: Done) -> set[str]:
    return {line["name"] for line in found(done) if line["state"] == "warn"}


def spent_picos(done: Done) -> int:
    [line] = of(done, "spent")
    return int(Decimal(line["detail"].removeprefix("$").partition(" ")[0]).scaleb(12))


def test_a_gateway_as_documented_passes_for_less_than_a_tenth_of_a_cent(
    patchmill: Command, settings: dict[str, str], standin: Standin
) -> None:
    done = patchmill("doctor", "--gateway", "--json", settings=settings)

    assert done.code == 0, done.data
    assert {line["state"] for line in found(done)} == {"ok"}
    assert "at most $0.001 in all" in done.talk
    rows = standin.rows()
    assert spent_picos(done) == sum(row["cost_picos"] for row in rows)
    assert 0 < spent_picos(done) < CAP_PICOS
    assert {row["model"] for row in rows if row["status"] == 200} == {FLASH, PRO, OLDER}
    assert of(done, "learned")[0]["detail"].startswith("is not kept")
    assert [line["detail"] for line in of(done, "reasoning")] == [f"{PRO}: reasoning works"]
    assert DEFAULT_KEY not in done.data + done.talk


@pytest.fixture
def database(settings: dict[str, str], engine: Engine, database_url: str) -> Engine:
    """A database of this test, with a price list, that the command is told of."""
    with engine.begin() as connection:
        add_prices_if_none(connection, PRICES, "test")
    settings["PATCHMILL_DATABASE_URL"] = database_url
    return engine


def test_an_odd_gateway_is_warned_of_and_what_it_takes_is_kept(
    patchmill: Command, settings: dict[str, str], standin: Standin, database: Engine
) -> None:
    standin.scenario("odd")

    done = patchmill("doctor", "--gateway", "--json", settings=settings)

    assert done.code == 0, done.data
    assert warned(done) >= {"quota", "model", "stream", "max_tokens", "json"}
    warnings = [line for line in found(done) if line["state"] == "warn"]
    assert all(line["advice"] for line in warnings)
    assert f"{FLASH} gives its name as local-model" in [line["detail"] for line in warnings]
    with database.begin() as connection:
        learned = models.learned(connection)
        recorded = connection.execute(select(audit)).mappings().one()
    assert set(learned) == {FLASH, PRO, OLDER}
    for name, row in learned.items():
        able = with_learned(capability_of(name), row.capability, row.dropped)
        assert not able.streams
        assert not able.takes("stream_options")
        assert able.tools
        assert row.tried_at is not None
        assert able.json_schema is (name != OLDER)
    assert (recorded["actor"], recorded["action"]) == ("host", "gateway.trial")
    answers = [row for row in standin.rows() if row["status"] == 200]
    with_usage = [row for row in answers if not row["stream"]]
    assert spent_picos(done) == sum(row["cost_picos"] for row in with_usage)
    assert recorded["details"]["calls"] == len(standin.rows())
    truth = sum(row["cost_picos"] for row in answers)
    uncertain = int(Decimal(recorded["details"]["uncertain_usd"]).scaleb(12))
    assert spent_picos(done) <= truth <= spent_picos(done) + uncertain < CAP_PICOS


def test_what_was_learned_before_is_found_out_anew(
    patchmill: Command, settings: dict[str, str], standin: Standin, database: Engine
) -> None:
    standin.scenario("odd")
    patchmill("doctor", "--gateway", settings=settings)
    standin.scenario("calm")

    done = patchmill("doctor", "--gateway", "--json", settings=settings)

    assert warned(done) == {"workers"}
    with database.begin() as connection:
        row = models.learned(connection)[FLASH]
    able = with_learned(capability_of(FLASH), row.capability, row.dropped)
    assert able.streams
    assert able.takes("tool_choice")


@pytest.mark.parametrize(
    ("oddity", "usage_in_streams", "takes_options"),
    [
        ({"refused_fields": ["stream_options"], "streamed_usage": "always"}, True, False),
        ({"streamed_usage": "never"}, False, True),
        ({"streamed_usage": "on_finish"}, True, True),
    ],
)
def test_streams_are_known_by_what_they_tell(
    *,
    patchmill: Command,
    settings: dict[str, str],
    standin: Standin,
    database: Engine,
    oddity: dict[str, Any],
    usage_in_streams: bool,
    takes_options: bool,
) -> None:
    standin.behave(odd=oddity)

    patchmill("doctor", "--gateway", settings=settings)

    with database.begin() as connection:
        row = models.learned(connection)[PRO]
    able = with_learned(capability_of(PRO), row.capability, row.dropped)
    assert (able.streams, able.takes("stream_options")) == (usage_in_streams, takes_options)


def test_a_field_that_is_refused_by_name_costs_nothing_else(
    patchmill: Command, settings: dict[str, str], standin: Standin, database: Engine
) -> None:
    standin.behave(odd={"refused_fields": ["tool_choice", "response_format", "reasoning"]})

    done = patchmill("doctor", "--gateway", "--json", settings=settings)

    assert done.code == 0
    assert {line["state"] for line in of(done, "tools")} == {"ok"}
    assert {line["state"] for line in of(done, "reasoning")} == {"warn"}
    with database.begin() as connection:
        row = models.learned(connection)[PRO]
    able = with_learned(capability_of(PRO), row.capability, row.dropped)
    assert (able.tools, able.takes("tool_choice"), able.reasoning) == (True, False, False)
    assert (able.json_object, able.json_schema) == (False, False)
    assert able.takes("temperature")


@pytest.mark.parametrize(
    ("behaviour", "name", "told", "code"),
    [
        ({"limits": {"wallet_usd": 0}}, "gateway", "there is no credit", 4),
        ({"faults": [{"fault": "402_quota", "times": 9}]}, "gateway", "there is no credit", 4),
        ({"faults": [{"fault": "429_spend", "times": 9}]}, "gateway", "the spend cap is reached", 4),
        ({"faults": [{"fault": "401", "times": 9}]}, "gateway", "refuses the key", 5),
        ({"faults": [{"fault": "403_address", "times": 9}]}, "gateway", "refuses the key", 5),
        ({"faults": [{"fault": "html_200"}]}, "model", f"{FLASH} gives no answer", 3),
        (
            {"outages": [{"model": FLASH, "for_s": 600, "every_s": 600}]},
            "model",
            f"{FLASH} gives no answer",
            3,
        ),
        ({"missing_models": [FLASH]}, "model", f"{FLASH} is out of this key's reach", 2),
        ({"models_not_in_group": [FLASH]}, "model", f"{FLASH} is out of this key's reach", 2),
    ],
)
def test_what_stops_calls_has_its_exit_code(
    *,
    patchmill: Command,
    settings: dict[str, str],
    standin: Standin,
    behaviour: dict[str, Any],
    name: str,
    told: str,
    code: int,
) -> None:
    standin.behave(**behaviour)

    done = patchmill("doctor", "--gateway", "--json", settings=settings)

    assert done.code == code, done.data
    [line] = [line for line in of(done, name) if line["state"] == "fail"]
    assert line["detail"].startswith(told)
    assert line["advice"]


def test_a_fallback_out_of_reach_is_only_a_warning(
    patchmill: Command, settings: dict[str, str], standin: Standin
) -> None:
    standin.behave(models_not_in_group=[OLDER, PRO])

    done = patchmill("doctor", "--gateway", "--json", settings=settings)

    assert done.code == 0
    warnings = [line for line in of(done, "model") if line["state"] == "warn"]
    assert [line["advice"].partition(";")[0] for line in warnings] == [
        "jobs end without the stronger model",
        "jobs wait while the first model cannot be had",
    ]


def test_a_gateway_that_is_busy_once_is_asked_once_more(
    patchmill: Command, settings: dict[str, str], standin: Standin
) -> None:
    standin.behave(faults=[{"fault": "429_concurrency"}])

    done = patchmill("doctor", "--gateway", "--json", settings=settings)

    assert (done.code, warned(done)) == (0, set())


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"PATCHMILL_GATEWAY_API_KEY": "sk-byts-wrong"}, 5),
        ({"PATCHMILL_GATEWAY_URL": "http://127.0.0.1:1/v1"}, 3),
        ({"PATCHMILL_GATEWAY_API_KEY": ""}, 2),
    ],
)
def test_no_call_is_made_where_none_could_be_answered(
    patchmill: Command, settings: dict[str, str], standin: Standin, changed: dict[str, str], code: int
) -> None:
    done = patchmill("doctor", "--gateway", "--json", settings=settings | changed)

    assert done.code == code
    assert found(done)[-1]["name"] == "gateway"
    assert "cost" not in done.talk
    assert standin.rows() == []


def test_a_page_that_is_no_gateway_is_told(patchmill: Command, settings: dict[str, str]) -> None:
    page = b"<!doctype html><title>Welcome</title>"
    with RawServer([response(page, content_type="text/html")]) as server:
        done = patchmill(
            "doctor", "--gateway", "--json", settings=settings | {"PATCHMILL_GATEWAY_URL": server.url}
        )

    assert done.code == 3
    assert found(done)[-1]["detail"].endswith("the gateway answered with something other than JSON")
    assert found(done)[-1]["advice"] == "is PATCHMILL_GATEWAY_URL right?"


def test_a_clock_that_is_off_is_told(patchmill: Command, settings: dict[str, str]) -> None:
    then = datetime(2020, 1, 1, tzinfo=UTC)
    with RawServer(
        [response(b'{"data": []}', more=f"Date: {format_datetime(then, usegmt=True)}\r\n")]
    ) as server:
        done = patchmill(
            "doctor", "--gateway", "--json", settings=settings | {"PATCHMILL_GATEWAY_URL": server.url}
        )

    [line] = [line for line in of(done, "clock") if line["state"] == "warn"]
    assert "off the gateway's" in line["detail"]


def test_a_call_that_could_pass_the_cap_is_not_made(
    patchmill: Command, settings: dict[str, str], standin: Standin, database: Engine
) -> None:
    with changeable_prices(database) as connection:
        connection.execute(update(prices).where(prices.c.model == PRO).values(output_picos=CAP_PICOS // 8))

    done = patchmill("doctor", "--gateway", "--json", settings=settings)

    assert done.code == 0
    [line] = [line for line in of(done, "model") if line["state"] == "warn"]
    assert line["detail"] == f"{PRO} was not tried: what is left of the cap might not be enough"
    assert PRO not in {row["model"] for row in standin.rows()}
    with database.begin() as connection:
        assert set(models.learned(connection)) == {FLASH, OLDER}


def test_without_a_price_the_cost_is_said_to_be_unknown(
    patchmill: Command, settings: dict[str, str], database: Engine
) -> None:
    with changeable_prices(database) as connection:
        connection.execute(update(prices).where(prices.c.model == OLDER).values(model="another"))

    done = patchmill("doctor", "--gateway", "--json", settings=settings)

    assert f"no price is known for {OLDER}" in done.talk
    assert "what 3 calls cost nobody knows" in of(done, "spent")[0]["detail"]


@pytest.mark.parametrize(
    ("trip", "state", "code", "told"),
    [
        (
            Trip(name=GATEWAY, state=Condition.PAUSED, why=Why.OPERATOR, message="the bill"),
            "warn",
            0,
            "`patchmill resume` lets them go on",
        ),
        (
            Trip(name=GATEWAY, state=Condition.PAUSED, why=Why.INSUFFICIENT_BALANCE, message="empty"),
            "fail",
            4,
            "top the account up",
        ),
        (
            Trip(name=GATEWAY, state=Condition.PAUSED, why=Why.INVALID_API_KEY, message="no"),
            "fail",
            5,
            "PATCHMILL_GATEWAY_API_KEY",
        ),
        (
            Trip(name=GATEWAY, state=Condition.DOWN, why=Why.UNREACHABLE, message="refused"),
            "fail",
            3,
            "PATCHMILL_GATEWAY_URL",
        ),
        (
            Trip(name=GATEWAY, state=Condition.PAUSED, why=Why.SPEND_CAP, message="reached", until_s=60),
            "fail",
            4,
            "goes on by itself at",
        ),
        (
            Trip(name=PRO, state=Condition.OFF, why=Why.MODEL_NOT_IN_GROUP, message="not yours"),
            "warn",
            0,
            f"`patchmill resume --model {PRO}`",
        ),
    ],
)
def test_the_doctor_says_why_no_calls_are_made(
    *, patchmill: Command, settings: dict[str, str], user: User, trip: Trip, state: str, code: int, told: str
) -> None:
    with user.api.engine.begin() as connection:
        circuits.trip(connection, trip, probe_after_s=None)
    try:
        done = patchmill("doctor", "--json", settings=settings)
    finally:
        with user.api.engine.begin() as connection:
            circuits.close(connection, trip.name)

    assert done.code == code, done.data
    [line] = of(done, "calls" if trip.name == GATEWAY else "model")
    assert line["state"] == state
    assert trip.message in line["detail"]
    assert told in line["advice"]
    assert of(patchmill("doctor", "--json", settings=settings), "calls")[0]["state"] == "ok"
