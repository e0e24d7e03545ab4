"""`patchmill demo`: the whole service at work on a bundled example, and nothing left behind."""

import json
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from patchmill.cli.child_log import ChildLog
from patchmill.cli.console import data_console, talk_console
from patchmill.cli.demo_progress import progress
from patchmill.cli.demo_report import Ended, print_job, print_summary
from patchmill.cli.environment import Plan, Running, running
from patchmill.cli.example_jobs import ExampleJob, make_jobs, write_files
from patchmill.cli.exits import Exit, ends
from patchmill.cli.local_service import temporary_folder
from patchmill.cli.notice import NOT_A_MODEL
from patchmill.cli.outcome import SERVICE_ERRORS
from patchmill.cli.stopping import Stop
from patchmill.cli.talk import say
from patchmill.client.http import ENDED, Client
from patchmill.dev.surroundings import free_port
from patchmill.errors import ConfigurationError, Unavailable

WORKERS = 2
LEASE_TTL_S = 30.0
STOP_GRACE_S = 10.0
JOBS_TIMEOUT_S = 120.0
POLL_S = 0.1
CONCURRENCY = 25

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog=ends("patchmill demo", "patchmill demo --keep /tmp/demo", "NO_COLOR=1 patchmill demo > demo.txt")
)
def demo(
    *,
    keep: Annotated[
        Path | None,
        typer.Option(
            help="Folder to write the example's files, the patches and the jobs to. It must be empty or new."
        ),
    ] = None,
    verbose: Annotated[bool, typer.Option(help="Show every log line of every process.")] = False,
) -> int:
    """Show the whole service at work on a bundled example.

    Starts Postgres, Valkey, the API, two worker processes and the stand-in gateway in a temporary folder and
    on free ports; runs ruff on a small Python package; submits what it finds, and one file to be annotated,
    over HTTP; prints each job's diff with the evidence for it, its tokens and their cost; stops everything.
    No settings are read, nothing is charged, nothing stays.

    Exits with 0 if every job succeeded, 1 if one found no verified fix, 3 if something did not work.
    """
    started = time.monotonic()
    if keep is not None:
        _check_empty(keep)
    say(f"{NOT_A_MODEL}\n")
    with Stop() as stop, temporary_folder("patchmill-demo-") as folder:
        write_files(folder / "example")
        jobs = make_jobs(folder / "example")
        count = sum(len(job.findings) for job in jobs)
        say(f"ruff finds {count} problems in the example; one file is to be annotated")
        log = ChildLog(verbose=verbose)
        with running(_plan(folder), stop=stop, log=log, tell=say) as service:
            start_s = time.monotonic() - started
            say(f"ready after {start_s:.1f} s; submitting {len(jobs)} jobs to {service.api_url}\n")
            with Client(service.api_url, service.key) as client:
                ended = _run(client, service, jobs)
        console = data_console()
        for each in ended:
            print_job(console, each)
        print_summary(console, ended, wall_s=time.monotonic() - started, start_s=start_s)
        if keep is not None:
            _keep(keep, folder / "example", ended)
    return _exit(ended)


def _plan(folder: Path) -> Plan:
    foreign = ("PATCHMILL_", "BYTESPIKE_")
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return Plan(
        data_dir=folder / "data",
        pepper_file=None,
        host="127.0.0.1",
        port=free_port(),
        workers=WORKERS,
        database_url=None,
        redis_url=None,
        gateway=None,
        concurrency=CONCURRENCY,
        lease_ttl_s=LEASE_TTL_S,
        stop_grace_s=STOP_GRACE_S,
        durable=False,
        surroundings={**surroundings, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"},
    )


def _run(client: Client, service: Running, jobs: Sequence[ExampleJob]) -> list[Ended]:
    """Submit the jobs and follow them to their end."""
    ids = [str(client.submit(job.request)["id"]) for job in jobs]
    left = JOBS_TIMEOUT_S
    with progress(talk_console()) as shown:
        while True:
            by_id = {document["id"]: document for document in client.jobs()}
            documents = [by_id[job_id] for job_id in ids]
            shown.show(documents)
            if all(document["state"] in ENDED for document in documents):
                break
            if left < 0:
                raise Unavailable(f"the jobs had not ended after {JOBS_TIMEOUT_S:g} s")
            service.check()
            service.stop.pause(POLL_S)
            left -= POLL_S
    return [
        Ended(
            job=job,
            document=document,
            suggestions=client.suggestions(document["id"]),
            patch=client.patch(document["id"]),
        )
        for job, document in zip(jobs, documents, strict=True)
    ]


def _check_empty(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigurationError(f"{folder} is there already and not an empty folder; name a new one")


def _keep(folder: Path, example: Path, jobs: Sequence[Ended]) -> None:
    """Write the files as they were submitted, a patch for each job, and what the API says about the jobs."""
    shutil.copytree(example, folder, dirs_exist_ok=True)
    patches = folder / "patches"
    patches.mkdir()
    documents: list[dict[str, Any]] = []
    for ended in jobs:
        name = f"{ended.job.path.replace('/', '-').removesuffix('.py')}-{ended.job.kind}.patch"
        (patches / name).write_bytes(ended.patch.encode("utf-8"))
        documents.append({"request": ended.job.request, "patch": f"patches/{name}", "job": ended.document})
    (folder / "jobs.json").write_text(json.dumps(documents, indent=2) + "\n", encoding="utf-8")
    say(f"\nkept in {folder}: the files, patches/ (try `git apply --check`), jobs.json")


def _exit(jobs: Sequence[Ended]) -> int:
    failed = [each.document for each in jobs if each.document["state"] != "succeeded"]
    if any((document["error"] or {}).get("code") in SERVICE_ERRORS for document in failed):
        return Exit.SERVICE
    return Exit.FINDINGS_LEFT if failed else Exit.DONE
