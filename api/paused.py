"""What keeps jobs from running by somebody's will: pauses of projects and queues, and of all calls."""

from collections.abc import Collection, Iterable
from uuid import UUID

from api.database import Connection
from api.schemas import Pause
from patchmill.job.circuit import FOR_OPERATORS, GATEWAY, Circuit
from patchmill.job.pause import Pause as PauseRow
from patchmill.job.record import Priority
from patchmill.job.state import WaitReason
from patchmill.store import circuits, pauses
from patchmill.store.jobs import JobRow
from patchmill.store.queues import pause_document


def that_concern(
    found: Iterable[PauseRow], project_id: UUID, queues: Collection[Priority] = tuple(Priority)
) -> list[Pause]:
    """Give the pauses of a project, and of these queues."""
    concerned = [each for each in found if each.part.project_id == project_id or each.part.queue in queues]
    return [Pause.model_validate(pause_document(each)) for each in concerned]


def by_what(connection: Connection, rows: Iterable[JobRow]) -> dict[UUID, Pause]:
    """Say by what those of the jobs are paused that are; most often none is, and nothing is read."""
    waiting = [row for row in rows if row.wait_reason == WaitReason.PAUSED]
    if not waiting:
        return {}
    found = pauses.standing(connection)
    stopped = _by_operators(circuits.open_ones(connection).values())
    named = {row.id: [*that_concern(found, row.project_id, [row.priority]), *stopped] for row in waiting}
    return {job_id: reasons[0] for job_id, reasons in named.items() if reasons}


def _by_operators(open_ones: Iterable[Circuit]) -> list[Pause]:
    """Give the circuits that only an operator closes, as pauses; the gateway's first."""
    paused = [each for each in open_ones if each.why in FOR_OPERATORS]
    return [
        Pause(
            what="installation" if each.name == GATEWAY else "model",
            name=each.name,
            reason=each.message,
            actor=each.actor,
            since=each.since,
        )
        for each in sorted(paused, key=lambda each: each.name != GATEWAY)
    ]
