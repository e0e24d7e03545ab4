"""What a job or a run may take, told before anything is stored or spent."""

from collections import Counter
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Depends, Response

from api import examples, run_examples
from api.answering import json_answer
from api.auth import Caller, Reader
from api.bodies import JsonBytes, read_json
from api.estimate_shapes import ESTIMATE, Blocked, Estimate, FileEstimate
from api.estimating import Facts, JobEstimate, estimated, read_facts
from api.openapi import BODY_PROBLEMS, answers, problems, takes_either
from api.parts import Parts, PartsOf
from api.query import refuse_unknown
from api.requests import JobRequest
from api.rules import read_job_request
from api.run_requests import RunRequest, read_run_request
from api.runs import submission_of as run_submission
from api.submit import submission_of as job_submission
from patchmill.budget.ledger import Fit
from patchmill.budget.prices import to_usd
from patchmill.call.effort import Effort
from patchmill.job.record import KindName, Options
from patchmill.store.submission import Submission

router = APIRouter(prefix="/v1/estimate", tags=["usage"], dependencies=[Depends(refuse_unknown())])


@router.post(
    "",
    summary="Estimate a job or a run",
    openapi_extra=takes_either(
        (JobRequest, RunRequest), {**examples.JOB_REQUESTS, **run_examples.RUN_REQUESTS}
    ),
    responses={
        **answers(HTTPStatus.OK, Estimate, ESTIMATE, "What it may take."),
        **problems(*BODY_PROBLEMS),
    },
)
def estimate(caller: Reader, body: JsonBytes, parts: PartsOf) -> Response:
    """Say what a request to `/v1/jobs` or `/v1/runs` may take: what is expected, and the most possible.

    A body with `file` is a job's, one with `reports` or `files` a run's; each is checked as there. Nothing is
    stored and no model is called, so a key that may only read is enough. `worst` is what the ledger cannot
    exceed at the prices and limits that are known now; `expected` is a guess.
    """
    if _is_run(read_json(body)):
        return json_answer(_of_run(caller, body, parts))
    return json_answer(_of_job(caller, body, parts))


def _is_run(value: Any) -> bool:
    return isinstance(value, dict) and "file" not in value and ("reports" in value or "files" in value)


def _of_job(caller: Caller, body: bytes, parts: Parts) -> Estimate:
    asked = read_job_request(body, max_file_bytes=parts.max_file_bytes)
    submission = job_submission(asked, caller, None)
    facts = _facts(caller, parts, submission.task.kind, submission.task.options)
    job = _estimated([submission], None, facts)
    return _document(job, None, facts, findings=len(submission.task.findings), skipped={})


def _of_run(caller: Caller, body: bytes, parts: Parts) -> Estimate:
    asked = read_run_request(body, max_file_bytes=parts.max_file_bytes)
    run = run_submission(asked, caller, None)
    options = run.jobs[0].task.options if run.jobs else Options()
    facts = _facts(caller, parts, KindName(run.kind), options)
    jobs = _estimated(run.jobs, run.max_cost_picos, facts)
    return _document(
        jobs,
        run.max_cost_picos,
        facts,
        findings=sum(len(job.task.findings) for job in run.jobs),
        skipped=Counter(str(one["reason"]) for one in run.skipped),
    )


def _facts(caller: Caller, parts: Parts, kind: KindName, options: Options) -> Facts:
    with parts.database.begin() as connection:
        return read_facts(connection, parts, caller, kind, options)


def _estimated(jobs: Sequence[Submission], run_cap: int | None, facts: Facts) -> list[JobEstimate]:
    """Estimate jobs one by one, all with the effort of one request."""
    effort = Effort()
    return [
        estimated(
            job.task,
            [cap for cap in (job.max_cost_picos, run_cap) if cap is not None],
            job.deadline_s,
            facts,
            effort,
        )
        for job in jobs
    ]


def _document(
    jobs: Sequence[JobEstimate],
    cap: int | None,
    facts: Facts,
    *,
    findings: int,
    skipped: dict[str, int],
) -> Estimate:
    blocked = next((job for job in jobs if job.blocked), None)
    return Estimate.model_validate(
        {
            **_sums(jobs, cap),
            "fits": blocked is None,
            "blocked_by": None if blocked is None else blocked.blocked_by,
            "blocked": None if blocked is None else _blocked(blocked),
            "model": facts.ladder[0].model,
            "unpriced": facts.unpriced,
            "jobs": len(jobs),
            "findings": findings,
            "skipped": skipped,
            "files": [_file(job) for job in jobs],
            "learned_from": {"source": facts.experience.source, "jobs": facts.experience.jobs},
        }
    )


def _file(job: JobEstimate) -> FileEstimate:
    return FileEstimate.model_validate(
        {
            **_sums([job], None),
            "path": job.path,
            "fits": not job.blocked,
            "blocked_by": job.blocked_by,
            "too_long": job.expected.too_long,
        }
    )


def _sums(jobs: Sequence[JobEstimate], cap: int | None) -> dict[str, Any]:
    """Add up what jobs may take; a cap over them all bounds the money, however much they may want."""
    worst_picos = _capped(_sum(job.worst_picos for job in jobs), cap)
    expected_picos = _sum(job.expected_picos for job in jobs)
    return {
        "calls": {
            "expected": sum(len(job.expected.calls) for job in jobs),
            "worst": sum(job.worst.calls for job in jobs),
        },
        "input_tokens": {
            "expected": sum(job.expected.input_tokens for job in jobs),
            "worst": _sum(job.worst.input_tokens for job in jobs),
        },
        "output_tokens": {
            "expected": sum(job.expected.output_tokens for job in jobs),
            "worst": sum(job.worst.output_tokens for job in jobs),
        },
        "cost_usd": {
            "expected": _usd(_capped(expected_picos, worst_picos)),
            "worst": _usd(worst_picos),
        },
    }


def _sum(values: Iterable[int | None]) -> int | None:
    """Add up; what is not known of one is not known of all."""
    total = 0
    for value in values:
        if value is None:
            return None
        total += value
    return total


def _capped(picos: int | None, cap: int | None) -> int | None:
    return picos if picos is None or cap is None else min(picos, cap)


def _usd(picos: int | None) -> str | None:
    return None if picos is None else to_usd(picos)


def _blocked(job: JobEstimate) -> Blocked:
    room = None if job.first_call is None else job.first_call.blocked
    if job.first_call is None or room is None:
        return Blocked(answer="no_price", resets_at=None, waits=False, name=None)
    # Room that is only held is always waited for; what is over never fits, and is not.
    fit = job.first_call.fit
    waits = fit is Fit.WAIT or (fit is Fit.EXHAUSTED and room.waits and room.resets_at is not None)
    return Blocked.model_validate(
        {"answer": fit.value, "resets_at": room.resets_at, "waits": waits, "name": room.name}
    )
