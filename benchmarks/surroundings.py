"""What benchmarks run in: durable Postgres, Valkey, and a stand-in that answers by script after 50 ms."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from patchmill.dev.child import Tether
from patchmill.dev.services import embedded
from patchmill.dev.surroundings import free_port

MODEL_MS = 50
KEY = "sk-byts-stand-in"
SOURCE = '''"""Module {number}."""


def collect(item, into=[]):
    """Collect items."""
    into.append(item)
    return into
'''
ANSWER = '''Use None as the default

```python
<<<<<<< SEARCH
def collect(item, into=[]):
    """Collect items."""
=======
def collect(item, into=None):
    """Collect items."""
    if into is None:
        into = []
>>>>>>> REPLACE
```
'''


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where everything is."""

    database_url: str
    redis_url: str
    gateway_url: str
    folder: Path

    def start(self, module: str, **settings: str) -> subprocess.Popen[bytes]:
        """Start `python -m module` with Patchmill's settings."""
        environment = {
            **os.environ,
            "PATCHMILL_DATABASE_URL": self.database_url,
            "PATCHMILL_REDIS_URL": self.redis_url,
            "PATCHMILL_GATEWAY_URL": self.gateway_url,
            "PATCHMILL_GATEWAY_API_KEY": KEY,
            "PATCHMILL_DATA_DIR": str(self.folder),
            **settings,
        }
        with (self.folder / f"{module}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", module], env=environment, stdout=log, stderr=subprocess.STDOUT
            )


@contextmanager
def surroundings() -> Iterator[Surroundings]:
    """Run everything for the length of the block."""
    with tempfile.TemporaryDirectory(prefix="patchmill-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # Postgres runs as another user when this runs as root
        with (
            Tether() as tether,
            embedded(folder, held_by=tether, durable=True) as services,
            stand_in() as gateway_url,
        ):
            yield Surroundings(
                database_url=services.database_url,
                redis_url=services.redis_url,
                gateway_url=gateway_url,
                folder=folder,
            )


@contextmanager
def stand_in() -> Iterator[str]:
    """Run the stand-in in a process of its own, so that its work is nobody else's."""
    port = free_port()
    root = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "patchmill.cli", "standin", "--port", str(port), "--concurrency", "1000"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: _answers(f"{root}/standin/health"), "the stand-in")
        script = [{"match": None, "content": ANSWER, "times": 1_000_000}]
        behaviour = {"latency_ms": MODEL_MS, "script": script, "concurrency": 1000}
        httpx.put(f"{root}/standin/behaviour", content=json.dumps(behaviour)).raise_for_status()
        yield f"{root}/v1"
    finally:
        process.terminate()
        process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def until(condition: Callable[[], object], what: str, deadline_s: float = 120.0) -> None:
    """Wait for a condition; TimeoutError after the deadline."""
    end = time.monotonic() + deadline_s
    pause = threading.Event()
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(what)
        pause.wait(0.01)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpu:
    """CPU milliseconds: of the process itself, and of all that it started and that they started."""

    own_ms: float
    children_ms: float

    @classmethod
    def of(cls, process: subprocess.Popen[bytes]) -> "Cpu":
        """Read the operating system's account."""
        measured = psutil.Process(process.pid)
        times = measured.cpu_times()
        running = [child.cpu_times() for child in measured.children(recursive=True)]
        below = [time for each in running for time in (each.user, each.system)]
        ended = [time for each in (times, *running) for time in (each.children_user, each.children_system)]
        return cls(own_ms=(times.user + times.system) * 1000, children_ms=sum([*below, *ended]) * 1000)

    def since(self, earlier: "Cpu") -> "Cpu":
        """Give the difference."""
        return Cpu(own_ms=self.own_ms - earlier.own_ms, children_ms=self.children_ms - earlier.children_ms)
