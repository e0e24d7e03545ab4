"""One real-looking example of each request and answer about runs."""

import json
from typing import Any

from api.examples import JOB

_RUN_ID = "run_019ab3f0c2b07a41b8d2c4e6f8093b57"
_SOURCE = "def add(item, items=[]):\n    items.append(item)\n    return items\n"
_REPORT = [
    {
        "code": "B006",
        "message": "Do not use mutable data structures for argument defaults",
        "filename": "/home/ci/app/src/app.py",
        "location": {"row": 1, "column": 21},
        "end_location": {"row": 1, "column": 23},
        "fix": None,
        "severity": "error",
    }
]
_DIFF = """\
--- a/src/app.py
+++ b/src/app.py
@@ -1,2 +1,3 @@
 def add(item, items=[]):
-    return [*items, item]
+    items.append(item)
+    return items
"""

RUN_REQUESTS: dict[str, Any] = {
    "report": {
        "kind": "fix",
        "reports": [{"format": "ruff", "content": json.dumps(_REPORT)}],
        "files": [{"path": "src/app.py", "content": _SOURCE}],
        "checkers": {"ruff": {"select": ["B", "F"]}},
    },
    "pull request": {
        "kind": "fix",
        "reports": [{"format": "ruff", "content": json.dumps(_REPORT)}],
        "files": [{"path": "src/app.py", "content": _SOURCE, "encoding": "utf-8"}],
        "diff": _DIFF,
        "filter": "diff_context",
        "origin": {"forge": "github", "repository": "acme/app", "pull_request": 12},
        "labels": {"team": "core"},
        "max_cost_usd": "0.50",
        "options": {"max_cost_usd": "0.05", "priority": "bulk"},
    },
}

QUEUED_RUN: dict[str, Any] = {
    "id": _RUN_ID,
    "state": "queued",
    "outcome": None,
    "superseded_by": None,
    "jobs": {"total": 1, "queued": 1, "running": 0, "succeeded": 0, "failed": 0, "cancelled": 0},
    "findings": {"total": 2, "verified": 0, "unchecked": 0, "unresolved": 0, "skipped": 1},
    "coverage": "some",
    "skipped": [{"report": 0, "finding": 1, "path": "src/vendor/app.py", "reason": "generated_file"}],
    "origin": {"forge": "github", "repository": "acme/app", "pull_request": 12},
    "usage": {**JOB["usage"], **dict.fromkeys(["calls", "input_tokens", "cached_tokens", "output_tokens"], 0)}
    | {"cost_usd": "0"},
    "created_at": JOB["created_at"],
    "finished_at": None,
}

RUN: dict[str, Any] = {
    **QUEUED_RUN,
    "state": "finished",
    "outcome": "verified",
    "jobs": {"total": 1, "queued": 0, "running": 0, "succeeded": 1, "failed": 0, "cancelled": 0},
    "findings": {"total": 2, "verified": 1, "unchecked": 0, "unresolved": 0, "skipped": 1},
    "usage": JOB["usage"],
    "finished_at": JOB["finished_at"],
}

CANCELLED_RUN: dict[str, Any] = {
    **QUEUED_RUN,
    "state": "cancelled",
    "jobs": {"total": 1, "queued": 0, "running": 0, "succeeded": 0, "failed": 0, "cancelled": 1},
    "findings": {"total": 2, "verified": 0, "unchecked": 0, "unresolved": 1, "skipped": 1},
    "finished_at": JOB["finished_at"],
}

RUN_LIST: dict[str, Any] = {"data": [RUN], "next_cursor": "AZqz8MKweEG40sTm-Ak7Vw"}
