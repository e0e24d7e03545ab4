import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from socket import socket

import httpx
import pytest

from patchmill import __version__
from patchmill.cli.main import COMMANDS
from tests.support.command import Command, arguments, environment, run_process

EXIT_CODES = "0 done, 1 findings left, 2 usage or settings, 3 a service or the gateway"


def one_line(error: str) -> str:
    """The sentence of a command that failed: one line, no traceback."""
    assert error.startswith("patchmill: ")
    assert error.count("\n") == 1
    return error


def test_the_version_is_data() -> None:
    done = run_process("--version")

    assert (done.code, done.data, done.talk) == (0, f"patchmill {__version__}\n", "")


def test_help_lists_every_command_and_the_exit_codes(patchmill: Command) -> None:
    done = patchmill("--help")

    assert done.code == 0
    assert all(f"\n  {command} " in done.data for command in COMMANDS)
    assert EXIT_CODES in " ".join(done.data.split())


@pytest.mark.parametrize(
    "words",
    [
        *([command] for command in COMMANDS),
        *(["keys", each] for each in ("create", "list", "revoke")),
        *(["jobs", each] for each in ("cancel", "retry")),
        ["runs", "cancel"],
    ],
)
def test_each_command_teaches_its_use(patchmill: Command, words: list[str]) -> None:
    done = patchmill(*words, "--help")

    assert done.code == 0
    assert f"Usage: patchmill {' '.join(words)}" in done.data
    assert "Examples:\n" in done.data
    assert EXIT_CODES in " ".join(done.data.split())


def test_without_a_command_the_help_is_shown_as_a_usage_error(patchmill: Command) -> None:
    done = patchmill()

    assert done.code == 2
    assert "Usage: patchmill" in done.talk
    assert done.data == ""


def test_a_mistyped_command_is_answered_with_the_one_that_was_meant(patchmill: Command) -> None:
    done = patchmill("migrat")

    assert done.code == 2
    assert "did you mean `migrate`?" in one_line(done.talk)


def test_a_mistyped_option_is_a_usage_error(patchmill: Command) -> None:
    done = patchmill("settings", "--jsn")

    assert done.code == 2
    assert "--jsn" in one_line(done.talk)


@pytest.mark.parametrize("words", [["migrate"], ["keys", "list"], ["keys", "create"]])
def test_a_command_without_its_database_says_what_to_set(patchmill: Command, words: list[str]) -> None:
    done = patchmill(*words)

    assert (done.code, done.data) == (2, "")
    assert "PATCHMILL_DATABASE_URL must be set" in one_line(done.talk)


def test_a_database_that_does_not_answer_is_a_service_error_without_its_password() -> None:
    done = run_process(
        "migrate", settings={"PATCHMILL_DATABASE_URL": "postgresql://u:hidden-word@127.0.0.1:1/x"}
    )

    assert done.code == 3
    assert "cannot reach Postgres at postgresql://u:********@127.0.0.1:1/x" in one_line(done.talk)
    assert "hidden-word" not in done.talk


def test_an_address_of_another_database_is_a_settings_error(patchmill: Command) -> None:
    done = patchmill("migrate", settings={"PATCHMILL_DATABASE_URL": "mysql://u@h/x"})

    assert done.code == 2
    assert "PATCHMILL_DATABASE_URL" in one_line(done.talk)


def test_a_setting_that_cannot_work_is_named(patchmill: Command) -> None:
    done = patchmill("settings", settings={"PATCHMILL_PORT": "eighty"})

    assert done.code == 2
    assert "PATCHMILL_PORT" in one_line(done.talk)


def test_settings_hide_secrets_and_say_where_each_value_comes_from(patchmill: Command) -> None:
    done = patchmill(
        "settings",
        "--json",
        settings={
            "PATCHMILL_DATABASE_URL": "postgresql+psycopg://u:secret-one@h/d",
            "PATCHMILL_REDIS_URL": "redis://:secret-two@localhost/0",
            "BYTESPIKE_API_KEY": "secret-three",
            "PATCHMILL_PORT": "9000",
        },
    )

    assert done.code == 0
    assert "secret-" not in done.data
    lines = {line["variable"]: line for line in json.loads(done.data)}
    assert lines["PATCHMILL_DATABASE_URL"]["value"] == "postgresql+psycopg://u:********@h/d"
    assert (lines["PATCHMILL_PORT"]["value"], lines["PATCHMILL_PORT"]["default"]) == ("9000", "8080")
    assert lines["PATCHMILL_PORT"]["source"] == "environment"
    assert lines["BYTESPIKE_API_KEY"]["source"] == "environment"
    assert lines["PATCHMILL_MODEL"]["source"] == "default"


def test_settings_for_people_hide_the_same_and_escape_what_a_terminal_would_act_on(
    patchmill: Command,
) -> None:
    done = patchmill(
        "settings", settings={"PATCHMILL_SERVER_KEY": "secret-one", "PATCHMILL_MODEL": "a\x1b[31mb"}
    )

    assert "secret-one" not in done.data
    assert "PATCHMILL_SERVER_KEY=********  (environment; default: none)" in done.data
    assert "PATCHMILL_MODEL=a\\x1b[31mb  (environment" in done.data


def test_a_project_configuration_file_sets_nothing(
    patchmill: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("PATCHMILL_PORT=9000\nPATCHMILL_SERVER_URL=http://evil\n")
    monkeypatch.chdir(tmp_path)

    done = patchmill("settings")

    assert done.code == 0
    assert "evil" not in done.data
    assert "PATCHMILL_PORT=8080  (default)" in done.data


@pytest.mark.parametrize(("asked", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_the_stand_in_prints_its_address_and_ends_when_asked(asked: signal.Signals, code: int) -> None:
    with subprocess.Popen(
        arguments("standin", "--port", "0", "--key", "sk-byts-mine"),
        env=environment({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        answer = httpx.get(f"{url}/models", headers={"x-api-key": "sk-byts-mine"}, trust_env=False)
        process.send_signal(asked)
        _, talk = process.communicate(timeout=20)

    assert answer.status_code == 200
    assert "NOT a language model" in talk
    assert f"PATCHMILL_GATEWAY_URL={url}" in talk
    assert process.returncode == code


def test_a_port_in_use_is_told_with_the_way_out(patchmill: Command) -> None:
    with closing(socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])

        for command in ("standin", "up"):
            done = patchmill(command, "--port", port)

            assert done.code == 3
            assert "--port" in done.talk.splitlines()[-1]
            assert port in done.talk.splitlines()[-1]


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("patchmill.cli.main", {"httpx", "pydantic", "sqlalchemy", "fastapi"}),
        ("patchmill.cli.commands.fix", {"sqlalchemy", "fastapi", "celery"}),
        ("patchmill.cli.commands.status", {"sqlalchemy", "fastapi", "celery"}),
        ("patchmill.client", {"httpx", "pydantic", "sqlalchemy"}),
        ("patchmill.client.http", {"pydantic", "sqlalchemy", "celery"}),
    ],
)
def test_what_a_client_needs_brings_nothing_heavy_along(module: str, heavy: set[str]) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)

    assert not heavy & set(done.stdout.split())


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_goes_away_ends_the_command_without_a_word(unbuffered: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        arguments("settings"),
        env=environment({"PYTHONUNBUFFERED": unbuffered}),
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)

    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")
