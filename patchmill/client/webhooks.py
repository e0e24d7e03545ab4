"""A project's webhooks over the API: made, listed, tested, deleted; deliveries read and sent once more.

All of it needs a key with the scope `admin`.
"""

from collections.abc import Iterator, Sequence
from typing import cast
from urllib.parse import quote

from patchmill.client.connection import Connection
from patchmill.client.documents import Delivery, NewWebhook, Webhook
from patchmill.client.pages import pages

_PATH = "/v1/webhooks"


class Webhooks:
    """The webhooks of the key's project; methods raise as those of `Client` do.

    What makes or sends something is not sent again if it may have arrived.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self) -> Iterator[Webhook]:
        """Give the webhooks, newest first, without their secrets."""
        return cast("Iterator[Webhook]", pages(self._connection, _PATH, {}))

    def create(self, url: str, events: Sequence[str]) -> NewWebhook:
        """Send news of these types to a URL; the secret that signs them is in this answer alone."""
        body = {"url": url, "events": [*events]}
        return cast("NewWebhook", self._connection.json("POST", _PATH, json=body, repeatable=False))

    def delete(self, webhook_id: str) -> None:
        """Delete a webhook; what is on its way to it is given up."""
        self._connection.send("DELETE", _webhook(webhook_id), repeatable=False)

    def test(self, webhook_id: str) -> Delivery:
        """Send a test message, once; give its delivery, which is still on its way."""
        return self._sent(f"{_webhook(webhook_id)}/test")

    def deliveries(self, webhook_id: str, **filters: str) -> Iterator[Delivery]:
        """Give the messages to a webhook with every attempt, newest first; `state` narrows them."""
        path = f"{_webhook(webhook_id)}/deliveries"
        return cast("Iterator[Delivery]", pages(self._connection, path, filters))

    def replay(self, webhook_id: str, delivery_id: str) -> Delivery:
        """Send a message once more; give the new delivery."""
        return self._sent(f"{_webhook(webhook_id)}/deliveries/{quote(delivery_id, safe='')}/replay")

    def replay_failed(self, webhook_id: str, since: str) -> int:
        """Send once more what failed since a time in RFC 3339; give how many, at most 1,000 at once."""
        path = f"{_webhook(webhook_id)}/replay"
        answer = self._connection.json("POST", path, json={"since": since}, repeatable=False)
        return int(answer["replayed"])

    def _sent(self, path: str) -> Delivery:
        return cast("Delivery", self._connection.json("POST", path, repeatable=False))


def _webhook(identity: str) -> str:
    return f"{_PATH}/{quote(identity, safe='')}"
