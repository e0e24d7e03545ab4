"""What tests take for `python -m api` and `python -m worker` ends, logs and obeys as those do."""

import os
import signal
from pathlib import Path

from tests.support.nursery import Nursery, nursery
from tests.support.stack import until

WITHOUT_SERVICES = {"PATH": os.environ["PATH"]}
LACKING = "PATCHMILL_DATABASE_URL and PATCHMILL_REDIS_URL must be set"


def test_children_have_settings_a_log_and_an_exit_code_of_their_own(tmp_path: Path) -> None:
    log, other = tmp_path / "log", tmp_path / "other"
    log.touch()
    other.touch()
    address = {"PATCHMILL_DATABASE_URL": "mysql://h/d", "PATCHMILL_REDIS_URL": "redis://127.0.0.1:1/0"}

    first = nursery("worker").start("worker", WITHOUT_SERVICES, log)
    second = nursery("worker").start("worker", {**WITHOUT_SERVICES, **address}, other)

    assert (first.wait(60), second.wait(60)) == (2, 2)
    assert LACKING in log.read_text()
    assert LACKING not in other.read_text()


def test_children_obey_signals_and_end_with_whoever_started_them(database_url: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    settings = {
        **WITHOUT_SERVICES,
        "PATCHMILL_DATABASE_URL": database_url,
        "PATCHMILL_REDIS_URL": "redis://127.0.0.1:1/0",
        "PATCHMILL_DATA_DIR": str(tmp_path),
        "PATCHMILL_PORT": "0",
    }
    own = Nursery("api")
    children = [own.start("api", settings, log) for _ in range(3)]
    until(lambda: log.read_text().count("listening") == len(children), "three doors")

    children[0].kill()
    children[1].terminate()

    assert [child.wait(60) for child in children[:2]] == [-signal.SIGKILL, 0]
    assert children[2].poll() is None
    own.close()
    until(lambda: not Path(f"/proc/{children[2].pid}").exists(), "the end of the last one")
