import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from patchmill.cli.checkers_at_hand import missing
from patchmill.cli.installation import PRICES
from patchmill.store.engine import open_engine
from patchmill.store.prices import add_prices_if_none
from patchmill.verify.checkers import PROGRAMS
from patchmill.verify.process.confinement import confinement
from tests.support.api import Api, User, job_uuid
from tests.support.command import Command, Done
from tests.support.limits import change
from tests.support.requests import mutable_default
from tests.support.stack import Stack

NOWHERE = "127.0.0.1:1"


@pytest.fixture
def user(api_of_file: Api) -> Iterator[User]:
    """Somebody whose database no other file's tests write to, since the doctor looks at all of it."""
    made = User(api_of_file)
    yield made
    made.http.close()


def states(done: Done) -> dict[str, str]:
    """What the doctor found for each thing, in JSON."""
    return {line["name"]: line["state"] for line in json.loads(done.data)}


def settings_of(service: Stack) -> dict[str, str]:
    return {
        "PATCHMILL_SERVER_URL": service.api_url,
        "PATCHMILL_SERVER_KEY": service.key,
        "PATCHMILL_DATABASE_URL": service.database_url,
        "PATCHMILL_REDIS_URL": service.redis_url,
        "PATCHMILL_GATEWAY_URL": service.gateway_url,
        "PATCHMILL_GATEWAY_API_KEY": "sk-byts-stand-in",
        "PATCHMILL_LEASE_TTL_S": "6",
    }


def test_a_service_in_good_order_passes_every_check(patchmill: Command, service: Stack) -> None:
    service.run(mutable_default(4_711))  # then a worker is at work
    done = patchmill("doctor", "--gateway", "--json", settings=settings_of(service))

    assert done.code == 0, done.data
    found = states(done)
    held = confinement()
    assert found.pop("sandbox") == ("ok" if held.network and held.processes else "warn")
    assert set(found.values()) == {"ok"}
    assert set(states(done)) >= {
        *(
            "settings",
            "server",
            "version",
            "key",
            "clock",
            "postgres",
            "schema",
            "prices",
            "workers",
            "ledger",
        ),
        *("redis", "ruff", "oxlint", "gateway"),
        *({program.name for program in PROGRAMS} - set(missing())),
    }


def test_the_lines_are_for_people_and_hold_no_secret(patchmill: Command, service: Stack) -> None:
    done = patchmill("doctor", settings=settings_of(service))

    assert done.code == 0
    assert f"ok   server     {service.api_url} is ready" in done.data
    assert service.key not in done.data
    assert "gateway" not in done.data


@pytest.mark.parametrize(
    ("changed", "told", "code"),
    [
        ({"PATCHMILL_SERVER_URL": f"http://{NOWHERE}"}, ("server", "is PATCHMILL_SERVER_URL right?"), 3),
        ({"PATCHMILL_SERVER_URL": "http://xn--a/"}, ("server", "it looks like http://127.0.0.1:8080"), 2),
        ({"PATCHMILL_SERVER_KEY": "pm_wrong"}, ("key", "make one with `patchmill keys create`"), 5),
        (
            {"PATCHMILL_DATABASE_URL": f"postgresql://u:hidden-word@{NOWHERE}/x"},
            ("postgres", "does Postgres run?"),
            3,
        ),
        ({"PATCHMILL_REDIS_URL": f"redis://:hidden-word@{NOWHERE}/0"}, ("redis", "PATCHMILL_REDIS_URL"), 3),
        ({"PATCHMILL_REDIS_URL": "redis://elsewhere/0"}, ("redis", "correct PATCHMILL_REDIS_URL"), 2),
        ({"PATCHMILL_MODEL": "model-of-next-year"}, ("prices", "patchmill prices add"), 2),
        ({"PATCHMILL_GATEWAY_API_KEY": "wrong"}, ("gateway", "is the key right?"), 5),
        ({"PATCHMILL_GATEWAY_API_KEY": ""}, ("gateway", "must be set"), 2),
        ({"PATCHMILL_GATEWAY_URL": f"http://{NOWHERE}/v1"}, ("gateway", "PATCHMILL_GATEWAY_URL"), 3),
        ({"PATCHMILL_GATEWAY_URL": "http://xn--a/v1"}, ("gateway", "PATCHMILL_GATEWAY_URL"), 2),
        ({"PATCHMILL_PORT": "eighty"}, ("settings", "patchmill settings"), 2),
        ({"PATCHMILL_SERVER_KEY": "pm_wrong", "PATCHMILL_MODEL": "x"}, ("key", "patchmill keys create"), 2),
    ],
)
def test_what_is_wrong_is_named_with_what_to_do(
    patchmill: Command, service: Stack, changed: dict[str, str], told: tuple[str, str], code: int
) -> None:
    name, advice = told
    done = patchmill("doctor", "--gateway", "--json", settings={**settings_of(service), **changed})

    assert done.code == code
    failed = {line["name"]: line for line in json.loads(done.data) if line["state"] == "fail"}
    assert advice in failed[name]["advice"]
    assert "hidden-word" not in done.data


