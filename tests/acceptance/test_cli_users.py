import json
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import select

from patchmill.store import password, people
from patchmill.store.engine import open_engine
from patchmill.store.people import UserRow
from patchmill.store.tables import audit
from tests.support.command import Command, arguments, environment


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> dict[str, str]:
    return {"PATCHMILL_DATABASE_URL": database_url, "PATCHMILL_DATA_DIR": str(tmp_path)}


def stored(settings: dict[str, str], name: str) -> UserRow | None:
    engine = open_engine(settings["PATCHMILL_DATABASE_URL"], pool_size=1)
    with engine.connect() as connection:
        found = people.user_named(connection, name)
    engine.dispose()
    return found


def test_a_new_user_has_the_password_that_is_printed_alone(
    patchmill: Command, settings: dict[str, str]
) -> None:
    done = patchmill("users", "create", "ann", "--role", "admin", settings=settings)

    assert done.code == 0, done.talk
    made = done.data.removesuffix("\n")
    assert "\n" not in made
    assert made not in done.talk
    user = stored(settings, "ann")
    assert user is not None
    assert (user.role, user.disabled_at) == ("admin", None)
    assert user.password_hash.startswith("$argon2id$")
    assert password.matches(made, user.password_hash)
    again = patchmill("users", "create", "ann", settings=settings)
    assert (again.code, again.data) == (2, "")
    assert "`patchmill users password ann`" in again.talk


def test_a_password_is_read_from_standard_input(settings: dict[str, str]) -> None:
    def create(name: str, given: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            arguments("users", "create", name, "--password-stdin"),
            env=environment(settings),
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )

    done = create("bob", "a long enough one\n")
    short = create("eve", "short\n")
    long = create("eve", "x" * 500)

    assert (done.returncode, done.stdout) == (0, "")
    user = stored(settings, "bob")
    assert user is not None
    assert user.role == "viewer"
    assert password.matches("a long enough one", user.password_hash)
    assert (short.returncode, long.returncode) == (2, 2)
    assert "12 to 200 characters" in short.stderr
    assert stored(settings, "eve") is None


def test_users_are_listed_and_disabled_and_the_audit_says_so(
    patchmill: Command, settings: dict[str, str]
) -> None:
    for name in ("bob", "ann"):
        patchmill("users", "create", name, settings=settings)

    assert patchmill("users", "disable", "ann", settings=settings).code == 0
    assert "already" in patchmill("users", "disable", "ann", settings=settings).talk
    for told in ("user `ann` is enabled", "user `ann` was enabled already"):
        assert told in patchmill("users", "enable", "ann", settings=settings).talk
    assert patchmill("users", "disable", "ann", settings=settings).code == 0

    listed = json.loads(patchmill("users", "list", "--json", settings=settings).data)
    assert [(row["name"], row["role"], row["disabled_at"] is None) for row in listed] == [
        ("ann", "viewer", False),
        ("bob", "viewer", True),
    ]
    assert "disabled" in patchmill("users", "list", settings=settings).data
    engine = open_engine(settings["PATCHMILL_DATABASE_URL"], pool_size=1)
    with engine.connect() as connection:
        actions = connection.scalars(select(audit.c.action).where(audit.c.subject == "user:ann")).all()
    engine.dispose()
    assert actions == [
        "user.create", "user.disable", "user.disable", "user.enable", "user.enable", "user.disable"
    ]  # fmt: skip


def test_another_password_takes_the_place_of_the_first(patchmill: Command, settings: dict[str, str]) -> None:
    first = patchmill("users", "create", "ann", settings=settings).data.strip()

    second = patchmill("users", "password", "ann", settings=settings).data.strip()

    user = stored(settings, "ann")
    assert user is not None
    assert password.matches(second, user.password_hash)
    assert not password.matches(first, user.password_hash)


@pytest.mark.parametrize("name", ["", "a b", "-x", "x" * 65, "\u202ex", "a/b"])
def test_a_name_that_could_mislead_is_refused(
    patchmill: Command, settings: dict[str, str], name: str
) -> None:
    assert patchmill("users", "create", "--", name, settings=settings).code == 2


def test_a_user_that_there_is_not_is_named(patchmill: Command, settings: dict[str, str]) -> None:
    for command in ("disable", "enable", "password"):
        done = patchmill("users", command, "nobody", settings=settings)
        assert (done.code, done.data) == (2, "")
        assert "there is no user `nobody`" in done.talk
