"""HTTP to what runs on this machine: without certificates, whose loading takes longer than most tests."""

from collections.abc import Mapping
from typing import Any

import httpx


def client(url: str = "", *, headers: Mapping[str, str] | None = None, timeout: float = 30) -> httpx.Client:
    """Give a client; its addresses are of `url`."""
    return httpx.Client(
        base_url=url,
        headers=headers,
        timeout=timeout,
        verify=False,  # noqa: S501 - there is no TLS to verify
        trust_env=False,
    )


def get(url: str, **more: Any) -> httpx.Response:
    """Ask one thing."""
    return send("GET", url, **more)


def send(method: str, url: str, **more: Any) -> httpx.Response:
    """Send one request."""
    with client() as http:
        return http.request(method, url, **more)
