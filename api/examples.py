"""One real-looking example of each request and answer; a test holds each against its schema."""

from typing import Any

_JOB_ID = "job_019ab3f0c2d87e15a4b6c8d0e2f40617"
_PROJECT_ID = "prj_019ab3e8114c7b02b1c7d9e0f3a25b48"
_SUGGESTION_ID = "sug_019ab3f0c69b7d30a91e5f7c2b4d6083"
_KEY_ID = "key_019ab3e90f6e7a11a3c5e7f9b1d30264"
_CREATED_AT = "2026-11-22T09:30:00.125000Z"
_FINISHED_AT = "2026-11-22T09:30:01.076000Z"

_SOURCE = "def add(item, items=[]):\n    items.append(item)\n    return items\n"

JOB_REQUESTS: dict[str, Any] = {
    "fix": {
        "kind": "fix",
        "file": {"path": "src/app.py", "content": _SOURCE},
        "findings": [
            {
                "tool": "ruff",
                "rule": "B006",
                "message": "Do not use mutable data structures for argument defaults",
                "start_line": 1,
                "start_column": 21,
                "end_line": 1,
                "end_column": 23,
            }
        ],
        "checkers": {"ruff": {"target-version": "py311", "select": ["B", "F"]}},
        "origin": {"forge": "github", "repository": "acme/app", "pull_request": 12},
        "labels": {"team": "core"},
        "options": {"max_cost_usd": "0.05", "deadline_s": 120},
    },
    "annotate": {
        "kind": "annotate",
        "file": {"path": "src/app.py", "content": _SOURCE, "encoding": "utf-8", "language": "python"},
        "what": ["types", "docstrings"],
        "scope": {"start_line": 1, "end_line": 3},
        "context": [{"path": "src/models.py", "content": "Item = str\n"}],
    },
}

_SUGGESTION: dict[str, Any] = {
    "id": _SUGGESTION_ID,
    "path": "src/app.py",
    "start_line": 1,
    "end_line": 1,
    "original": "def add(item, items=[]):\n",
    "replacement": "def add(item, items=None):\n    if items is None:\n        items = []\n",
    "title": "Make the default list afresh in each call",
    "explanation": "A default value is made once and shared by all calls.",
    "status": "verified",
    "source": "model",
    "safety": "unsafe",
    "requires": [],
    "committable": True,
    "findings": [0],
    "evidence": [
        {"check": "reproduced", "result": "passed", "detail": "ruff B006 at line 1"},
        {"check": "finding_gone", "result": "passed", "detail": "ruff B006"},
    ],
}

SUGGESTIONS: dict[str, Any] = {"data": [_SUGGESTION]}

PATCH = """\
diff --git a/src/app.py b/src/app.py
--- a/src/app.py
+++ b/src/app.py
@@ -1,3 +1,5 @@
-def add(item, items=[]):
+def add(item, items=None):
+    if items is None:
+        items = []
     items.append(item)
     return items
"""

_UNUSED = {
    "calls": 0,
    "input_tokens": 0,
    "cached_tokens": 0,
    "output_tokens": 0,
    "cost_usd": "0",
    "uncertain_usd": "0",
}

QUEUED_JOB: dict[str, Any] = {
    "id": _JOB_ID,
    "project": _PROJECT_ID,
    "run": None,
    "kind": "fix",
    "state": "queued",
    "outcome": None,
    "attempt": 0,
    "wait_reason": None,
    "run_at": None,
    "paused_by": None,
    "cancel_requested": False,
    "file": {
        "path": "src/app.py",
        "sha256": "d1bb0e08b0eb4e3cc35c7ac4dd9ab8a3bb48ebb1c8b3c3f7f4c9c1a5a8a3f6d2",
        "language": "python",
        "bytes": 65,
        "encoding": "utf-8",
    },
    "instruction": None,
    "findings": [
        {
            "index": 0,
            "fingerprint": "5d0f2c9be14a7c63",
            "rule": "B006",
            "message": "Do not use mutable data structures for argument defaults",
            "start_line": 1,
            "end_line": 1,
            "status": "pending",
            "reason": None,
            "suggestions": [],
        }
    ],
    "suggestions": [],
    "usage": _UNUSED,
    "timings": {"queued_ms": None, "model_ms": None, "verify_ms": None, "total_ms": None},
    "error": None,
    "origin": {"forge": "github", "repository": "acme/app", "pull_request": 12},
    "labels": {"team": "core"},
    "created_at": _CREATED_AT,
    "finished_at": None,
    "served_from": None,
    "erased_at": None,
}

JOB: dict[str, Any] = {
    **QUEUED_JOB,
    "state": "succeeded",
    "outcome": "verified",
    "attempt": 1,
    "findings": [{**QUEUED_JOB["findings"][0], "status": "verified", "suggestions": [_SUGGESTION_ID]}],
    "suggestions": [_SUGGESTION],
    "usage": {
        "calls": 1,
        "input_tokens": 812,
        "cached_tokens": 640,
        "output_tokens": 95,
        "cost_usd": "0.000053",
        "uncertain_usd": "0",
    },
    "timings": {"queued_ms": 4, "model_ms": 910, "verify_ms": 31, "total_ms": 951},
    "finished_at": _FINISHED_AT,
}

CANCELLED_JOB: dict[str, Any] = {
    **QUEUED_JOB,
    "state": "cancelled",
    "cancel_requested": True,
    "finished_at": _FINISHED_AT,
}

JOB_LIST: dict[str, Any] = {"data": [JOB], "next_cursor": "AZqz8MLYfhWktsjQ4vQGFw"}

KEY_REQUESTS: dict[str, Any] = {
    "ci": {"name": "ci", "scopes": ["jobs:read", "jobs:write"], "expires_at": "2099-01-01T00:00:00Z"},
}

_KEY: dict[str, Any] = {
    "id": _KEY_ID,
    "name": "ci",
    "project": _PROJECT_ID,
    "prefix": "pm_1a2b3c4d",
    "scopes": ["jobs:read", "jobs:write"],
    "expires_at": "2099-01-01T00:00:00.000000Z",
    "last_used_at": None,
    "revoked_at": None,
}

NEW_KEY: dict[str, Any] = {**_KEY, "secret": "pm_1a2b3c4d…"}
REVOKED_KEY: dict[str, Any] = {**_KEY, "last_used_at": _CREATED_AT, "revoked_at": _FINISHED_AT}
KEY_LIST: dict[str, Any] = {"data": [_KEY], "next_cursor": None}

HEALTH: dict[str, Any] = {"status": "ok"}
READINESS: dict[str, Any] = {
    "status": "ready",
    "checks": {"postgres": "ok", "schema": "ok", "redis": "ok"},
}
PROBLEM_KIND: dict[str, Any] = {
    "type": "/problems/unsupported_media_type",
    "title": "Unsupported media type",
    "status": 415,
    "code": "unsupported_media_type",
    "meaning": "The body's media type is not application/json.",
    "remedy": "Send `Content-Type: application/json`.",
    "retryable": False,
}
