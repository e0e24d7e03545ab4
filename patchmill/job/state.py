"""The states of a job and every arrow between them: one table, from which the docs' diagram is drawn.

The database holds the same table in a trigger (see the migrations); a test keeps the two and the
diagram in `docs/architecture.md` together.
"""

from enum import StrEnum


class State(StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"
    DISPATCHED = "dispatched"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class WaitReason(StrEnum):
    """Why a queued job is not due yet."""

    RETRY = "retry"
    RATE_LIMIT = "rate_limit"
    BUDGET = "budget"
    GATEWAY_ACCOUNT = "gateway_account"
    GATEWAY_DOWN = "gateway_down"
    PAUSED = "paused"
    SAME_WORK = "same_work"


TERMINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})

ARROWS: dict[tuple[State, State], str] = {
    (State.QUEUED, State.DISPATCHED): "dispatched",
    (State.DISPATCHED, State.QUEUED): "stale dispatch, released unsent, or the same work runs",
    (State.DISPATCHED, State.RUNNING): "claimed",
    (State.RUNNING, State.QUEUED): "a wait, a release, or a lost worker",
    (State.RUNNING, State.SUCCEEDED): "verified, partial, unchecked or no change",
    (State.RUNNING, State.FAILED): "permanent, or attempts spent",
    (State.QUEUED, State.FAILED): "deadline passed while waiting",
    (State.QUEUED, State.CANCELLED): "cancelled",
    (State.DISPATCHED, State.CANCELLED): "cancelled before the claim",
    (State.RUNNING, State.CANCELLED): "cancelled; its call drained and settled",
    (State.SUCCEEDED, State.QUEUED): "explicit retry",
    (State.FAILED, State.QUEUED): "explicit retry",
    (State.CANCELLED, State.QUEUED): "explicit retry",
}


def is_legal(source: State, target: State) -> bool:
    """Say whether a job may move from one state to another."""
    return (source, target) in ARROWS


def diagram() -> str:
    """Draw the arrow table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", "    [*] --> queued: submitted"]
    lines += [f"    {source} --> {target}: {label}" for (source, target), label in ARROWS.items()]
    return "\n".join(lines)
