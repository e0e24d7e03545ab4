"""Jobs and runs: what came in, where each job is in its life, and what is told of it."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from patchmill.store.tables.base import at, count, json, metadata, now, one_of

sources = Table(  # submitted files, once per project and content
    "sources",
    metadata,
    Column("project_id", Uuid, ForeignKey("projects.id"), primary_key=True),
    Column("sha256", LargeBinary, primary_key=True),
    Column("content", LargeBinary),  # none once it is erased
    now("created_at"),
)

runs = Table(  # one submission of reports with many findings; its jobs carry its id
    "runs",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("project_id", Uuid, ForeignKey("projects.id"), nullable=False),
    Column("key_id", Uuid, ForeignKey("keys.id")),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False, server_default="queued"),
    Column("outcome", Text),
    Column("cancel_requested", Boolean, nullable=False, server_default=text("false")),
    Column("superseded_by", Uuid, ForeignKey("runs.id")),
    Column("diff", Text),  # as submitted: what forge suggestions are anchored in
    Column("findings", Integer, nullable=False),  # of all reports, those that are skipped too
    json("skipped"),  # [{report, finding, path, reason}]
    # {tool: [rule]}: what the reports name in any file, and no job may add to its own
    Column("reported", JSONB(none_as_null=True), nullable=False, server_default=text("'{}'")),
    json("origin"),
    json("labels"),
    Column("idempotency_key", Text),
    Column("idempotency_hash", LargeBinary),
    Column("max_cost_picos", BigInteger),  # the cap of all its jobs together
    Column("event_seq", Integer, nullable=False, server_default=text("1")),
    now("created_at"),
    at("finished_at"),
    at("pruned_at"),  # since when it is there for nobody; it goes once its jobs have
    UniqueConstraint("project_id", "idempotency_key"),
    one_of("kind", "fix annotate"),
    one_of("state", "queued running finished cancelled"),
    one_of("outcome", "verified partial unchecked no_change failed"),
    CheckConstraint("(state IN ('finished', 'cancelled')) = (finished_at IS NOT NULL)", name="finished"),
    CheckConstraint("(state = 'finished') = (outcome IS NOT NULL)", name="outcome_iff_finished"),
    Index("ix_runs_list", "project_id", "id", postgresql_where=text("pruned_at IS NULL")),
    Index(
        "ix_runs_ended",
        "project_id",
        "finished_at",
        postgresql_where=text("finished_at IS NOT NULL AND pruned_at IS NULL"),
    ),
    Index("ix_runs_pruned", "id", postgresql_where=text("pruned_at IS NOT NULL")),
    Index("ix_runs_superseded", "superseded_by", postgresql_where=text("superseded_by IS NOT NULL")),
    Index("ix_runs_open", "project_id", "id", postgresql_where=text("state IN ('queued', 'running')")),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("project_id", Uuid, ForeignKey("projects.id"), nullable=False),
    Column("key_id", Uuid, ForeignKey("keys.id")),
    Column("run_id", Uuid, ForeignKey("runs.id")),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False, server_default="queued"),
    Column("outcome", Text),
    Column("priority", Text, nullable=False),
    Column("fence", Integer, nullable=False, server_default=text("0")),  # the number of the latest claim
    Column("dispatch_no", Integer, nullable=False, server_default=text("0")),
    Column("attempts", Integer, nullable=False, server_default=text("0")),  # claims that count
    Column("losses", Integer, nullable=False, server_default=text("0")),  # claims whose worker was lost
    Column("failures_in_a_row", Integer, nullable=False, server_default=text("0")),  # unbilled ones
    Column("worker_id", Uuid),  # whose claim it is while running
    Column("wait_reason", Text),
    at("run_at", nullable=False),
    Column("cancel_requested", Boolean, nullable=False, server_default=text("false")),
    Column("path", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("bytes", Integer, nullable=False),
    json("request"),  # the validated request without file content and findings
    json("origin"),
    json("labels"),
    Column("idempotency_key", Text),
    Column("idempotency_hash", LargeBinary),
    Column("max_cost_picos", BigInteger),  # the job's own cap
    at("deadline_at"),
    count("calls"),
    count("input_tokens"),
    count("cached_tokens"),
    count("output_tokens"),
    count("cost_picos"),
    count("held_picos"),
    count("uncertain_picos"),
    json("timings"),
    json("error", nullable=True),
    # the rungs of the ladder that were not taken: [{rung, model, reason}]
    Column("skipped_rungs", JSONB(none_as_null=True), nullable=False, server_default=text("'[]'")),
    Column("event_seq", Integer, nullable=False, server_default=text("1")),
    Column("calls_before", Integer, nullable=False, server_default=text("0")),  # made before the latest retry
    Column("answers_after", Integer, nullable=False, server_default=text("0")),  # later calls' answers serve
    now("created_at"),
    at("dispatched_at"),
    at("started_at"),  # first claim
    at("finished_at"),
    at("erased_at"),  # when its code was erased: source, context, prompts, answers and edits
    at("pruned_at"),  # since when only what the ledger and sums of usage need is left of it
    Column("task_key", LargeBinary),  # digest of what is asked for; none: it neither is served nor serves
    Column("work_key", LargeBinary),  # digest of all that decides the result, since its latest claim
    # The job of the same work whose result it was given; no foreign key, since that one may go earlier.
    Column("served_from", Uuid),
    UniqueConstraint("project_id", "idempotency_key"),
    ForeignKeyConstraint(["project_id", "sha256"], ["sources.project_id", "sources.sha256"]),
    one_of("kind", "fix annotate"),
    one_of("state", "queued dispatched running succeeded failed cancelled"),
    one_of("outcome", "verified partial unchecked no_change"),
    one_of("priority", "interactive bulk"),
    one_of("wait_reason", "retry rate_limit budget gateway_account gateway_down paused same_work"),
    CheckConstraint("least(held_picos, uncertain_picos, cost_picos) >= 0", name="money"),
    CheckConstraint("(state = 'succeeded') = (outcome IS NOT NULL)", name="outcome_iff_succeeded"),
    CheckConstraint("(state = 'failed') = (error IS NOT NULL)", name="error_iff_failed"),
    CheckConstraint("(state = 'running') = (worker_id IS NOT NULL)", name="worker_iff_running"),
    CheckConstraint(
        "(state = ANY ('{succeeded,failed,cancelled}')) = (finished_at IS NOT NULL)",
        name="finished_iff_terminal",
    ),
    # A project's line: what was never sent back to wait, what was, and both by file.
    Index(
        "ix_jobs_ready",
        "project_id",
        "priority",
        "id",
        postgresql_where=text("state = 'queued' AND wait_reason IS NULL"),
    ),
    Index(
        "ix_jobs_waiting",
        "project_id",
        "priority",
        "run_at",
        "id",
        postgresql_where=text("state = 'queued' AND wait_reason IS NOT NULL"),
    ),
    Index("ix_jobs_file", "project_id", "sha256", "id", postgresql_where=text("state = 'queued'")),
    Index(
        "ix_jobs_deadline",
        "deadline_at",
        postgresql_where=text("state = 'queued' AND deadline_at IS NOT NULL"),
    ),
    Index(
        "ix_jobs_window",
        "state",
        "dispatched_at",
        postgresql_where=text("state IN ('dispatched', 'running')"),
    ),
    Index("ix_jobs_running", "worker_id", postgresql_where=text("state = 'running'")),
    Index(
        "ix_jobs_waiting_for_budget",
        "run_at",
        postgresql_where=text("state = 'queued' AND wait_reason = 'budget'"),
    ),
    Index(
        "ix_jobs_waiting_for_gateway",
        "priority",
        "id",
        postgresql_where=text(
            "state = 'queued' AND wait_reason IN ('gateway_account', 'gateway_down', 'paused')"
        ),
    ),
    Index("ix_jobs_list", "project_id", "id", postgresql_where=text("pruned_at IS NULL")),
    Index(  # what may be pruned by itself; jobs of a run go with it
        "ix_jobs_ended",
        "project_id",
        "finished_at",
        postgresql_where=text("finished_at IS NOT NULL AND run_id IS NULL AND pruned_at IS NULL"),
    ),
    Index("ix_jobs_run", "run_id", "state", postgresql_where=text("run_id IS NOT NULL")),
    Index("ix_jobs_source", "project_id", "sha256"),
    # Of jobs of the same work one runs, those that have ended well serve, and the others wait.
    Index(
        "ix_jobs_at_work",
        "project_id",
        "work_key",
        unique=True,
        postgresql_where=text("state = 'running' AND served_from IS NULL"),
    ),
    Index(
        "ix_jobs_done_work",
        "project_id",
        "work_key",
        postgresql_where=text(
            "state = 'succeeded' AND served_from IS NULL AND erased_at IS NULL AND work_key IS NOT NULL"
        ),
    ),
    Index(
        "ix_jobs_same_work",
        "project_id",
        "work_key",
        postgresql_where=text("state = 'queued' AND wait_reason = 'same_work'"),
    ),
    postgresql_with={"fillfactor": 70},  # each changes several times: there is room to do so where it is
)

turns = Table(  # where dispatchers stopped in each project, see `job/turns.py`
    "turns",
    metadata,
    Column("project_id", Uuid, ForeignKey("projects.id"), primary_key=True),
    Column("reached", BigInteger, nullable=False),  # how far its turn among the projects has come at `at`
    Column("held", Integer, nullable=False),  # how many places it has held since then
    now("at"),
    Column("dispatched", BigInteger, nullable=False),  # how many of its jobs were, ever
    Column("file", LargeBinary),  # the digest of the last one's content
    Column("same_file", Integer, nullable=False),  # how many of that file were one after the other
)

pauses = Table(  # projects and queues of which no job begins, see `job/pause.py`
    "pauses",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("project_id", Uuid, ForeignKey("projects.id"), unique=True),
    Column("queue", Text, unique=True),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),  # as the audit names them
    now("since"),
    one_of("queue", "interactive bulk"),
    CheckConstraint("(project_id IS NULL) <> (queue IS NULL)", name="of_one"),
)

findings = Table(
    "findings",
    metadata,
    Column("job_id", Uuid, ForeignKey("jobs.id"), primary_key=True),
    Column("index", Integer, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("tool", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("start_line", Integer, nullable=False),
    Column("start_column", Integer),
    Column("end_line", Integer, nullable=False),
    Column("end_column", Integer),
    json("fixes"),
    Column("status", Text, nullable=False, server_default="pending"),
    Column("reason", Text),
    one_of("status", "pending verified unchecked unresolved"),
    Index("ix_findings_rule", "rule", "job_id"),
)

workers = Table(  # one row per start of a worker process, never reused
    "workers",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    now("started_at"),
    now("heartbeat_at"),
    at("stopped_at"),
    Column("draining", Boolean, nullable=False, server_default=text("false")),
    Column("version", Text),  # of Patchmill; none of a process that did not tell it yet
    Index("ix_workers_live", "heartbeat_at", postgresql_where=text("stopped_at IS NULL")),
)

attempts = Table(
    "attempts",
    metadata,
    Column("job_id", Uuid, ForeignKey("jobs.id"), primary_key=True),
    Column("fence", Integer, primary_key=True),
    Column("worker_id", Uuid, nullable=False),  # whose row may be pruned by now
    now("started_at"),
    # Whether a job that may lose no worker more began to work in it, or only had a look at who else does.
    Column("apart", Boolean, nullable=False, server_default=text("false")),
    at("ended_at"),
    Column("ending", Text),  # the state that the job left this attempt in, or why it was taken back
)

events = Table(  # of a job, or of a run alone
    "events",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("project_id", Uuid, nullable=False),
    Column("job_id", Uuid, ForeignKey("jobs.id")),
    Column("run_id", Uuid, ForeignKey("runs.id")),  # of a job in a run: that run
    Column("seq", Integer, nullable=False),  # within the job, or else within the run
    Column("type", Text, nullable=False),
    json("data"),
    now("at"),
    # Which transaction wrote it: readers find what is news to them by it (`store/events.py`).
    Column("xact_id", BigInteger, nullable=False, server_default=text("pg_current_xact_id()::text::bigint")),
    UniqueConstraint("job_id", "seq"),
    Index("ix_events_at", "at"),
    Index("ix_events_xact", "xact_id"),
    Index("ix_events_run", "run_id", "id", postgresql_where=text("run_id IS NOT NULL")),
    CheckConstraint("job_id IS NOT NULL OR run_id IS NOT NULL", name="of_something"),
)
