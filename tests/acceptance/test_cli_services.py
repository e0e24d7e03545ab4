import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import redis
from sqlalchemy import text

from patchmill.dev.child import Tether
from patchmill.dev.data_folder import claimed
from patchmill.dev.services import Services, embedded
from patchmill.errors import Unavailable
from patchmill.store.engine import open_engine
from tests.support.command import environment
from tests.support.processes import running_for
from tests.support.stack import until

WAIT = threading.Event().wait
HOLDER = """
import os, sys, threading
from pathlib import Path
from patchmill.dev.child import Tether
from patchmill.dev.data_folder import claimed
from patchmill.dev.services import embedded

folder, wait = Path(sys.argv[1]), threading.Event().wait
with claimed(folder, pause=wait) as lock, Tether(lock) as tether:
    with embedded(folder, held_by=tether, durable=True):
        print(tether.pid, flush=True)
        wait()
"""


def use(services: Services) -> None:
    """Write to both services."""
    engine = open_engine(services.database_url, pool_size=1)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE IF NOT EXISTS kept (number int)"))
        connection.execute(text("INSERT INTO kept VALUES (1)"))
    engine.dispose()
    with redis.Redis.from_url(services.redis_url) as client:
        client.incr("kept")


def kept(services: Services) -> tuple[int, int]:
    """Count what was written to both."""
    engine = open_engine(services.database_url, pool_size=1)
    with engine.begin() as connection:
        rows = connection.scalar(text("SELECT count(*) FROM kept")) or 0
    engine.dispose()
    with redis.Redis.from_url(services.redis_url) as client:
        value = client.get("kept")
    assert isinstance(value, bytes)
    return rows, int(value)


def start_holder(folder: Path) -> tuple[subprocess.Popen[str], int]:
    """Start a process that runs the services; gives it, and the id of what ends them when it dies."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)],
        env=environment({}),
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def test_services_keep_their_data_and_leave_no_process(service_folder: Path) -> None:
    for time in (1, 2):
        with (
            Tether() as tether,
            embedded(service_folder, held_by=tether, durable=True) as services,
        ):
            use(services)
            assert kept(services) == (time, time)
        assert running_for(service_folder) == []


def test_a_service_that_runs_already_is_not_started(service_folder: Path) -> None:
    with (
        Tether() as tether,
        embedded(
            service_folder, held_by=tether, durable=False, database_url="postgresql://elsewhere/x"
        ) as services,
    ):
        assert services.database_url == "postgresql://elsewhere/x"
        assert [child.name for child in services.children] == ["valkey"]


def test_the_users_own_database_settings_change_nothing(
    service_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"PGPORT": "1", "PGDATA": "/nowhere", "LC_ALL": "xx_XX", "LANG": "xx_XX"}.items():
        monkeypatch.setenv(name, value)

    with Tether() as tether, embedded(service_folder, held_by=tether, durable=False) as services:
        use(services)
        assert kept(services) == (1, 1)


def test_valkey_lets_nobody_in_without_its_password(service_folder: Path) -> None:
    with Tether() as tether, embedded(service_folder, held_by=tether, durable=False) as services:
        stranger = services.redis_url.replace(services.redis_url.split("@")[0], "redis://", 1).replace(
            "@", ""
        )
        with redis.Redis.from_url(stranger) as client, pytest.raises(redis.AuthenticationError):
            client.ping()


def test_a_path_too_long_for_a_socket_gets_a_short_one_that_is_removed(service_folder: Path) -> None:
    folder = service_folder / ("deep" * 30)
    with Tether() as tether, embedded(folder, held_by=tether, durable=False) as services:
        use(services)
        sockets = Path(services.database_url.partition("host=")[2].partition("&")[0])
        assert sockets.is_dir()

    assert not sockets.exists()


@pytest.mark.fault
def test_killing_the_owner_ends_its_services_and_the_next_one_has_their_data(service_folder: Path) -> None:
    process, _ = start_holder(service_folder)
    assert running_for(service_folder)

    process.kill()
    process.communicate()

    with claimed(service_folder, pause=WAIT) as lock, Tether(lock) as tether:
        assert running_for(service_folder) == []
        with embedded(service_folder, held_by=tether, durable=True) as services:
            use(services)


@pytest.mark.fault
def test_services_that_outlived_their_owner_are_stopped_first(service_folder: Path) -> None:
    process, tether_id = start_holder(service_folder)
    os.kill(tether_id, signal.SIGKILL)
    process.kill()
    process.communicate()
    before = {each.pid for each in running_for(service_folder)}
    assert before

    with (
        claimed(service_folder, pause=WAIT) as lock,
        Tether(lock) as tether,
        embedded(service_folder, held_by=tether, durable=True) as services,
    ):
        use(services)
        assert kept(services) == (1, 1)
        assert not before & {each.pid for each in running_for(service_folder)}


@pytest.mark.fault
def test_what_a_killed_postgres_leaves_does_not_hinder_the_next(service_folder: Path) -> None:
    with Tether() as tether, embedded(service_folder, held_by=tether, durable=True) as services:
        use(services)
        for child in services.children:
            os.kill(child.pid, signal.SIGKILL)
        until(lambda: running_for(service_folder) == [], "both services gone")
    note = service_folder / "postgres" / "data" / "postmaster.pid"
    # The id of a process that lives, as after a restart of the machine.
    note.write_text("\n".join([str(os.getpid()), *note.read_text().splitlines()[1:]]) + "\n")

    with Tether() as tether, embedded(service_folder, held_by=tether, durable=True) as services:
        use(services)
        assert [child.ended() for child in services.children] == [None, None]


def test_a_folder_is_for_one_at_a_time(service_folder: Path) -> None:
    with (
        claimed(service_folder, pause=WAIT),
        pytest.raises(Unavailable, match=f"process {os.getpid()}"),
        claimed(service_folder, pause=WAIT),
    ):
        pytest.fail("two owners")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's Postgres runs as another user")
def test_a_folder_that_postgres_may_not_enter_is_named(service_folder: Path) -> None:
    closed = service_folder / "closed"
    closed.mkdir(mode=0o700)

    with (
        Tether() as tether,
        pytest.raises(Unavailable, match=f"may not enter {closed}"),
        embedded(closed / "data", held_by=tether, durable=False),
    ):
        pytest.fail("it started")
