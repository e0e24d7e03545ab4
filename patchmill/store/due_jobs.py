"""What is due and what is in flight, project by project, read by index: never all that is queued."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA
from sqlalchemy.types import Integer, Uuid

from patchmill.job.record import Priority
from patchmill.job.turns import BULK_AGES_AFTER_S, DueJob, Line, Place, Turn
from patchmill.store import shared_time
from patchmill.store.ids import first_id

MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """All projects that take part now, where each stopped, and the furthest that any turn had come."""

    now: datetime
    lines: Sequence[Line]
    places: Mapping[uuid.UUID, Place]
    furthest: int


# The states stand in the text, since a plan for any value could not use indexes for one. A range of one value
# and an order that names it leave one index that gives that order: whatever the planner believes of the
# tables, it has nothing else to choose, and no index of all jobs ever looks cheaper to it.
_READY = "j.state = 'queued' AND j.wait_reason IS NULL AND j.run_at <= now()"
_WAITED = "j.state = 'queued' AND j.wait_reason IS NOT NULL AND j.run_at <= now()"
_LINES = [
    f"j.priority BETWEEN '{priority}' AND '{priority}' AND {which}"  # noqa: S608 - constants
    f" AND NOT EXISTS (SELECT 1 FROM pauses b WHERE b.queue = '{priority}') ORDER BY {order}"
    for priority in Priority
    for which, order in ((_READY, "j.priority, j.id"), (_WAITED, "j.priority, j.run_at, j.id"))
]


def _united(parts: Iterable[str]) -> str:
    return " UNION ALL ".join(f"({part})" for part in parts)


_COUNTED = _united(
    f"SELECT 1 FROM jobs j WHERE j.project_id = t.project_id AND {line} LIMIT :at_most"  # noqa: S608 - constants
    for line in _LINES
)
# From project to project by the index, over all that any of them has queued.
_STANDING = text(f"""
WITH RECURSIVE queued AS (
    (SELECT project_id FROM jobs WHERE state = 'queued' ORDER BY project_id, sha256, id LIMIT 1)
    UNION ALL
    SELECT (SELECT j.project_id FROM jobs j
            WHERE j.state = 'queued' AND j.project_id > queued.project_id
            ORDER BY j.project_id, j.sha256, j.id LIMIT 1)
    FROM queued WHERE queued.project_id IS NOT NULL
), in_flight AS (
    SELECT project_id, count(*) AS number FROM jobs
    WHERE state IN ('dispatched', 'running') GROUP BY project_id
), taking_part AS (
    SELECT project_id FROM queued WHERE project_id IS NOT NULL UNION SELECT project_id FROM in_flight
    UNION SELECT project_id FROM turns WHERE held > 0
)
SELECT t.project_id, p.weight, p.max_in_flight, coalesce(f.number, 0) AS in_flight, due.number AS due,
    s.reached, s.held, s.at, s.dispatched, s.file, s.same_file, now() AS now,
    (SELECT coalesce(max(reached), 0) FROM turns) AS furthest,
    CASE WHEN p.tokens_per_minute IS NULL OR due.number = 0 THEN false ELSE p.tokens_per_minute <= (
        SELECT coalesce(sum(CASE WHEN c.state = 'settled' THEN c.input_tokens + c.output_tokens
                                 WHEN c.state = 'void' THEN 0 ELSE c.hold_tokens END), 0)
        FROM calls c
        WHERE c.id >= :minute_ago AND (SELECT j.project_id FROM jobs j WHERE j.id = c.job_id) = p.id
    ) END AS tokens_spent
FROM taking_part t
JOIN projects p ON p.id = t.project_id
LEFT JOIN in_flight f ON f.project_id = t.project_id
LEFT JOIN turns s ON s.project_id = t.project_id
LEFT JOIN pauses b ON b.project_id = t.project_id
CROSS JOIN LATERAL (
    SELECT count(*) AS number FROM (SELECT 1 FROM ({_COUNTED}) all_due WHERE b.id IS NULL LIMIT :at_most) d
) due
""").bindparams(  # noqa: S608 - constants
    # Planning takes longer than running: with this number in the text one plan serves again.
    bindparam("at_most", type_=Integer(), literal_execute=True),
    bindparam("minute_ago", type_=Uuid()),
)


def standing(connection: Connection, *, at_most: int) -> Standing | None:
    """Read who takes part, None when nobody does; of each project at most so many due jobs are counted.

    A project whose calls of the last minute have used its tokens has no more in flight than it has; what is
    on the wire counts with all that it holds. Of a paused project, and in a paused queue, nothing is due.
    """
    given = {"at_most": at_most, "minute_ago": first_id(shared_time.now() - MINUTE)}
    rows = connection.execute(_STANDING, given).mappings().all()
    if not rows:
        return None
    return Standing(
        now=rows[0]["now"],
        lines=[
            Line(
                project_id=row["project_id"],
                weight=row["weight"],
                in_flight=row["in_flight"],
                due=row["due"],
                most=row["in_flight"] if row["tokens_spent"] else row["max_in_flight"],
                turn=None
                if row["at"] is None
                else Turn(reached=row["reached"], held=row["held"], at=row["at"]),
            )
            for row in rows
        ],
        places={
            row["project_id"]: Place(
                dispatched=row["dispatched"], file=row["file"], same_file=row["same_file"]
            )
            for row in rows
            if row["dispatched"] is not None
        },
        furthest=rows[0]["furthest"],
    )


_SHOWN = "SELECT j.id, j.priority, j.sha256, j.run_at FROM jobs j WHERE j.project_id = asked.project_id"
_SAME_FILE = (
    f"SELECT * FROM ({_SHOWN}"  # noqa: S608 - constants
    " AND j.sha256 BETWEEN asked.file AND asked.file AND j.state = 'queued' AND j.run_at <= now()"
    " ORDER BY j.sha256, j.id LIMIT asked.number) same"
    " WHERE NOT EXISTS (SELECT 1 FROM pauses b WHERE b.queue = same.priority)"
)
_CANDIDATES = _united([*(f"{_SHOWN} AND {line} LIMIT asked.number" for line in _LINES), _SAME_FILE])
_FIRST_IN_LINE = text(f"""
SELECT asked.project_id, c.id, c.priority, c.sha256 AS file,
    c.priority = 'bulk' AND c.run_at < now() - make_interval(secs => :aged_s) AS aged
FROM unnest((SELECT :projects), (SELECT :numbers), (SELECT :files)) AS asked (project_id, number, file)
CROSS JOIN LATERAL ({_CANDIDATES}) c
""").bindparams(  # noqa: S608 - constants
    bindparam("projects", type_=ARRAY(Uuid())),
    bindparam("numbers", type_=ARRAY(Integer())),
    bindparam("files", type_=ARRAY(BYTEA())),
    aged_s=BULK_AGES_AFTER_S,
)


def first_in_line(
    connection: Connection, numbers: Mapping[uuid.UUID, int], places: Mapping[uuid.UUID, Place]
) -> dict[uuid.UUID, list[DueJob]]:
    """Read as many due jobs of each project as `choose` may want for so many, and more."""
    found: dict[uuid.UUID, list[DueJob]] = {project_id: [] for project_id in numbers}
    given = {
        "projects": list(numbers),
        "numbers": list(numbers.values()),
        "files": [places.get(project_id, Place()).file for project_id in numbers],
    }
    for row in connection.execute(_FIRST_IN_LINE, given):
        job = DueJob(id=row.id, priority=Priority(row.priority), aged=row.aged, file=bytes(row.file))
        found[row.project_id].append(job)
    return found
