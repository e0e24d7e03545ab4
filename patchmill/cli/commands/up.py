"""`patchmill up`: the whole service on this machine, in the foreground."""

import json
import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from patchmill.cli.child_log import ChildLog
from patchmill.cli.database import transaction
from patchmill.cli.environment import Gateway, Plan, Running, running
from patchmill.cli.exits import ends
from patchmill.cli.installation import report
from patchmill.cli.local_admin import FILE as PASSWORD_FILE
from patchmill.cli.local_admin import NAME as ADMIN
from patchmill.cli.local_admin import ensure_local_admin
from patchmill.cli.local_key import FILE, announced
from patchmill.cli.masking import masked_url
from patchmill.cli.notice import NOT_A_MODEL
from patchmill.cli.stopping import Stop
from patchmill.cli.talk import say
from patchmill.settings import Settings, gateway_key, load

MAX_WORKERS = 64
EXAMPLE_JOB = {
    "kind": "fix",
    "file": {"path": "hello.py", "content": "import os\nprint(42)\n"},
    "findings": [
        {
            "tool": "ruff",
            "rule": "F401",
            "message": "`os` imported but unused",
            "start_line": 1,
            "end_line": 1,
        }
    ],
}

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog=ends(
        "patchmill up", "patchmill up --port 9000 --workers 4", "BYTESPIKE_API_KEY=… patchmill up --verbose"
    )
)
def up(
    *,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of the API; without it, PATCHMILL_PORT.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=MAX_WORKERS, help="Worker processes.")] = 2,
    stand_in: Annotated[
        bool | None,
        typer.Option(
            "--stand-in/--no-stand-in",
            help="Use the stand-in gateway, which is no language model; by default, if no key is set.",
        ),
    ] = None,
    verbose: Annotated[bool, typer.Option(help="Show every log line of every process.")] = False,
) -> None:
    """Run the service on this machine, with everything it needs.

    Starts Postgres and Valkey (Redis) unless PATCHMILL_DATABASE_URL and PATCHMILL_REDIS_URL say where they
    run, and the stand-in gateway unless PATCHMILL_GATEWAY_API_KEY or BYTESPIKE_API_KEY is set. Then brings
    the database to this version and starts the API and the workers, as the Procfile says. Data is kept in
    PATCHMILL_DATA_DIR, with a key for this machine's own use in its file local-key and, when there is no
    user yet, the password of the dashboard's user `admin` in its file admin-password.

    Ctrl-C (exit code 130) or TERM (0) stops everything in order: running jobs are finished first, for at most
    PATCHMILL_STOP_GRACE_S seconds. A second Ctrl-C stops at once; no job is lost by that.
    """
    settings = load()
    plan = _plan(settings, port=port, workers=workers, stand_in=stand_in)
    if plan.gateway is None:
        say(f"{NOT_A_MODEL}\nSet BYTESPIKE_API_KEY to use the real gateway.\n")
    with (
        Stop() as stop,
        running(plan, stop=stop, log=ChildLog(verbose=verbose), tell=say) as service,
        announced(
            service.api_url,
            database_url=service.database_url,
            stand_in_url=service.gateway_url if plan.gateway is None else None,
            data_dir=plan.data_dir,
        ),
    ):
        with transaction(service.database_url) as connection:
            ensure_local_admin(connection, data_dir=plan.data_dir)
        for sentence in report(service.installed):
            say(f"  {sentence}")
        say(_description(plan, service))
        service.watch()


def _plan(settings: Settings, *, port: int | None, workers: int, stand_in: bool | None) -> Plan:
    no_key = settings.gateway_api_key is None or not settings.gateway_api_key.get_secret_value()
    use_stand_in = no_key if stand_in is None else stand_in
    gateway = None
    surroundings = dict(os.environ)
    if use_stand_in:
        surroundings.pop("BYTESPIKE_API_KEY", None)  # nothing that does not need the key has it
        surroundings.pop("PATCHMILL_GATEWAY_API_KEY", None)
        surroundings["NO_PROXY"] = surroundings["no_proxy"] = "127.0.0.1"
    else:
        gateway = Gateway(url=settings.gateway_url, key=gateway_key(settings))
    database_url, redis_url = (
        None if url is None else url.get_secret_value() or None
        for url in (settings.database_url, settings.redis_url)
    )
    return Plan(
        data_dir=settings.data_dir.expanduser().resolve(),
        pepper_file=settings.key_pepper_file,
        host=settings.host,
        port=port or settings.port,
        workers=workers,
        database_url=database_url,
        redis_url=redis_url,
        gateway=gateway,
        concurrency=settings.gateway_concurrency,
        lease_ttl_s=settings.lease_ttl_s,
        stop_grace_s=settings.stop_grace_s,
        durable=True,
        surroundings=surroundings,
    )


def _description(plan: Plan, service: Running) -> str:
    gateway = (
        service.gateway_url
        if plan.gateway
        else f"{service.gateway_url}  (the stand-in: NOT a language model)"
    )
    lines = [
        "",
        f"Patchmill is ready at {service.api_url}  (documentation: {service.api_url}/docs)",
        f"  workers   {plan.workers}",
        f"  gateway   {gateway}",
        f"  Postgres  {masked_url(service.database_url)}",
        f"  Redis     {masked_url(service.redis_url)}",
        f"  data      {plan.data_dir}",
        f"  key       {plan.data_dir / FILE}",
        f"  dashboard {service.api_url}/  (user {ADMIN}, password in {plan.data_dir / PASSWORD_FILE})",
        "",
        "Submit a job:",
        f"  {curl(service.api_url, plan.data_dir / FILE)}",
        f"and read it at {service.api_url}/v1/jobs/ID?wait=30. Ctrl-C stops everything.",
        "",
    ]
    return "\n".join(lines)


def curl(api_url: str, key_file: Path) -> str:
    """Write a command that submits an example."""
    return (
        f"curl -sS {api_url}/v1/jobs -H 'Content-Type: application/json' "
        f'-H "Authorization: Bearer $(cat {shlex.quote(str(key_file))})" '
        f"-d {shlex.quote(json.dumps(EXAMPLE_JOB))}"
    )
