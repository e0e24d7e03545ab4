"""The one Celery task: a message is a hint, and the pipeline decides what it is worth."""

import uuid

from celery import Celery

from patchmill.queue.app import TASK
from worker.pipeline import run_job
from worker.process import Process


def register(celery: Celery, process: Process) -> None:
    """Give the task to Celery, bound to this process's parts."""

    @celery.task(name=TASK, ignore_result=True)
    def run(job_id: str, dispatch_no: int) -> None:
        run_job(process, uuid.UUID(job_id), dispatch_no)
