import json

import pytest

from patchmill.cli.child_log import ChildLog


def shown_lines(*lines: str, verbose: bool) -> list[str]:
    seen: list[str] = []
    take = ChildLog(verbose=verbose, show=seen.append).of("worker-1")
    for line in lines:
        take(line)
    return seen


@pytest.mark.parametrize("level", ["warning", "error", "critical"])
def test_trouble_is_shown_with_the_name_of_its_process(level: str) -> None:
    line = json.dumps({"event": "lease lost", "level": level})

    assert shown_lines(line, verbose=False) == [f"worker-1 | {line}"]


def test_what_is_no_trouble_is_shown_only_when_asked_for() -> None:
    lines = ['{"event": "worker ready", "level": "info"}', "a banner", "{half a line", "[1]"]

    assert shown_lines(*lines, verbose=False) == []
    assert shown_lines(*lines, verbose=True) == [f"worker-1 | {line}" for line in lines]
