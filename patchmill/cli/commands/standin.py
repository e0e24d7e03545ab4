"""`patchmill standin`: the stand-in gateway in the foreground."""

from pathlib import Path
from typing import Annotated

import typer

from patchmill.cli.exits import ends
from patchmill.cli.notice import NOT_A_MODEL
from patchmill.cli.stopping import Stop
from patchmill.cli.talk import say
from patchmill.dev.standin.faults import Behaviour
from patchmill.dev.standin.gateway import DEFAULT_KEY, Options
from patchmill.dev.standin.server import serve
from patchmill.errors import Unavailable

PORT = 8081

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog=ends(
        "patchmill standin", "patchmill standin --port 9001 --latency-ms 400 --ledger /tmp/ledger.jsonl"
    )
)
def standin(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = PORT,
    latency_ms: Annotated[int, typer.Option(min=0, help="Milliseconds before each answer begins.")] = 0,
    first_token_ms: Annotated[
        int, typer.Option(min=0, help="Milliseconds from there to the first token.")
    ] = 0,
    chunk_delay_ms: Annotated[int, typer.Option(min=0, help="Milliseconds between a stream's chunks.")] = 0,
    concurrency: Annotated[
        int, typer.Option(min=1, help="Requests in flight; more are refused with 429.")
    ] = 25,
    ledger: Annotated[
        Path | None, typer.Option(help="File that keeps what was billed, one JSON object a line.")
    ] = None,
    key: Annotated[list[str] | None, typer.Option(help="A key to accept; may be repeated.")] = None,
) -> None:
    """Run the stand-in gateway until Ctrl-C or TERM. It is not a language model.

    It speaks the model gateway's documented protocol and answers by fixed rules, so that everything can be
    tried, tested and measured without a key. Prints its address on standard output. Its /standin/ledger
    shows what it billed, and PUT /standin/behaviour makes it slow or faulty.
    """
    options = Options(
        keys=frozenset(key or [DEFAULT_KEY]),
        concurrency=concurrency,
        ledger_path=ledger,
        behaviour=Behaviour(
            latency_ms=latency_ms, first_token_ms=first_token_ms, chunk_delay_ms=chunk_delay_ms
        ),
    )

    def ready(actual_port: int) -> None:
        shown_host = f"[{host}]" if ":" in host else host
        url = f"http://{shown_host}:{actual_port}/v1"
        say(NOT_A_MODEL)
        say(f"Use it with  PATCHMILL_GATEWAY_URL={url}  PATCHMILL_GATEWAY_API_KEY={next(iter(options.keys))}")
        print(url, flush=True)

    try:
        # The server ends by itself on a signal, and passes it on when it has ended.
        with Stop(word="") as stop:
            serve(options, host=host, port=port, on_ready=ready)
            stop.pause(0)
    except OSError as error:
        raise Unavailable(
            f"cannot listen on {host}:{port}: {error.strerror}; choose another port with --port"
        ) from error
