"""One worker process; its settings come from the environment."""

import sys

from patchmill.errors import ConfigurationError
from patchmill.settings import load
from patchmill.telemetry import configure_logging
from worker.app import WorkerApp


def main() -> int:
    """Run a worker; 0 after a clean stop, 2 when a setting is missing or cannot work."""
    configure_logging()
    try:
        app = WorkerApp(load())
    except ConfigurationError as error:
        print(f"patchmill worker: {error}", file=sys.stderr)  # noqa: T201 - the one line that an operator needs
        return 2
    app.run()
    return 0
