from pathlib import Path

import pytest

from patchmill.job.state import ARROWS, TERMINAL, State, diagram, is_legal

ARCHITECTURE = Path(__file__).parents[2] / "docs" / "architecture.md"


def test_every_state_can_be_reached_from_queued() -> None:
    reached = {State.QUEUED}
    while True:
        more = {target for source, target in ARROWS if source in reached} - reached
        if not more:
            break
        reached |= more

    assert reached == set(State)


def test_an_ended_job_moves_only_by_an_explicit_retry() -> None:
    leaving = {(source, target) for source, target in ARROWS if source in TERMINAL}

    assert leaving == {(state, State.QUEUED) for state in TERMINAL}


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (State.QUEUED, State.RUNNING),
        (State.QUEUED, State.SUCCEEDED),
        (State.DISPATCHED, State.SUCCEEDED),
        (State.SUCCEEDED, State.FAILED),
    ],
)
def test_shortcuts_are_illegal(source: State, target: State) -> None:
    assert not is_legal(source, target)


def test_the_diagram_in_the_docs_is_the_one_drawn_from_the_table() -> None:
    assert diagram() in ARCHITECTURE.read_text(encoding="utf-8")
