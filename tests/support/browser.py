"""Chromium for tests of pages: found or installed once, and a page that remembers what went wrong on it."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
HOW = "no Chromium was found; `apt-get install -y chromium` installs it, or PATCHMILL_TEST_CHROMIUM names one"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
INSTALL_TIMEOUT_S = 150

expect.set_options(timeout=30_000)  # where a test promises less, it says so


@dataclass
class Watched:
    """A page, every complaint of its console, and every address that it asked for."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def abroad(self, url: str) -> list[str]:
        """Give the requests that went to another host."""
        here = urlsplit(url).netloc
        return [each for each in self.requests if urlsplit(each).netloc not in {here, ""}]

    def barriers(self) -> list[str]:
        """Give what axe finds on the page as it is, each with the elements that it is about."""
        found = Axe().run(self.page).response["violations"]
        return [
            f"{each['id']} ({each['impact']}): {[node['html'][:160] for node in each['nodes'][:3]]}"
            for each in found
        ]


def chromium() -> str:
    """Give the path of a Chromium, installed if this machine lets us; skip the test where there is none."""
    found = _found() or _installed()
    if found is None:
        pytest.skip(HOW)
    return found


def _found() -> str | None:
    named = os.environ.get("PATCHMILL_TEST_CHROMIUM")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)


def _installed() -> str | None:
    """Install it as root on Debian and its kin; test processes wait for the one that does."""
    apt_get = shutil.which("apt-get")
    if apt_get is None or os.geteuid() != 0:
        return None
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    with (Path(tempfile.gettempdir()) / f"patchmill-chromium-{run}").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (found := _found()) is not None or lock.tell():  # another process of this run has tried
            return found
        lock.write("tried")
        lock.flush()
        for words in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
            try:
                done = subprocess.run(
                    [apt_get, "-q", *words],
                    env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
                    capture_output=True,
                    timeout=INSTALL_TIMEOUT_S,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                return None
            if done.returncode != 0:
                return None
    return _found()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Give a headless Chromium.

    It ends with the tests of its module: until then an event loop runs in this thread, and no other can.
    """
    path = chromium()
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield launched
        launched.close()


@contextmanager
def watched(
    browser: Browser, url: str, *, dark: bool = False, script: bool = True, width: int = 1200
) -> Iterator[Watched]:
    """Open a page of a fresh browser profile, whose relative addresses are of `url`."""
    context = browser.new_context(
        base_url=url,
        color_scheme="dark" if dark else "light",
        java_script_enabled=script,
        viewport={"width": width, "height": 900},
    )
    page = context.new_page()
    page.set_default_timeout(30_000)
    made = Watched(page=page)

    def hear(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            made.complaints.append(message.text)

    def note(request: Request) -> None:
        made.requests.append(request.url)

    page.on("console", hear)
    page.on("pageerror", lambda error: made.complaints.append(str(error)))
    page.on("request", note)
    try:
        yield made
    finally:
        context.close()
