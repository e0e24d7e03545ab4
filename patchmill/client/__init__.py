"""The Python client of Patchmill's HTTP API: submit jobs and runs, follow them, take what they offer.

`Client` is in `http`, what it gives in `documents` and `events`, what it raises in `problem`. A name is
imported when it is used: the command line names an error of this package long before it needs a connection.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from patchmill.client.documents import (
        Call,
        Estimate,
        Evidence,
        Finding,
        Job,
        JobError,
        Pause,
        Run,
        Skipped,
        Suggestion,
        Usage,
        UsageReport,
    )
    from patchmill.client.events import Event
    from patchmill.client.http import Client
    from patchmill.client.operating import Bulk, Queues, Worker
    from patchmill.client.problem import ApiError
    from patchmill.errors import ConfigurationError, Unauthenticated, Unavailable

__all__ = [
    "ApiError",
    "Bulk",
    "Call",
    "Client",
    "ConfigurationError",
    "Estimate",
    "Event",
    "Evidence",
    "Finding",
    "Job",
    "JobError",
    "Pause",
    "Queues",
    "Run",
    "Skipped",
    "Suggestion",
    "Unauthenticated",
    "Unavailable",
    "Usage",
    "UsageReport",
    "Worker",
]

_HOMES = {
    "ApiError": "patchmill.client.problem",
    "Client": "patchmill.client.http",
    "Bulk": "patchmill.client.operating",
    "ConfigurationError": "patchmill.errors",
    "Event": "patchmill.client.events",
    "Queues": "patchmill.client.operating",
    "Unauthenticated": "patchmill.errors",
    "Unavailable": "patchmill.errors",
    "Worker": "patchmill.client.operating",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES.get(name, "patchmill.client.documents")), name)
