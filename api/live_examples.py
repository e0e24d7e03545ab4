"""Examples of what goes on: streams, calls and numbers."""

from typing import Any

_JOB = "job_019ab3f0c2d87e15a4b6c8d0e2f40617"
_CALL = "call_019ab3f0c3a17d52b8e0f1a2c3d4e5f6"

STREAM = f"""\
retry: 2000

id: 1041
event: job.state
data: {{"id":"1041","type":"job.state","job":"{_JOB}","run":null,"seq":2,\
"at":"2026-11-22T09:30:00.129000Z","data":{{"from":"queued","to":"dispatched","attempt":0,\
"wait_reason":null,"run_at":null}}}}

id: 1042
event: job.call
data: {{"id":"1042","type":"job.call","job":"{_JOB}","run":null,"seq":4,\
"at":"2026-11-22T09:30:00.161000Z","data":{{"call":"{_CALL}","model":"deepseek-v4-flash",\
"phase":"started","output_tokens":0}}}}

event: end
data: {{}}

"""

CALLS: dict[str, Any] = {
    "data": [
        {
            "id": _CALL,
            "number": 1,
            "attempt": 1,
            "model": "deepseek-v4-flash",
            "rung": "first",
            "prompt_version": "fix/search_replace/5d41402a",
            "returned_model": "deepseek-v4-flash",
            "outcome": "answered",
            "failure": None,
            "finish_reason": "stop",
            "stand_in": False,
            "anomalies": [],
            "max_tokens": 1024,
            "messages": [
                {"role": "system", "content": "You mend findings in one file …"},
                {"role": "user", "content": "src/app.py …"},
            ],
            "reply": "Make the default list afresh in each call …",
            "rejected": [],
            "usage": {
                "input_tokens": 812,
                "cached_tokens": 640,
                "output_tokens": 95,
                "reasoning_tokens": 0,
            },
            "cost_usd": "0.000053",
            "held_usd": "0.0009",
            "uncertain_usd": "0",
            "timings": {"queue_ms": 2, "first_token_ms": 310, "total_ms": 905},
            "sent_at": "2026-11-22T09:30:00.161000Z",
            "ended_at": "2026-11-22T09:30:01.066000Z",
        }
    ],
    "skipped_rungs": [{"rung": "escalation", "model": "deepseek-v4-pro", "reason": "budget_exhausted"}],
    "next_cursor": None,
}

STATS: dict[str, Any] = {
    "at": "2026-11-22T09:30:02.500000Z",
    "jobs": {"queued": 3, "waiting": 1, "dispatched": 0, "running": 25},
    "oldest_queued_s": 0.4,
    "rate_per_min": {"in": 60, "out": 58},
    "slots": {"limit": 25, "used": 24},
    "gateway": {"state": "ok", "reason": None},
    "workers": 2,
    "spend_today_usd": "0.42",
}
