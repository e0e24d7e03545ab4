"""The Celery application: what Celery is used for, and the long list of what it is not.

No result backend, no Celery retry, ETA, beat, prefetch, acknowledgement or remote control. A lost,
repeated or late message does no harm, since Postgres alone decides what runs.
"""

from celery import Celery
from kombu import Queue

TASK = "patchmill.run_job"
QUEUES = ("interactive", "bulk")  # the first is served first

_SOCKET = {
    "socket_timeout": 10,
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    "retry_on_timeout": True,
    "health_check_interval": 10,
}


def make_celery(redis_url: str, *, concurrency: int) -> Celery:
    """Make the Celery application of a process that runs `concurrency` jobs at once."""
    celery = Celery("patchmill", broker=redis_url, set_as_current=False)
    celery.conf.update(
        task_queues=[Queue(name, routing_key=name) for name in QUEUES],
        task_default_queue=QUEUES[0],
        task_acks_late=False,
        task_reject_on_worker_lost=False,
        task_ignore_result=True,
        task_publish_retry=False,
        task_serializer="json",
        accept_content=["json"],
        enable_utc=True,
        worker_disable_prefetch=True,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "ack_emulation": False,  # what a dead worker took is found in Postgres, so Redis keeps no copy
            "queue_order_strategy": "priority",
            "max_connections": concurrency + 20,
            **_SOCKET,
        },
    )
    return celery
