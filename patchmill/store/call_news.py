"""What is told of a call while it runs: `job.call`, with its phase."""

import uuid
from typing import Any

from sqlalchemy import Connection, bindparam, select

from patchmill.store.ids import to_edge
from patchmill.store.tables import calls, jobs
from patchmill.store.transitions import Note


def told_of_call(call_id: uuid.UUID, model: str, phase: str, *, output_tokens: int = 0) -> dict[str, Any]:
    """Give the data of an event `job.call`."""
    return {
        "call": to_edge("call", call_id),
        "model": model,
        "phase": phase,
        "output_tokens": output_tokens,
    }


_LOCK_JOB = select(jobs.c.id).where(jobs.c.id == bindparam("job_id")).with_for_update(key_share=True)
_RUNNING = select(calls.c.model).where(
    calls.c.id == bindparam("call_id"), calls.c.job_id == bindparam("job_id"), calls.c.state == "sent"
)
_NOTE = Note("job.call", {})


def note_first_token(connection: Connection, job_id: uuid.UUID, call_id: uuid.UUID) -> None:
    """Tell that the answer to a call has begun to come; nothing is told of a call that has ended already.

    Whoever ends the call holds the job's row too, so this is never told after its end.
    """
    connection.execute(_LOCK_JOB, {"job_id": job_id})
    model = connection.scalar(_RUNNING, {"job_id": job_id, "call_id": call_id})
    if model is not None:
        _NOTE.write(connection, job_id, told_of_call(call_id, model, "first_token"))
