"""The stand-in gateway by itself, one a test file, and a client that finds it as it was at its start."""

from collections.abc import Iterator

import httpx
import pytest

from patchmill.dev.standin.server import running
from tests.support import plain_http

KEY = {"authorization": "Bearer sk-byts-stand-in"}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Give the root address of a stand-in that this file's tests share."""
    with running() as root:
        yield root


@pytest.fixture(scope="module")
def connected(url: str) -> Iterator[httpx.Client]:
    """Give a client with an accepted key; it sees what earlier tests have left."""
    with plain_http.client(url, headers=KEY, timeout=10) as client:
        yield client


@pytest.fixture
def gateway(connected: httpx.Client) -> httpx.Client:
    """Give the client after behaviour and ledger were taken back to the start."""
    connected.put("/standin/behaviour", json={}).raise_for_status()
    connected.delete("/standin/ledger").raise_for_status()
    return connected
