"""`patchmill webhooks`: list, create, test and delete them; see deliveries and send them once more."""

import json
from typing import Annotated

import typer

from patchmill.cli.exits import Exit, ends
from patchmill.cli.listing import LIMIT, AsJson, Limit, first, group, page
from patchmill.cli.serving import served
from patchmill.cli.talk import say, shown, some
from patchmill.client.documents import Delivery
from patchmill.errors import ConfigurationError

app = group(
    "patchmill webhooks",
    "patchmill webhooks create https://hooks.example/in --event run.finished",
    "patchmill webhooks deliveries whk_0192… --state failed",
    "patchmill webhooks replay whk_0192… --since 2026-11-22T09:30:00Z",
)

WebhookId = Annotated[str, typer.Argument(metavar="ID", help="An id `whk_…`.")]
DocumentAsJson = Annotated[bool, typer.Option("--json", help="Print the document as JSON.")]


@app.callback(invoke_without_command=True)
def webhooks(context: typer.Context, *, as_json: AsJson = False) -> int:
    """List webhooks, newest first; the subcommands do the rest. Needs a key with the scope admin."""
    if context.invoked_subcommand is not None:
        return Exit.DONE
    with served() as service:
        found = list(service.client.webhooks.list())
    if as_json:
        print(json.dumps(found, indent=2))
        return Exit.DONE
    for each in found:
        standing = "failing" if each["failing_since"] else "enabled" if each["enabled"] else "disabled"
        print(f"{each['id']}  {standing:<8}  {shown(each['url'])}  {','.join(each['events'])}")
    if not found:
        say("there are no webhooks yet; `patchmill webhooks create` makes one")
    return Exit.DONE


@app.command(epilog=ends("patchmill webhooks create https://hooks.example/in --event run.finished"))
def create(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where messages go: https or http.")],
    *,
    event: Annotated[list[str], typer.Option(help="A type of news, such as run.finished; may be repeated.")],
    as_json: DocumentAsJson = False,
) -> int:
    """Send news of the key's project to a URL, and print the secret that signs it, only this once.

    The secret is alone on standard output, so that a script can take it.
    """
    with served() as service:
        made = service.client.webhooks.create(url, event)
    if as_json:
        print(json.dumps(made, indent=2))
    else:
        say(f"{made['id']}: {', '.join(made['events'])}; the secret is not shown again")
        print(made["secret"])
    return Exit.DONE


@app.command(epilog=ends("patchmill webhooks delete whk_0192…"))
def delete(identity: WebhookId) -> int:
    """Delete a webhook; what is on its way to it is given up."""
    with served() as service:
        service.client.webhooks.delete(identity)
    say(f"{shown(identity)} is deleted")
    return Exit.DONE


@app.command("test", epilog=ends("patchmill webhooks test whk_0192…"))
def send_test(identity: WebhookId, *, as_json: DocumentAsJson = False) -> int:
    """Send a test message, once; its delivery tells how that went."""
    with served() as service:
        sent = service.client.webhooks.test(identity)
    _told(identity, sent, as_json=as_json)
    return Exit.DONE


@app.command(
    epilog=ends("patchmill webhooks deliveries whk_0192…", "patchmill webhooks deliveries whk_0192… --json")
)
def deliveries(
    identity: WebhookId,
    *,
    state: Annotated[str | None, typer.Option(help="pending, delivered or failed.")] = None,
    limit: Limit = LIMIT,
    as_json: AsJson = False,
) -> int:
    """List the messages to a webhook, newest first, with how often each was tried and how that ended."""
    filters = {} if state is None else {"state": state}
    with served() as service:
        listed = service.client.webhooks.deliveries(identity, **filters, **page(limit))
        found = first(listed, limit)
    if as_json:
        print(json.dumps(found, indent=2))
        return Exit.DONE
    for each in found:
        print(f"{each['id']}  {each['state']:<9}  {each['type']:<15}  {_attempts(each)}")
    if not found:
        say("no delivery is like that" if filters else "nothing was sent yet")
    return Exit.DONE


@app.command(
    epilog=ends(
        "patchmill webhooks replay whk_0192… dlv_0192…",
        "patchmill webhooks replay whk_0192… --since 2026-11-22T09:30:00Z",
    )
)
def replay(
    identity: WebhookId,
    delivery: Annotated[str | None, typer.Argument(metavar="[DELIVERY]", help="An id `dlv_…`.")] = None,
    *,
    since: Annotated[
        str | None, typer.Option(help="Send all that failed since this time, at most 1,000 messages.")
    ] = None,
    as_json: DocumentAsJson = False,
) -> int:
    """Send a message once more, or with --since everything that failed since then."""
    if (delivery is None) == (since is None):
        raise ConfigurationError("name one delivery, or give --since")
    with served() as service:
        if delivery is not None:
            _told(identity, service.client.webhooks.replay(identity, delivery), as_json=as_json)
            return Exit.DONE
        count = service.client.webhooks.replay_failed(identity, since or "")
    if as_json:
        print(json.dumps({"replayed": count}, indent=2))
    else:
        say(f"{some(count, 'message')} sent once more")
    return Exit.DONE


def _told(identity: str, sent: Delivery, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(sent, indent=2))
    else:
        look = f"`patchmill webhooks deliveries {shown(identity)}`"
        say(f"{sent['id']} is on its way; {look} tells how it went")


def _attempts(delivery: Delivery) -> str:
    """Write how often a delivery was tried, and what came of the last time."""
    attempts = delivery["attempts"]
    if not attempts:
        return f"not tried yet{_next(delivery)}"
    last = attempts[-1]
    said = last["error"] if last["status"] is None else f"HTTP {last['status']}"
    return f"{some(len(attempts), 'attempt')}, last {_when(last['at'])}: {shown(str(said))}{_next(delivery)}"


def _next(delivery: Delivery) -> str:
    at = delivery["next_attempt_at"]
    return f"; next {_when(at)}" if at and delivery["state"] == "pending" else ""


def _when(at: str) -> str:
    return at[:16].replace("T", " ")
