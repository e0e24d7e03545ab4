"""`python -m tests.support.repeating_worker`: a worker whose messages come into other lists than they should.

A test takes them from `held:QUEUE`, and gives them back as often, as late and in whatever order it likes.
"""

import sys
from collections.abc import Sequence

from patchmill.queue.dispatch import Broker
from worker import app
from worker.main import main

HELD = "held:"


class Aside(Broker):
    """Pushes each message aside."""

    def push(self, messages: Sequence[tuple[str, str]]) -> None:
        """Push them into the lists that the test looks at."""
        super().push([(HELD + queue, message) for queue, message in messages])


if __name__ == "__main__":
    app.Broker = Aside  # type: ignore[misc]
    sys.exit(main())
