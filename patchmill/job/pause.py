"""A project or a queue that an operator has paused: none of its jobs begins, and none makes another call.

Unlike the circuit of the gateway, which calls alone have to pass, a pause keeps jobs from being dispatched at
all: they would only take places in the window from those of others.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from patchmill.job.record import Priority

MAX_REASON = 300  # characters of what an operator says


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What is paused of the installation: one project, or one queue."""

    project_id: uuid.UUID | None = None
    queue: Priority | None = None

    def __post_init__(self) -> None:
        if (self.project_id is None) is (self.queue is None):
            raise ValueError("a pause is of one project, or of one queue")

    @property
    def what(self) -> Literal["project", "queue"]:
        """Say which of the two it is."""
        return "queue" if self.project_id is None else "project"

    def covers(self, project_id: uuid.UUID, priority: Priority) -> bool:
        """Say whether jobs of this project and priority belong to it."""
        return project_id == self.project_id or priority == self.queue


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """What is paused, by which name it goes, and who did it, why and since when."""

    part: Part
    name: str
    reason: str
    actor: str
    since: datetime
