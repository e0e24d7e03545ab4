"""The command `patchmill`: finds the command by its name, and ends every error in one sentence."""

import difflib
import importlib
import os
import signal
import sys
from typing import Annotated, Any

import typer
from typer._click.exceptions import NoArgsIsHelpError, UsageError  # where typer keeps what it raises
from typer.core import TyperGroup

from patchmill import __version__
from patchmill.cli.exits import EXIT_CODES, Exit, Interrupted, exit_of
from patchmill.cli.refusal import sentence
from patchmill.cli.talk import shown
from patchmill.client.problem import ApiError
from patchmill.errors import PatchmillError

HELP = """Patchmill turns findings of code checkers into verified fixes: small edits that apply, parse, and
make the finding go away.

Begin with `patchmill demo`, which shows everything on an example and leaves nothing behind, or with
`patchmill up`, which runs the service on this machine."""

NOBODY_READS = 128 + signal.SIGPIPE  # as shells say it

# Each is a module of its name in `commands`, imported when it is used: help and version stay quick.
COMMANDS = {
    "demo": "Show the whole service at work on a bundled example.",
    "up": "Run the service on this machine, with everything it needs.",
    "fix": "Mend files: what a report says of them, or what ruff and oxlint find.",
    "annotate": "Add type hints and docstrings that change no behaviour.",
    "suggest": "Turn checkers' reports into suggestions; made for CI.",
    "estimate": "Say what suggestions for reports may cost, before anything is spent.",
    "status": "Show how a job or a run stands.",
    "wait": "Wait until a job or a run has ended.",
    "diff": "Print what a job or a run offers as a patch.",
    "apply": "Write what a job or a run offers into the files.",
    "jobs": "List jobs; cancel or start anew one, or all that match.",
    "runs": "List runs, cancel one.",
    "calls": "List calls that may have been billed or not; decide what became of one.",
    "usage": "Sum up what was used and spent, by day, model, rule and more.",
    "webhooks": "List, create, test and delete webhooks, see deliveries and replay them.",
    "projects": "Show the key's project; set how its jobs climb from model to model.",
    "budgets": "List, set, change and end limits on what is spent.",
    "prices": "List what tokens cost, add prices, import them.",
    "workers": "Show the worker processes, and what each has in hand.",
    "queues": "Show what is due, waits and runs, and which project is next.",
    "pause": "Make no calls, or begin no job of a project or a queue, until `resume`.",
    "resume": "Let calls go on, or a project or a queue.",
    "doctor": "Check that everything is in order, and say what to do.",
    "migrate": "Bring a database to this version's schema, and fill in the basics.",
    "keys": "Create, list and revoke API keys.",
    "users": "Create, list, disable and enable people who sign in to the dashboard.",
    "eval": "Measure answers on cases with known ones, through the whole service.",
    "settings": "Show every setting, its value and where it comes from.",
    "standin": "Run the stand-in gateway, which answers without a model.",
}


class _Commands(TyperGroup):
    """The commands by name, each imported only when it is used."""

    def list_commands(self, ctx: Any) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            close = difflib.get_close_matches(cmd_name, COMMANDS, n=1)
            hint = f"; did you mean `{close[0]}`?" if close else ""
            ctx.fail(f"there is no command `{cmd_name}`{hint}")
        module = importlib.import_module(f"patchmill.cli.commands.{cmd_name}")
        return typer.main.get_command(module.app)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - the framework hands it over by position
    if wanted:
        print(f"patchmill {__version__}")
        raise typer.Exit


app = typer.Typer(
    cls=_Commands,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=f"{EXIT_CODES} Data goes to standard output, talk to standard error; NO_COLOR turns colours off.",
)


@app.callback(help=HELP)
def _patchmill(
    *,
    show_version: Annotated[  # noqa: ARG001 - its callback does the work
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    return


def run() -> int:
    """Run the command line; give the exit code."""
    _open_closed_streams()
    try:
        code = app(prog_name="patchmill", standalone_mode=False)
        sys.stdout.flush()
    except Interrupted as error:
        return error.code
    except (SystemExit, BrokenPipeError):  # `patchmill jobs | head`; typer makes the first of the second
        _write_no_more()
        return NOBODY_READS
    except UsageError as error:
        return _refused(error)
    except (PatchmillError, ApiError) as error:
        _complain(sentence(error) if isinstance(error, ApiError) else str(error))
        return exit_of(error)
    except OSError as error:
        return _failed(error)
    if code == Exit.INTERRUPTED:  # what typer makes of a Ctrl-C that the command itself has no word for
        _complain("interrupted")
    return code if isinstance(code, int) else Exit.DONE


def _open_closed_streams() -> None:
    """Let what a shell closes (`<&-`, `>&-`) be empty, and be written to without anybody reading."""
    with open(os.devnull, "r+", encoding="utf-8") as nothing:  # noqa: PTH123 - no path, a device
        for name in ("stdin", "stdout", "stderr"):
            if getattr(sys, name) is None:
                setattr(sys, name, os.fdopen(os.dup(nothing.fileno()), "r" if name == "stdin" else "w"))


def _write_no_more() -> None:
    """Leave standard output alone: what it could not take would fail once more when the process ends."""
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - lasts as long as the process


def _failed(error: OSError) -> int:
    try:
        sys.stdout.flush()
    except OSError:
        _write_no_more()
    if isinstance(error, FileNotFoundError) and error.filename is None:
        _complain("the current folder is not there any more")
        return Exit.USAGE
    where = f": {error.filename}" if error.filename else ""
    _complain(f"{error.strerror or error}{where}")
    return Exit.SERVICE


def _refused(error: UsageError) -> int:
    if isinstance(error, NoArgsIsHelpError):
        print(error.format_message(), file=sys.stderr)
        return Exit.USAGE
    where = error.ctx.command_path if error.ctx is not None else "patchmill"
    message = error.format_message().replace("Value error, ", "").replace(": Input should", ": should")
    _complain(f"{message[:1].lower()}{message[1:].rstrip('.')} (see `{where} --help`)")
    return Exit.USAGE


def _complain(sentence: str) -> None:
    print(f"patchmill: {' '.join(shown(sentence).split())}", file=sys.stderr)
