"""Composition of a worker process: settings in, a running Celery worker with its clock and lease out."""

import os
import signal
import threading
import time
import warnings

from celery import Celery
from celery.exceptions import SecurityWarning
from celery.signals import setup_logging, worker_ready, worker_shutting_down
from celery.worker import state as celery_state
from kombu.asynchronous import set_event_loop

from patchmill import __version__
from patchmill.call.clocks import Clocks
from patchmill.call.gateway import Gateway
from patchmill.call.loop import CallLoop
from patchmill.call.prompt import prompt_versions
from patchmill.job.ladder import Policy
from patchmill.job.retry import UnknownPolicy
from patchmill.job.work import terms_key
from patchmill.queue.app import QUEUES, make_celery
from patchmill.queue.dispatch import Broker, MessageTemplate
from patchmill.queue.slots import SlotLeases
from patchmill.settings import Settings, gateway_key, services
from patchmill.store import shared_time
from patchmill.store.engine import open_engine
from patchmill.telemetry import get_logger
from worker.capabilities import Capabilities
from worker.circuits import Circuits
from worker.clock import Clock, window_for
from worker.lease import Lease
from worker.outage import wait_for_schema
from worker.pauses import Pauses
from worker.price_lists import PriceLists
from worker.process import Process
from worker.quota import QuotaNote
from worker.reconciler import Reconciler
from worker.slots import SlotKeeper
from worker.tasks import register

BEGIN_EVERY_S = 1.0  # at most, where messages make Celery break off
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
# A round trip less in each transaction of a job: every write here can be repeated, and a connection that
# was closed is noticed without it. Who drops one in silence, as firewalls do, does so after a longer rest.
PING_AFTER_S = 30.0
SPARE_CONNECTIONS = 4  # beside those of the jobs: for the clock and for the lease

log = get_logger(__name__)


