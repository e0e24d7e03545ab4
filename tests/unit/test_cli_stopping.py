"""What is made of a Ctrl-C, by whoever started something at that moment."""

import signal

import pytest

from patchmill.cli.exits import Exit, Interrupted
from patchmill.cli.stopping import Stop
from patchmill.errors import Unavailable


def start_in_vain(number: signal.Signals | None = None) -> None:
    with Stop():
        if number is not None:
            signal.raise_signal(number)
        raise Unavailable("Postgres did not start")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, Exit.INTERRUPTED), (signal.SIGTERM, Exit.DONE)])
def test_what_could_not_start_after_a_signal_was_broken_off(number: signal.Signals, code: Exit) -> None:
    with pytest.raises(Interrupted) as raised:
        start_in_vain(number)

    assert raised.value.code == code
    assert str(raised.value.__cause__) == "Postgres did not start"


def test_what_could_not_start_by_itself_is_told() -> None:
    with pytest.raises(Unavailable, match="did not start"):
        start_in_vain()
