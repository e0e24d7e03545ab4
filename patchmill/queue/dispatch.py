"""Messages into Redis: a template that Celery itself made, filled in and pushed in one pipeline.

`send_task` costs more than the insert of a job. What a message carries is a hint, the job's id and
dispatch number; when the push fails, the stale dispatch is taken back and sent again.
"""

import base64
import copy
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis
from celery import Celery
from kombu import Connection as BrokerConnection

from patchmill.queue.app import QUEUES, TASK

WAKE_LIST = "patchmill:wake"
WAKE_LIMIT = 1  # one wake-up is enough for all that came before it is read
PUSH_TIMEOUT_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """A job that was marked dispatched, and under which number."""

    job_id: uuid.UUID
    dispatch_no: int
    queue: str


class Broker:
    """The sending side of Redis: pushes messages, wakes dispatchers, waits to be woken."""

    def __init__(self, redis_url: str, *, max_connections: int = 8) -> None:
        self._redis = redis.Redis.from_url(
            redis_url,
            socket_timeout=PUSH_TIMEOUT_S,
            socket_connect_timeout=PUSH_TIMEOUT_S,
            max_connections=max_connections,
        )
        self._waiting = redis.Redis.from_url(redis_url, socket_timeout=5, socket_connect_timeout=1)

    def ping(self) -> None:
        """Ask Redis for an answer; raises redis.RedisError when there is none."""
        self._redis.ping()

    def push(self, messages: Sequence[tuple[str, str]]) -> None:
        """Push (queue, message) pairs; raises redis.RedisError when that fails."""
        pipeline = self._redis.pipeline(transaction=False)
        for queue, message in messages:
            pipeline.lpush(queue, message)
        pipeline.execute()

    def wake(self) -> None:
        """Wake one dispatcher; raises redis.RedisError when that fails."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.lpush(WAKE_LIST, "1")
        pipeline.ltrim(WAKE_LIST, 0, WAKE_LIMIT - 1)
        pipeline.execute()

    def wait_for_wake(self, timeout_s: float) -> bool:
        """Wait until a wake-up comes or the time is over; raises redis.RedisError without Redis."""
        return self._waiting.brpop([WAKE_LIST], timeout=timeout_s) is not None

    def close(self) -> None:
        """Give the connections back."""
        self._redis.close()
        self._waiting.close()


class MessageTemplate:
    """One message as Celery writes it, to be copied with another job's id and dispatch number."""

    def __init__(self, celery: Celery) -> None:
        self._message = _capture(celery)

    def fill(self, dispatch: Dispatch) -> str:
        """Give the message for one dispatch, ready for its Redis list."""
        message = copy.deepcopy(self._message)
        task_id = str(uuid.uuid4())
        arguments = [str(dispatch.job_id), dispatch.dispatch_no]
        body = json.dumps(
            [arguments, {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
        )
        message["body"] = base64.b64encode(body.encode()).decode()
        message["headers"].update(id=task_id, root_id=task_id, argsrepr=repr(arguments))
        properties = message["properties"]
        properties.update(correlation_id=task_id, delivery_tag=str(uuid.uuid4()))
        properties["delivery_info"].update(routing_key=dispatch.queue)
        return json.dumps(message)


def _capture(celery: Celery) -> dict[str, Any]:
    """Let Celery publish one message into a broker in this process's memory, and take it out again."""
    with BrokerConnection("memory://") as connection:
        celery.send_task(TASK, args=["", 0], queue=QUEUES[0], connection=connection, retry=False)
        channel = connection.default_channel
        message = channel._get(QUEUES[0])  # noqa: SLF001 - the raw form is what Redis's list must hold
        if not isinstance(message, dict):
            raise TypeError("Celery's message is not the mapping that Redis lists hold")
        return message
