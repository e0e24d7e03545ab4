"""The shapes of runs, exactly as they go over the wire."""

from typing import Any, Literal

from pydantic import Field

from api.schemas import Instant, JobUsage, Shape
from patchmill.reports.selection import Reason

RunState = Literal["queued", "running", "finished", "cancelled"]


class RunJobs(Shape):
    """How many jobs are where; those that are on their way to a worker count as queued."""

    total: int
    queued: int
    running: int
    succeeded: int
    failed: int
    cancelled: int


class RunFindings(Shape):
    """What became of the findings of all reports; those of the total that are missing are pending."""

    total: int
    verified: int
    unchecked: int
    unresolved: int
    skipped: int


class RunSkipped(Shape):
    """A finding that no job got: the index of its report, its own index within it, and why."""

    report: int
    finding: int
    path: str = Field(description="as submitted, or as the report names it where no such file was submitted")
    reason: Reason


Coverage = Literal["all", "some", "none", "outside_diff"]


class RunDocument(Shape):
    """A run and how far it is."""

    id: str
    state: RunState
    outcome: Literal["verified", "partial", "unchecked", "no_change", "failed"] | None
    superseded_by: str | None = Field(
        description="the newer run of the pull request, for which what nobody had begun was cancelled"
    )
    jobs: RunJobs
    findings: RunFindings
    coverage: Coverage = Field(
        description="how many of the reports' findings jobs are about; outside_diff: none, since all are "
        "outside of the diff"
    )
    skipped: list[RunSkipped] = Field(description="in a list of runs the first 20 of each")
    origin: dict[str, Any]
    usage: JobUsage
    created_at: Instant
    finished_at: Instant | None


class RunList(Shape):
    """A page of runs, newest first."""

    data: list[RunDocument]
    next_cursor: str | None