def test_a_database_without_a_schema_is_told(
    patchmill: Command, service: Stack, empty_database_url: str
) -> None:
    done = patchmill(
        "doctor", "--json", settings={**settings_of(service), "PATCHMILL_DATABASE_URL": empty_database_url}
    )

    assert (done.code, states(done)["schema"]) == (3, "fail")


@pytest.mark.parametrize(("revision", "told"), [("0001", (3, "fail")), ("9999", (0, "warn"))])
def test_an_older_schema_fails_and_a_newer_one_is_a_warning(
    patchmill: Command, service: Stack, database_url: str, revision: str, told: tuple[int, str]
) -> None:
    engine = open_engine(database_url, pool_size=1)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :at"), {"at": revision})
        add_prices_if_none(connection, PRICES, "test")
    engine.dispose()

    done = patchmill(
        "doctor", "--json", settings={**settings_of(service), "PATCHMILL_DATABASE_URL": database_url}
    )

    assert (done.code, states(done)["schema"]) == told


def test_where_no_worker_is_at_work_is_only_a_warning(patchmill: Command, user: User, tmp_path: Path) -> None:
    settings = {
        "PATCHMILL_SERVER_URL": user.api.url,
        "PATCHMILL_SERVER_KEY": user.secret.text(),
        "PATCHMILL_DATA_DIR": str(tmp_path),
        "PATCHMILL_LEASE_TTL_S": "0.001",
    }
    url = user.api.settings.database_url
    assert url is not None

    done = patchmill(
        "doctor", "--json", settings={**settings, "PATCHMILL_DATABASE_URL": url.get_secret_value()}
    )

    assert states(done)["workers"] == "warn"


def test_without_any_server_the_doctor_says_how_to_get_one(patchmill: Command, tmp_path: Path) -> None:
    done = patchmill("doctor", settings={"PATCHMILL_DATA_DIR": str(tmp_path)})

    assert done.code == 3
    assert "fail server     no server is known" in done.data
    assert "`patchmill up`" in done.data


def test_a_server_without_a_key_is_a_failure_of_the_key(patchmill: Command, tmp_path: Path) -> None:
    settings = {"PATCHMILL_DATA_DIR": str(tmp_path), "PATCHMILL_SERVER_URL": "https://mill.example"}

    done = patchmill("doctor", settings=settings)

    assert done.code == 5
    assert "fail key        there is no key for https://mill.example" in done.data


def test_counters_that_differ_from_the_ledger_are_told_and_repaired(
    patchmill: Command, user: User, tmp_path: Path
) -> None:
    job = user.submit()["id"]
    change(user.api.engine, "UPDATE jobs SET cost_picos = 5 WHERE id = :id", id=job_uuid(job))
    url = user.api.settings.database_url
    assert url is not None
    settings = {"PATCHMILL_DATA_DIR": str(tmp_path), "PATCHMILL_DATABASE_URL": url.get_secret_value()}

    def ledger(*arguments: str) -> tuple[str, str]:
        done = patchmill("doctor", "--json", *arguments, settings=settings)
        [line] = [line for line in json.loads(done.data) if line["name"] == "ledger"]
        return line["state"], line["detail"]

    assert ledger() == ("fail", f"1 count differently: {job}: cost_picos is 5 and should be 0")
    assert ledger("--repair")[0] == "ok"
    assert ledger() == ("ok", "adds up to what windows and jobs count")
