import json
import stat
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from patchmill.store.engine import open_engine
from patchmill.store.tables import prices, projects
from tests.support.api import running_api
from tests.support.command import Command, arguments, environment


@pytest.fixture
def settings(empty_database_url: str, tmp_path: Path) -> dict[str, str]:
    return {"PATCHMILL_DATABASE_URL": empty_database_url, "PATCHMILL_DATA_DIR": str(tmp_path)}


@pytest.fixture
def migrated(patchmill: Command, settings: dict[str, str]) -> dict[str, str]:
    done = patchmill("migrate", settings=settings)
    assert done.code == 0, done.talk
    return settings


def counts(url: str) -> tuple[int, int]:
    engine: Engine = open_engine(url, pool_size=1)
    with engine.connect() as connection:
        found = [
            connection.scalar(select(func.count()).select_from(table)) or 0 for table in (projects, prices)
        ]
    engine.dispose()
    return found[0], found[1]


def test_migrate_makes_schema_project_pepper_and_prices_and_says_so(
    patchmill: Command, settings: dict[str, str], tmp_path: Path
) -> None:
    done = patchmill("migrate", settings=settings)

    assert (done.code, done.data) == (0, "")
    assert "schema: brought to this version" in done.talk
    assert "project `default`: created" in done.talk
    assert "deepseek-v4-flash, deepseek-v4-pro and deepseek-v3-2" in done.talk
    assert stat.S_IMODE((tmp_path / "key-pepper").stat().st_mode) == 0o600
    assert counts(settings["PATCHMILL_DATABASE_URL"]) == (1, 3)


def test_migrating_again_changes_nothing(
    patchmill: Command, migrated: dict[str, str], tmp_path: Path
) -> None:
    pepper = (tmp_path / "key-pepper").read_bytes()

    done = patchmill("migrate", settings=migrated)

    assert done.code == 0
    assert done.talk.count("already") == 4
    assert (tmp_path / "key-pepper").read_bytes() == pepper
    assert counts(migrated["PATCHMILL_DATABASE_URL"]) == (1, 3)


def test_two_migrations_at_once_do_it_once(settings: dict[str, str]) -> None:
    both = [
        subprocess.Popen(
            arguments("migrate"), env=environment(settings), stderr=subprocess.PIPE, encoding="utf-8"
        )
        for _ in range(2)
    ]

    ended = [(process.communicate(timeout=60)[1], process.returncode) for process in both]

    assert [code for _, code in ended] == [0, 0], ended
    assert counts(settings["PATCHMILL_DATABASE_URL"]) == (1, 3)


def test_a_key_alone_is_printed_and_the_api_accepts_it(
    patchmill: Command, migrated: dict[str, str], tmp_path: Path, redis_url: str
) -> None:
    done = patchmill("keys", "create", "--name", "ci", settings=migrated)

    assert done.code == 0
    key = done.data.removesuffix("\n")
    assert key.startswith("pm_")
    assert len(key.split()) == 1
    assert key not in done.talk
    with running_api(migrated["PATCHMILL_DATABASE_URL"], redis_url, tmp_path) as api:
        with api.client({"Authorization": f"Bearer {key}"}) as client:
            assert client.get("/v1/jobs").status_code == 200
        revoked = patchmill("keys", "revoke", key[:11], settings=migrated)
        assert (revoked.code, revoked.data) == (0, "")
        with api.client({"Authorization": f"Bearer {key}"}) as client:
            assert client.get("/v1/jobs").status_code == 401


def test_keys_are_listed_without_their_secrets(patchmill: Command, migrated: dict[str, str]) -> None:
    made = patchmill("keys", "create", "--name", "for\x1bci", "--scope", "jobs:read", settings=migrated)
    key = made.data.strip()
    patchmill("keys", "create", "--expires-in-days", "3", settings=migrated)

    table = patchmill("keys", "list", settings=migrated)
    listed = json.loads(patchmill("keys", "list", "--json", settings=migrated).data)

    assert key not in table.data
    assert key[:11] in table.data
    assert "for\\x1bci" in table.data
    assert [each["name"] for each in listed] == ["cli", "for\x1bci"]
    assert listed[0]["expires_at"].endswith("Z")
    assert (listed[1]["scopes"], listed[1]["prefix"]) == (["jobs:read"], key[:11])


def test_a_project_that_does_not_exist_names_the_command_that_makes_one(
    patchmill: Command, migrated: dict[str, str]
) -> None:
    done = patchmill("keys", "create", "--project", "nowhere", settings=migrated)

    assert (done.code, done.data) == (2, "")
    assert "`patchmill projects create` makes it" in done.talk


def test_a_database_without_schema_names_the_command_that_makes_it(
    patchmill: Command, settings: dict[str, str]
) -> None:
    done = patchmill("keys", "list", settings=settings)

    assert done.code == 2
    assert "run `patchmill migrate`" in done.talk


def test_revoking_a_key_that_is_not_there_is_an_error(patchmill: Command, migrated: dict[str, str]) -> None:
    done = patchmill("keys", "revoke", "pm_12345678", settings=migrated)

    assert done.code == 2
    assert "there is no key pm_12345678" in done.talk


@pytest.mark.parametrize("days", ["0", "-1", "99999999", "soon"])
def test_an_expiry_that_makes_no_sense_is_refused(
    patchmill: Command, migrated: dict[str, str], days: str
) -> None:
    done = patchmill("keys", "create", "--expires-in-days", days, settings=migrated)

    assert (done.code, done.data) == (2, "")
