"""`patchmill standin`: the stand-in gateway in the foreground."""

from pathlib import Path
from typing import Annotated

import typer

from patchmill.cli.exits import ends
from patchmill.cli.notice import NOT_A_MODEL
from patchmill.cli.stopping import Stop
from patchmill.cli.talk import say
from patchmill.dev.standin.behaviour import Behaviour
from patchmill.dev.standin.gateway import DEFAULT_KEY, Options
from patchmill.dev.standin.known_answers import InvalidCases, KnownAnswers
from patchmill.dev.standin.players import Oracle, Player, Rules, Saboteur
from patchmill.dev.standin.scenarios import (
    InvalidScenario,
    bundled_scenarios,
    find_scenario,
    load_scenario,
)
from patchmill.dev.standin.server import serve
from patchmill.errors import ConfigurationError, Unavailable
from patchmill.evaluate.cases import case_files

PORT = 8081
_PLAYED = "It gives {} answers to the cases that are named, and declines what it does not know."


def _list_scenarios(asked: bool) -> None:  # noqa: FBT001 - typer calls it so
    if asked:
        for name in bundled_scenarios():
            print(f"{name:<10}{load_scenario(name).description}")
        raise typer.Exit


ListScenarios = Annotated[
    bool,
    typer.Option(
        "--list-scenarios", callback=_list_scenarios, is_eager=True, help="List the scenarios, and end."
    ),
]

OracleOption = Annotated[
    str | None, typer.Option(help="Give the right answers of these cases: a file, or `development`.")
]
SaboteurOption = Annotated[
    str | None, typer.Option(help="Give the right answers of these cases, each spoilt in some way.")
]
ScenarioOption = Annotated[
    str | None, typer.Option(help="How it behaves: a bundled scenario, or the path of a .toml file.")
]
Latency = Annotated[int | None, typer.Option(min=0, help="Milliseconds before each answer begins.")]
FirstToken = Annotated[int | None, typer.Option(min=0, help="Milliseconds from there to the first token.")]
ChunkDelay = Annotated[int | None, typer.Option(min=0, help="Milliseconds between a stream's chunks.")]
Key = Annotated[list[str] | None, typer.Option(help="A key to accept; may be repeated.")]

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog=ends(
        "patchmill standin",
        "patchmill standin --port 9001 --latency-ms 400 --ledger /tmp/ledger.jsonl",
        "patchmill standin --scenario storm",
        "patchmill standin --oracle development",
        "patchmill standin --saboteur cases.jsonl --seed 7",
    )
)
def standin(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = PORT,
    scenario: ScenarioOption = None,
    list_scenarios: ListScenarios = False,  # noqa: ARG001 - its callback ends the command
    latency_ms: Latency = None,
    first_token_ms: FirstToken = None,
    chunk_delay_ms: ChunkDelay = None,
    concurrency: Annotated[
        int | None,
        typer.Option(min=1, help="Requests in flight, 25 if not given; more are refused with 429."),
    ] = None,
    ledger: Annotated[
        Path | None, typer.Option(help="File that keeps what was billed, one JSON object a line.")
    ] = None,
    key: Key = None,
    oracle: OracleOption = None,
    saboteur: SaboteurOption = None,
    seed: Annotated[int, typer.Option(help="Which ways the saboteur takes.")] = 0,
) -> None:
    """Run the stand-in gateway until Ctrl-C or TERM. It is not a language model.

    It speaks the model gateway's documented protocol and answers by fixed rules, so that everything can be
    tried, tested and measured without a key. Prints its address on standard output. Its /standin/ledger
    shows what it billed, and PUT /standin/behaviour makes it slow or faulty, as does --scenario.

    With --oracle or --saboteur it knows the answers of cases, as `patchmill eval` reads them, by the path and
    the lines of a file: right ones, or wrong ones of every kind.
    """
    given = {
        "latency_ms": latency_ms,
        "first_token_ms": first_token_ms,
        "chunk_delay_ms": chunk_delay_ms,
        "concurrency": concurrency,
    }
    options = Options(
        keys=frozenset(key or [DEFAULT_KEY]),
        ledger_path=ledger,
        player=_player(oracle, saboteur, seed),
        behaviour=_behaviour(scenario).model_copy(
            update={name: value for name, value in given.items() if value is not None}
        ),
    )

    def ready(actual_port: int) -> None:
        _announce(host, actual_port, next(iter(options.keys)), options.player)

    try:
        # The server ends by itself on a signal, and passes it on when it has ended.
        with Stop(word="") as stop:
            serve(options, host=host, port=port, on_ready=ready)
            stop.pause(0)
    except OSError as error:
        raise Unavailable(
            f"cannot listen on {host}:{port}: {error.strerror}; choose another port with --port"
        ) from error


def _behaviour(scenario: str | None) -> Behaviour:
    if scenario is None:
        return Behaviour()
    try:
        return find_scenario(scenario).behaviour
    except InvalidScenario as error:
        raise ConfigurationError(f"--scenario {scenario}: {error}") from error


def _player(oracle: str | None, saboteur: str | None, seed: int) -> Player:
    if oracle is not None and saboteur is not None:
        raise ConfigurationError("--oracle and --saboteur exclude each other; name one")
    named = oracle or saboteur
    if named is None:
        return Rules()
    try:
        answers = KnownAnswers.read(case_files(named))
    except InvalidCases as error:
        raise ConfigurationError(str(error)) from error
    return Oracle(answers) if oracle is not None else Saboteur(answers, seed=seed)


def _announce(host: str, port: int, key: str, player: Player) -> None:
    shown_host = f"[{host}]" if ":" in host else host
    url = f"http://{shown_host}:{port}/v1"
    say(NOT_A_MODEL)
    if not isinstance(player, Rules):
        say(_PLAYED.format("right" if isinstance(player, Oracle) else "spoilt"))
    say(f"Use it with  PATCHMILL_GATEWAY_URL={url}  PATCHMILL_GATEWAY_API_KEY={key}")
    print(url, flush=True)
