"""`patchmill calls`: calls of which nobody knows whether they were billed, and what became of them."""

import json
from typing import Annotated

import typer

from patchmill.cli.exits import Exit, ends
from patchmill.cli.listing import LIMIT, AsJson, Limit, Subcommands, first, page
from patchmill.cli.serving import served
from patchmill.cli.talk import say, shown
from patchmill.errors import ConfigurationError

_NOT_BILLED = 'patchmill calls decide call_0192… --not-billed --reason "support says so"'
_BILLED = (
    "patchmill calls decide call_0192… --billed 0.00018 --input-tokens 812 --output-tokens 95 "
    '--reason "request 4711"'
)

app = typer.Typer(
    cls=Subcommands,
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=ends("patchmill calls uncertain", _NOT_BILLED),
)


@app.callback()
def calls() -> None:
    """See which calls may have been billed or not, and decide what became of one."""


@app.command(epilog=ends("patchmill calls uncertain", "patchmill calls uncertain --json"))
def uncertain(*, limit: Limit = LIMIT, as_json: AsJson = False) -> int:
    """List the project's calls of which nobody knows whether they were billed, newest first.

    Their holds count against the budgets until evidence comes, or `patchmill calls decide`.
    """
    with served() as service:
        found = first(service.client.uncertain.list(**page(limit)), limit)
    if as_json:
        print(json.dumps(found, indent=2))
        return Exit.DONE
    for call in found:
        why = call["failure"] or "no usage was told"
        sent = call["sent_at"][:16].replace("T", " ")
        print(f"{call['id']}  {sent}  {shown(call['model'])}  ${call['held']['usd']} held  {shown(why)}")
    if not found:
        say("no call is uncertain")
    return Exit.DONE


@app.command(epilog=ends(_BILLED, _NOT_BILLED))
def decide(
    identity: Annotated[str, typer.Argument(metavar="CALL", help="An id `call_…`.")],
    *,
    reason: Annotated[str, typer.Option(help="How this is known; it is kept for good.")],
    billed: Annotated[
        str | None, typer.Option(metavar="USD", help="It was billed, for so many US dollars.")
    ] = None,
    input_tokens: Annotated[
        int | None, typer.Option(min=0, help="Input tokens that were billed; with --billed.")
    ] = None,
    output_tokens: Annotated[
        int | None, typer.Option(min=0, help="Output tokens that were billed; with --billed.")
    ] = None,
    not_billed: Annotated[bool, typer.Option("--not-billed", help="It was not billed.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the document as JSON.")] = False,
) -> int:
    """Decide what became of an uncertain call, for good. Needs a key with the scope admin.

    With --billed it is settled for just that; what exceeds its hold is overrun, which no budget bears. With
    --not-billed its hold is free again. Who decided it, when and why is kept.
    """
    if (billed is None) is not not_billed:
        raise ConfigurationError("say either --billed USD or --not-billed")
    if billed is None and (input_tokens is not None or output_tokens is not None):
        raise ConfigurationError("tokens are for a call that was billed; leave them out with --not-billed")
    if billed is not None and (input_tokens is None or output_tokens is None):
        raise ConfigurationError("with --billed say --input-tokens and --output-tokens, too")
    with served() as service:
        if billed is None:
            call = service.client.uncertain.decide_not_billed(identity, reason=reason)
        else:
            call = service.client.uncertain.decide_billed(
                identity,
                usd=billed,
                input_tokens=input_tokens or 0,
                output_tokens=output_tokens or 0,
                reason=reason,
            )
    if as_json:
        print(json.dumps(call, indent=2))
        return Exit.DONE
    over = "" if call["overrun_usd"] == "0" else f", ${call['overrun_usd']} of it beyond its hold"
    say(f"{shown(call['id'])} is {call['state']}: ${call['cost_usd']}{over}")
    return Exit.DONE
