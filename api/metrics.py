"""`GET /metrics`: the installation in numbers, for Prometheus; counted when asked, from Postgres.

There are no names of projects, files or people in it, and no money; it needs no key.
"""

from collections.abc import Iterable, Iterator
from http import HTTPStatus

from fastapi import APIRouter, Depends, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from api.openapi import problems
from api.parts import Parts, PartsOf
from api.query import refuse_unknown
from patchmill.errors import InvalidFields, PatchmillError, Unavailable
from patchmill.store import (
    accounts,
    circuits,
    decisions,
    metrics,
    reconciliations,
    retention,
    shared_time,
    stats,
)
from patchmill.store.reconciliations import LOOKS_BACK

router = APIRouter(tags=["health"], dependencies=[Depends(refuse_unknown())])


@router.get(
    "/metrics",
    summary="Read the metrics",
    response_class=Response,
    responses={
        int(HTTPStatus.OK): {
            "description": "The metrics, in Prometheus' text format.",
            "content": {
                "text/plain": {"schema": {"type": "string"}, "example": "patchmill_slots_used 3.0\n"}
            },
        },
        **problems(InvalidFields, everywhere=[PatchmillError, Unavailable]),
    },
)
def read_metrics(parts: PartsOf) -> Response:
    """Give the numbers of the moment, and sums over the calls of the last hour."""
    registry = CollectorRegistry()
    registry.register(_Numbers(parts))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class _Numbers(Collector):
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Describe nothing beforehand, so that registering does not collect."""
        yield from ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Read everything in one transaction."""
        at = shared_time.now()
        with self._parts.database.begin() as connection:
            now = stats.stats(connection, None, lease_ttl_s=self._parts.lease_ttl_s)
            open_ones = circuits.open_ones(connection)
            cache = metrics.cache_use(connection)
            outcomes = metrics.outcomes(connection)
            odd = metrics.anomalies(connection)
            account = accounts.read(connection)
            drift = reconciliations.drift_by_model(connection, since=at - LOOKS_BACK)
            uncertain = decisions.count_uncertain(connection)
            kept = retention.standing(connection, days=self._parts.retention_days, now=at)
        jobs = [((state,), getattr(now, state)) for state in ("queued", "waiting", "dispatched", "running")]
        opened = [((each.name, each.why or ""), 1) for each in open_ones.values()]
        by_prompt = [((use.model, use.prompt_version), use) for use in cache]
        yield _gauge("jobs", "jobs that have not ended", ("state",), jobs)
        yield _number("oldest_queued_seconds", "since the longest due job is due", now.oldest_queued_s)
        yield _number("workers", "worker processes that live", now.workers)
        slots = self._parts.slots.read(on_the_wire=now.on_the_wire)
        yield _number("slots_limit", "calls that may be in flight now", slots.limit)
        yield _number("slots_used", "calls in flight", slots.used)
        yield _gauge("circuit_open", "1 while it is not called", ("circuit", "why"), opened)
        yield _gauge(
            "prompt_cached_share",
            "part of the input of the last hour's calls that the gateway's cache served, from 0 to 1",
            ("model", "prompt_version"),
            [(labels, use.cached_share) for labels, use in by_prompt],
        )
        yield _gauge(
            "prompt_input_tokens",
            "input tokens of the last hour's calls",
            ("model", "prompt_version"),
            [(labels, use.input_tokens) for labels, use in by_prompt],
        )
        yield _gauge("calls", "calls of the last hour", ("model", "outcome"), outcomes)
        yield _gauge("call_anomalies", "odd answers of the last hour", ("anomaly",), odd)
        yield _number("uncertain_calls", "calls that may have been billed or not", uncertain)
        yield _gauge("drift_hours", "hours in which account and ledger differ unexplained", ("model",), drift)
        yield _number("retention_due", "jobs and runs past their age, at most 1000 of each", kept.due)
        if kept.oldest is not None:
            age_s = (at - kept.oldest).total_seconds()
            yield _number("oldest_ended_seconds", "since the oldest that is kept ended", age_s)
        if account is not None and account.looked_at is not None:
            age_s = (at - account.looked_at).total_seconds()
            yield _number("account_age_seconds", "since the gateway's account was read", age_s)


def _gauge(
    name: str, text: str, labels: tuple[str, ...], samples: Iterable[tuple[tuple[str, ...], float]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"patchmill_{name}", text, labels=labels)
    for values, number in samples:
        family.add_metric(values, number)
    return family


def _number(name: str, text: str, value: float) -> GaugeMetricFamily:
    return _gauge(name, text, (), [((), value)])
