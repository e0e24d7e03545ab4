"""What a command works on: one run, or jobs of their own; read, waited for and rendered alike."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from patchmill.cli.waiting import Wait, waits_of
from patchmill.client.documents import Job, Run
from patchmill.client.http import ENDED, RUN_ENDED, Client
from patchmill.client.problem import ApiError
from patchmill.edit.formats import EDIT_FORMATS
from patchmill.errors import ConfigurationError

_RUN = "run_"
_JOB = "job_"
_NO_CHANGE = "no_change"
# Where the documents of several jobs are put together: the name of the list in each.
_LISTS = {"json": "data", "sarif": "runs", "rdjson": "diagnostics"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a run or jobs stand: the run's document if it is one, and the documents of the jobs, by path.

    `declined` says of jobs, by their id, why the model would change nothing, `waits` why they wait.
    """

    run: Run | None
    jobs: Sequence[Job]
    declined: Mapping[str, str] = field(default_factory=dict)
    waits: Mapping[str, Wait] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        if self.run is not None:
            return self.run["state"] in RUN_ENDED
        return all(job["state"] in ENDED for job in self.jobs)

    def document(self) -> dict[str, Any]:
        """Write it as the JSON object that `--json` prints."""
        return {"run": self.run, "jobs": list(self.jobs)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A run, or jobs, by their ids."""

    run: str | None = None
    jobs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What a sentence calls it."""
        if self.run is not None:
            return self.run
        return self.jobs[0] if len(self.jobs) == 1 else f"{self.jobs[0]} and {len(self.jobs) - 1} more jobs"

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids to ask for later."""
        return self.jobs if self.run is None else (self.run,)


def work_of(identity: str) -> Work:
    """Tell by an id what it is the id of.

    Raises:
        ConfigurationError: neither of a job nor of a run.
    """
    if identity.startswith(_RUN):
        return Work(run=identity)
    if identity.startswith(_JOB):
        return Work(jobs=(identity,))
    raise ConfigurationError(f"{identity!r} is no id; it begins with `{_JOB}` or `{_RUN}`")


def standing(client: Client, work: Work) -> Standing:
    """Read how it stands now."""
    if work.run is None:
        run, jobs = None, [client.job(each) for each in work.jobs]
    else:
        run = client.run(work.run)
        jobs = sorted(client.jobs(run=work.run), key=lambda job: job["file"]["path"])
    why = {job["id"]: _why_declined(client, job) for job in jobs if job["outcome"] == _NO_CHANGE}
    declined = {name: said for name, said in why.items() if said}
    return Standing(run=run, jobs=jobs, declined=declined, waits=waits_of(client, jobs))


def _why_declined(client: Client, job: Job) -> str | None:
    """Give the reason in the model's last answer; None if that is erased, or says none.

    The answer belongs to the job that did the work, which may be kept no longer.
    """
    try:
        calls = client.calls(job.get("served_from") or job["id"])
    except ApiError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        return None
    replies = [call["reply"] for call in calls if call["reply"]]
    reasons = [form.parse(reply).declined for reply in replies[-1:] for form in EDIT_FORMATS.values()]
    return next(filter(None, reasons), None)


def rendered(client: Client, work: Work, name: str) -> str:
    """Give what it offers in a format of the API.

    Raises:
        ConfigurationError: the format cannot hold several jobs that are no run.
    """
    if work.run is not None:
        return client.run_suggestions(work.run, format=name)
    texts = [client.suggestions(each, format=name) for each in work.jobs]
    if len(texts) == 1:
        return texts[0]
    if name == "patch":
        return "".join(texts)
    if name not in _LISTS:
        raise ConfigurationError(f"the format {name} needs one file, or `patchmill suggest`")
    documents: list[dict[str, Any]] = [json.loads(text) for text in texts]
    parts = [part for document in documents for part in document[_LISTS[name]]]
    return json.dumps({**documents[0], _LISTS[name]: parts}, ensure_ascii=False)
