import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from api.waking import Waker
from patchmill.queue.dispatch import Broker
from patchmill.store.key_secret import make
from patchmill.telemetry import REDACTED, configure_logging, get_logger


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, configured = root.handlers[:], structlog.get_config()
    yield
    root.handlers[:] = handlers
    structlog.configure(**configured)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return [json.loads(line) for line in captured.err.splitlines()]


def test_a_line_is_json_with_time_level_event_and_context(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging()
    with structlog.contextvars.bound_contextvars(request_id="req_1"):
        get_logger("api.test").info("started", workers=2)

    (line,) = lines(capsys)
    assert str(line.pop("timestamp")).endswith("Z")
    assert line == {
        "logger": "api.test",
        "level": "info",
        "event": "started",
        "request_id": "req_1",
        "workers": 2,
    }


def test_libraries_log_their_warnings_in_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging()
    logging.getLogger("library").info("asking")
    logging.getLogger("library").warning("lost %s", "a connection")

    (line,) = lines(capsys)
    assert (line["logger"], line["level"], line["event"]) == ("library", "warning", "lost a connection")


def test_lines_below_the_level_are_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("WARNING")
    get_logger("api.test").info("started")

    assert lines(capsys) == []


@pytest.mark.parametrize(
    "name", ["content", "source", "prompt", "reply", "secret", "Authorization", "password"]
)
def test_what_was_submitted_and_what_is_secret_is_not_logged(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    configure_logging()
    get_logger("api.test").info("sent", **{name: "hunter2"}, request={"headers": [{name: "hunter2"}]})

    (line,) = lines(capsys)
    assert line[name] == REDACTED
    assert "hunter2" not in json.dumps(line)


def test_passwords_in_addresses_and_keys_in_texts_are_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging()
    key = make()
    get_logger("api.test").info("cannot reach redis://user:hunter2@host:6379", sent=f"Bearer {key.text()}")

    (line,) = lines(capsys)
    assert line["event"] == f"cannot reach redis://user:{REDACTED}@host:6379"
    assert line["sent"] == f"Bearer pm_{key.public_id}…"


def test_an_exception_is_logged_by_type_and_place_without_its_message(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging()
    try:
        try:
            int("x = 1  # submitted source")
        except ValueError as error:
            raise RuntimeError("x = 1  # submitted source") from error
    except RuntimeError:
        get_logger("api.test").exception("failed")
        logging.getLogger("library").exception("failed")

    own, foreign = lines(capsys)
    assert own["exception"] == foreign["exception"]
    assert "submitted" not in json.dumps([own, foreign])
    chain = own["exception"]
    assert isinstance(chain, list)
    assert [item["type"] for item in chain] == ["builtins.RuntimeError", "builtins.ValueError"]
    assert "test_an_exception_is_logged" in chain[0]["frames"][-1]


def test_a_redis_that_is_away_is_logged_once_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging()
    broker = Broker("redis://127.0.0.1:1")
    waker = Waker(broker)
    for _ in range(5):
        waker.wake()
    broker.close()

    assert [line["event"] for line in lines(capsys)] == ["redis_unavailable"]