class WorkerApp:
    """One worker process, composed; `run` blocks until it has stopped."""

    def __init__(self, settings: Settings) -> None:
        where = services(settings)
        self._grace_s = settings.stop_grace_s
        self._threads = window_for(settings.gateway_concurrency)  # a process alone keeps all slots full
        engine = open_engine(
            where.database_url,
            pool_size=min(self._threads, 12) + SPARE_CONNECTIONS,
            ping_after_s=PING_AFTER_S,
        )
        gateway = Gateway(
            base_url=settings.gateway_url,
            api_key=gateway_key(settings),
            now=shared_time.now,
            clocks=Clocks(
                connect_s=settings.connect_timeout_s,
                first_data_s=settings.first_data_timeout_s,
                progress_s=settings.progress_timeout_s,
            ),
        )
        calls = CallLoop(gateway, limit=0, on_death=_stop_this_process)
        lease = Lease(open_engine(where.database_url, pool_size=1), ttl_s=settings.lease_ttl_s)
        self._celery: Celery = make_celery(where.redis_url, concurrency=self._threads)
        template = MessageTemplate(self._celery)
        self._process = Process(
            engine=engine,
            calls=calls,
            lease=lease,
            broker=Broker(where.redis_url, max_connections=self._threads + SPARE_CONNECTIONS),
            circuits=Circuits(engine),
            pauses=Pauses(engine),
            capabilities=Capabilities(engine),
            prices=PriceLists(engine),
            quota=QuotaNote(engine),
            policy=_policy(settings),
            call_deadline_s=settings.call_deadline_s,
            terms=_terms(settings),
        )
        self._slots = SlotKeeper(
            calls.slots,
            SlotLeases(where.redis_url),
            process=str(lease.worker_id),
            cap=settings.gateway_concurrency,
        )
        self._clock = Clock(
            self._process,
            template,
            slots=self._slots,
            reconciler=Reconciler(
                engine,
                base_url=settings.gateway_url,
                api_key=gateway_key(settings),
                alone=settings.gateway_account_exclusive,
            ),
            lease_ttl_s=settings.lease_ttl_s,
            retention_days=settings.retention_days,
        )
        register(self._celery, self._process)

    def run(self) -> None:
        """Work until TERM; then finish what runs within the grace, and leave the rest to the others."""
        # Celery warns root of pickled messages; this worker accepts JSON alone.
        warnings.filterwarnings("ignore", category=SecurityWarning)
        setup_logging.connect(_keep_logging, weak=False)
        worker_ready.connect(self._on_ready, weak=False)
        worker_shutting_down.connect(self._on_shutdown, weak=False)
        if self._is_stopped_before_schema():
            log.info("worker stopped")
            return
        self._process.calls.start()
        self._process.lease.start()
        self._slots.start()
        self._clock.start()  # also where Redis is not to be had: jobs are run without it
        while celery_state.should_stop is None:
            self._consume()
        self._end()

    def _is_stopped_before_schema(self) -> bool:
        """Wait for this version's schema; True if told to stop before. Nothing runs yet that needs an end."""
        for number in STOP_SIGNALS:
            signal.signal(number, _stop_waiting)
        try:
            wait_for_schema(self._process.engine)
            for number in STOP_SIGNALS:
                signal.signal(number, _stop_celery)  # until Celery, once it is up, takes them over
        except _Stopped:
            return True
        return False

    def _consume(self) -> None:
        """Take messages until TERM, or until one comes that Celery cannot even read: then begin afresh.

        The jobs that run are not disturbed. Celery puts some such messages back, so this is done at a pace.
        """
        set_event_loop(None)  # the one of an earlier round is closed
        next_at = time.monotonic() + BEGIN_EVERY_S
        try:
            self._celery.Worker(
                pool="threads",
                concurrency=self._threads,
                queues=QUEUES,
                loglevel="WARNING",
                quiet=True,
                without_gossip=True,
                without_mingle=True,
                without_heartbeat=True,
            ).start()
        except Exception:
            log.exception("celery broke off; it begins afresh")
        if celery_state.should_stop is None:
            self._process.stopping.wait(max(0.0, next_at - time.monotonic()))

    def _on_ready(self, **_: object) -> None:
        log.info("worker ready", worker=self._process.lease.name, threads=self._threads)

    def _on_shutdown(self, **_: object) -> None:
        """Celery's thread pool would wait for its threads for ever: a watch ends the process for it."""
        log.info("stopping", running=len(self._process.running), grace_s=self._grace_s)
        self._process.lease.drain()
        self._process.calls.slots.close()
        watch = threading.Timer(self._grace_s, self._give_up)
        watch.daemon = True
        watch.start()

    def _give_up(self) -> None:
        log.warning(
            "grace is over; running jobs are left to other workers", running=len(self._process.running)
        )
        self._process.stopping.set()
        self._process.lease.end()
        os._exit(1)

    def _end(self) -> None:
        if not self._process.lease.draining:  # told to stop before Celery was up
            self._on_shutdown()
        self._clock.stop()
        self._process.stopping.set()
        self._process.calls.stop()
        self._slots.stop()
        self._process.lease.end()
        self._process.broker.close()
        self._process.engine.dispose()
        log.info("worker stopped")


def _policy(settings: Settings) -> Policy:
    return Policy(
        model=settings.model,
        escalation_model=settings.escalation_model,
        fallback_model=settings.fallback_model,
        unknown=UnknownPolicy(settings.unknown_policy),
    )


def _terms(settings: Settings) -> bytes:
    return terms_key(
        _policy(settings), prompts=prompt_versions(), gateway=settings.gateway_url, version=__version__
    )


def _stop_this_process() -> None:
    """End like after TERM: without calls this process would only take jobs from others."""
    os.kill(os.getpid(), signal.SIGTERM)


class _Stopped(BaseException):
    """A signal to stop came before anything was started.

    Not an Exception: it may come while a line is logged, and logging swallows those.
    """


def _stop_waiting(*_: object) -> None:
    raise _Stopped


def _stop_celery(*_: object) -> None:
    """Let Celery stop as soon as it looks, which it does before it takes anything."""
    celery_state.should_stop = 0


def _keep_logging(**_: object) -> None:
    """Take the set-up of logging from Celery, which leaves it alone when somebody answers this signal."""
