"""`python -m tests.support.poisoned_worker`: a worker that a job kills whose prompt has POISON in it.

It dies of it as of a fault in a library: at once, with everything else that it runs.
"""

import os
import signal
import sys
from typing import Any

from patchmill.store import ledger
from worker.main import main

POISON = "poison"

_admit = ledger.admit


def admit(connection: Any, job_id: Any, fence: int, plan: ledger.CallPlan, decide: Any) -> Any:
    """Die of poison before its call is held."""
    if any(POISON in message["content"] for message in plan.messages):
        os.kill(os.getpid(), signal.SIGKILL)
    return _admit(connection, job_id, fence, plan, decide)


if __name__ == "__main__":
    ledger.admit = admit
    sys.exit(main())
