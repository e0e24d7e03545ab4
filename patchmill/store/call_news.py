"""What is told of a call while it runs: `job.call`, with its phase."""

import uuid
from typing import Any

from sqlalchemy import Connection, Uuid, bindparam, func, select
from sqlalchemy.dialects.postgresql import JSONB

from patchmill.store.ids import to_edge


def told_of_call(call_id: uuid.UUID, model: str, phase: str, *, output_tokens: int = 0) -> dict[str, Any]:
    """Give the data of an event `job.call`."""
    return {
        "call": to_edge("call", call_id),
        "model": model,
        "phase": phase,
        "output_tokens": output_tokens,
    }


_TELL_FIRST_TOKEN = select(
    func.tell_first_token(
        bindparam("job_id", type_=Uuid), bindparam("call_id", type_=Uuid), bindparam("told", type_=JSONB)
    )
)


def note_first_token(connection: Connection, job_id: uuid.UUID, call_id: uuid.UUID, model: str) -> None:
    """Tell that the answer to a call has begun to come; nothing is told of a call that has ended already."""
    told = told_of_call(call_id, model, "first_token")
    connection.execute(_TELL_FIRST_TOKEN, {"job_id": job_id, "call_id": call_id, "told": told})
