"""Each row of the table of what servers do on the wire, played by the stand-in to our client.

The rows are H1 to H11 of HTTP, S1 to S10 of the event stream, and C1 to C17 of its chunks. What is expected
of each case stands in `benchmarks/wire/expectations.py`, so that a peer can be held against it too.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.wire.expectations import ELSEWHERE, EXPECTED, PLAIN, Outcome, expected_of
from benchmarks.wire.ours import ask, complaints
from benchmarks.wire.stand_in import PLAYS, Play, StandIn
from patchmill.call.reply import Rejected
from patchmill.dev.standin.server import running
from patchmill.dev.standin.wire_cases import CASES

ROWS = [*(f"H{n}" for n in range(1, 12)), *(f"S{n}" for n in range(1, 11)), *(f"C{n}" for n in range(1, 18))]


@pytest.fixture(scope="module")
def stand_in() -> Iterator[StandIn]:
    with running() as root, StandIn(root) as it:
        yield it


@pytest.mark.parametrize("play", PLAYS, ids=str)
def test_what_a_server_does_becomes_the_outcome_that_the_table_says(stand_in: StandIn, play: Play) -> None:
    stand_in.prepare(play)
    outcome = ask(stand_in.url, play)
    bill = stand_in.bill()

    assert list(complaints(expected_of(play.case.name, stream=play.stream), outcome, bill)) == []
    assert not (isinstance(outcome, Rejected) and bill.billed)


def test_every_case_has_its_expectation_and_every_row_its_case() -> None:
    assert set(EXPECTED) == set(CASES)
    assert set(PLAIN) <= set(CASES)
    assert {case.row for case in CASES.values()} == set(ROWS)


def test_every_case_is_played() -> None:
    assert {play.case.name for play in PLAYS} == set(CASES)


def test_no_case_that_is_billed_is_expected_to_be_called_rejected() -> None:
    rejected = {name for name, expected in EXPECTED.items() if expected.outcome is Outcome.REJECTED}

    assert [name for name in sorted(rejected) if CASES[name].billed] == []


@pytest.mark.parametrize("test", [test for test, _ in ELSEWHERE.values()], ids=ELSEWHERE)
def test_what_no_server_can_show_is_shown_elsewhere(test: str) -> None:
    files = (Path(__file__).parent.parent).glob("*/test_*.py")

    assert sum(f"def {test}(" in file.read_text(encoding="utf-8") for file in files) == 1
