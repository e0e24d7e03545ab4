"""A storm of jobs in which every class of fault strikes a fifth of the requests of the jobs that meet it.

The class that a job meets is in the path of its file, which its prompts name, so that all blow at once. Jobs
of the class `mixed` meet every class. Whatever pauses the account is ended at once, as by `patchmill resume`.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Engine, text

from patchmill.dev.standin.wire_cases import CASES
from patchmill.job.circuit import Condition
from patchmill.store import circuits
from tests.support.ledger_audit import UNTOLD_CACHE
from tests.support.requests import mutable_default
from tests.support.stack import until

SHARE = 0.2  # of the requests of each class
MIXED = "mixed"
MIXED_SHARE = 0.5
OPEN_JOBS = 60  # at most, so that no more are submitted than are needed
_ALWAYS = 1_000_000

_REFUSALS = [
    *("400", "400_context", "401", "402", "402_quota", "403", "403_address", "404", "413", "422"),
    *("429_concurrency", "429_spend", "500", "502", "503", "504"),
]
_BROKEN = ["stall", "truncate", "stream_error", "html_200", "empty"]
_BEFORE_THE_ANSWER = ["H10_closed_before_answer", "H10_reset_before_answer", "H10_cut_in_headers"]
_WITHIN_IT = ["H10_reset_after_answer", "H11_reset_after_headers", "H11_reset_in_stream"]
_STALLS = ["S9_stall_before_headers", "S9_stall_in_stream", "S9_stall_with_comments", "S9_stall_before_done"]
_USELESS_ANSWERS = ["C7_blank_content", "C6_length", "C6_content_filter", "C6_unknown"]
_ON_THE_WIRE = {
    "reset": [*_BEFORE_THE_ANSWER, *_WITHIN_IT],
    "cut": ["S6_no_finish", "S6_cut_in_event", "S6_cut_after_finish", "H11_gzip_cut", "H11_no_last_chunk"],
    "error-frame": ["S7_error_first", "S7_error_after_content", "S7_error_then_done", "S7_error_with_usage"],
    "slow": ["S9_slow", *_STALLS],
    "no-usage": ["C2_usage_absent", "C2_usage_null", "S6_no_done_no_usage", "C2_usage_half"],
    "false-usage": ["C5_huge", "C5_negative", "C5_fractions", "C5_texts", "C5_booleans", "C3_no_output"],
    "useless-answer": [*_USELESS_ANSWERS, "C6_insufficient_system_resource"],
    "any-wire-case": [name for name in CASES if name not in UNTOLD_CACHE],
}
CLASSES: Mapping[str, Sequence[dict[str, str]]] = {
    **{fault: [{"fault": fault}] for fault in (*_REFUSALS, *_BROKEN)},
    **{name: [{"wire_case": case} for case in cases] for name, cases in _ON_THE_WIRE.items()},
}

_USELESS = "Nothing.\n\n```python\n<<<<<<< SEARCH\nabsent\n=======\npresent\n>>>>>>> REPLACE\n```\n"


def behaviour(seed: int) -> dict[str, Any]:
    """How the stand-in behaves in it."""
    shares = [
        {**strike, "share": SHARE / len(strikes), "match": f"storm/{name}/"}
        for name, strikes in CLASSES.items()
        for strike in strikes
    ]
    shares += [
        {**strike, "share": MIXED_SHARE / len(CLASSES) / len(strikes), "match": f"storm/{MIXED}/"}
        for strikes in CLASSES.values()
        for strike in strikes
    ]
    return {
        "seed": seed,
        "latency_ms": {"median_ms": 20, "p95_ms": 80},
        "first_token_ms": {"median_ms": 20, "p95_ms": 300},
        "concurrency": 1_000,
        "shares": shares,
        "script": [
            {"match": "/declined_", "content": "NO CHANGE: there is nothing to do\n", "times": _ALWAYS},
            {"match": "/useless_", "content": _USELESS, "times": _ALWAYS},
        ],
    }


def settings() -> dict[str, str]:
    """Clocks of the service that are short, so that what stalls is given up within seconds."""
    return {
        "PATCHMILL_FIRST_DATA_TIMEOUT_S": "1.5",
        "PATCHMILL_PROGRESS_TIMEOUT_S": "1.5",
        "PATCHMILL_CALL_DEADLINE_S": "4",
        "PATCHMILL_LEASE_TTL_S": "2",
    }


def class_of(path: str) -> str:
    """Give the class that a job meets, by the path of its file."""
    return path.split("/")[1]


def jobs_of(name: str, number: int) -> list[dict[str, Any]]:
    """Give one turn of jobs of a class: three calls for the one whose answers are useless."""
    asked = {
        "declined": {"findings": [], "instruction": "do what has been done"},
        "useless": {},
        "mended": {},
    }
    jobs = []
    for kind, more in asked.items():
        job = mutable_default(number) | more
        jobs.append(job | {"file": {**job["file"], "path": f"storm/{name}/{kind}_{number}.py"}})
    return jobs


_CALLS = """
    SELECT split_part(j.path, '/', 2) AS name, count(*) AS made
    FROM calls c JOIN jobs j ON j.id = c.job_id GROUP BY 1
"""
_OPEN = "SELECT count(*) FROM jobs WHERE state IN ('queued', 'dispatched', 'running')"


def calls_by_class(engine: Engine) -> Counter[str]:
    """Count the calls made so far."""
    with engine.connect() as connection:
        return Counter({row.name: row.made for row in connection.execute(text(_CALLS))})


def blow(
    engine: Engine,
    submit: Callable[[dict[str, Any]], None],
    *,
    calls: int,
    deadline_s: float,
    each_look: Callable[[int], None] = lambda _: None,
) -> None:
    """Submit jobs until each class has made so many calls, twice as many for `mixed`, and all have ended.

    `each_look` is told the number of calls several times a second.
    """
    aims = {**dict.fromkeys(CLASSES, calls), MIXED: 2 * calls}
    number = 0

    def over() -> bool:
        nonlocal number
        _resume(engine)
        made = calls_by_class(engine)
        each_look(made.total())
        lacking = [name for name, aim in aims.items() if made[name] < aim]
        waiting = _open_jobs(engine)
        if lacking and waiting < OPEN_JOBS:
            number += 1
            for name in lacking:
                for job in jobs_of(name, number):
                    submit(job)
        return not lacking and waiting == 0

    until(over, "the end of the storm", deadline_s)


def _open_jobs(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(text(_OPEN)) or 0


def _resume(engine: Engine) -> None:
    """End what has no end of its own within seconds: a refused account, a model out of reach."""
    with engine.begin() as connection:
        for circuit in circuits.open_ones(connection).values():
            if circuit.state is Condition.OFF or (
                circuit.state is Condition.PAUSED and circuit.until is None
            ):
                circuits.close(connection, circuit.name)


def settled_down(truth: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Give the stand-in's ledger once nothing is in flight any more."""
    ended: dict[str, Any] = until(lambda: (seen := truth())["in_flight"] == 0 and seen, "nothing in flight")
    return ended
