"""What `patchmill doctor` sees on this host: Postgres and Redis if they are set, and the checkers."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import redis as redis_client
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from patchmill.budget.prices import rates_at
from patchmill.cli.checkers_at_hand import missing, versions
from patchmill.cli.database import connected
from patchmill.cli.doctor_calls import pauses
from patchmill.cli.doctor_line import Line
from patchmill.cli.exits import exit_of
from patchmill.cli.masking import masked_url
from patchmill.cli.pausing import documents_of_pauses
from patchmill.cli.talk import some
from patchmill.errors import ConfigurationError, PatchmillError, Unavailable
from patchmill.settings import Settings, check_redis_url
from patchmill.store import retention, schema, workers
from patchmill.store.drift import drift, rebuild
from patchmill.store.prices import prices_of
from patchmill.verify.process.confinement import confinement
from patchmill.verify.process.program import EXTRA

TIMEOUT_S = 5.0
TOLD = 3  # of what differs from the ledger
_TOO_LONG = "57014"


def postgres(settings: Settings, *, repair: bool = False) -> Iterator[Line]:
    """Look at the database, if its address is set: schema, prices of the models, workers, and the ledger.

    With `repair` counters that differ from the ledger are set to what it adds up to.
    """
    if settings.database_url is None or not settings.database_url.get_secret_value():
        return
    url = settings.database_url.get_secret_value()
    try:
        with connected(url) as engine:
            standing = schema.standing(engine)
            yield Line.ok("postgres", f"{masked_url(url)} answers")
            yield _schema(standing)
            if standing is schema.Standing.OLDER:
                return
            yield from _contents(engine, settings)
            yield _ledger(engine, repair=repair)
            yield _retention(engine, settings.retention_days)
    except PatchmillError as error:
        advice = "is PATCHMILL_DATABASE_URL right, and does Postgres run?"
        yield Line.fail("postgres", str(error), advice, exit_of(error))


def redis(settings: Settings) -> Iterator[Line]:
    """Look at Redis or Valkey, if its address is set."""
    if settings.redis_url is None or not settings.redis_url.get_secret_value():
        return
    url = settings.redis_url.get_secret_value()
    try:
        check_redis_url(url, trusted_network=settings.redis_trusted_network)
        with redis_client.Redis.from_url(
            url, socket_connect_timeout=TIMEOUT_S, socket_timeout=TIMEOUT_S
        ) as found:
            found.ping()
    except ConfigurationError as error:
        yield Line.fail("redis", str(error), "correct PATCHMILL_REDIS_URL", exit_of(error))
    except (redis_client.RedisError, OSError) as error:
        yield Line.fail(
            "redis",
            f"{masked_url(url)} does not answer: {error}",
            "is PATCHMILL_REDIS_URL right, and does it run?",
        )
    else:
        yield Line.ok("redis", f"{masked_url(url)} answers")


def checkers(_: Settings) -> Iterator[Line]:
    """Look at the checkers that come with Patchmill, those of its extra, and what holds them."""
    for name, version in versions().items():
        yield _checker(name, version)
    absent = missing()
    if absent:
        yield Line.ok("checkers", f"without {', '.join(absent)}, which {EXTRA} brings")
    yield _confined()


def _confined() -> Line:
    """Say what a checker's process is kept from, beside its limits of time, memory, files and output."""
    found = confinement()
    free = [
        what
        for what, held in (("reach the network", found.network), ("start many processes", found.processes))
        if not held
    ]
    if not free:
        return Line.ok("sandbox", "checkers run without a network, and with few processes")
    advice = "allow the service user namespaces, or keep it from the network in another way"
    return Line.warn("sandbox", f"a checker's process could {' and '.join(free)}", advice)


def _checker(name: str, version: Callable[[], str]) -> Line:
    try:
        return Line.ok(name, version())
    except Unavailable as error:
        return Line.fail(name, str(error), "install patchmill again")


def _schema(standing: schema.Standing) -> Line:
    if standing is schema.Standing.OLDER:
        return Line.fail("schema", "is not that of this version", "run `patchmill migrate`")
    if standing is schema.Standing.NEWER:
        advice = "good while that version is rolled out; then install it here, too"
        return Line.warn("schema", "is that of a newer version", advice)
    return Line.ok("schema", "is that of this version")


def _contents(engine: Engine, settings: Settings) -> Iterator[Line]:
    with engine.begin() as connection:
        models = (settings.model, settings.escalation_model)
        now = datetime.now(UTC)
        without = [model for model in models if rates_at(prices_of(connection, model), now) is None]
        live = workers.count_live(connection, lease_ttl_s=settings.lease_ttl_s)
        paused = documents_of_pauses(connection)
    yield from pauses(paused)
    if without:
        advice = f"nothing is sent to a model without a price; `patchmill prices add {without[0]} …` adds one"
        yield Line.fail("prices", f"there is none for {' and '.join(without)}", advice)
    else:
        yield Line.ok("prices", f"known for {' and '.join(dict.fromkeys(models))}")
    if live:
        yield Line.ok("workers", f"{live} at work")
    else:
        yield Line.warn("workers", "none is at work", "start one with `python -m worker`")


def _ledger(engine: Engine, *, repair: bool) -> Line:
    """Hold the counters of budgets' windows and of jobs beside the ledger that they are a cache of."""
    try:
        with engine.begin() as connection:
            differs = rebuild(connection, actor="host") if repair else drift(connection)
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) != _TOO_LONG:
            raise
        advice = "look again when less goes on"
        return Line.warn("ledger", "is too long to be added up within a minute", advice)
    if not differs:
        return Line.ok("ledger", "adds up to what windows and jobs count")
    told = "; ".join([str(each) for each in differs[:TOLD]] + ["and more"] * (len(differs) > TOLD))
    if repair:
        return Line.ok("ledger", f"{len(differs)} set to what it adds up to: {told}")
    advice = "keep a copy for whoever looks for the cause; `patchmill doctor --repair` sets them right"
    return Line.fail("ledger", f"{len(differs)} count differently: {told}", advice)


def _retention(engine: Engine, days: int) -> Line:
    """Say since when what ended is kept, and whether what is older is pruned as it should be."""
    with engine.begin() as connection:
        standing = retention.standing(connection, days=days, now=datetime.now(UTC))
    since = (
        "nothing has ended yet" if standing.oldest is None else f"the oldest ended {standing.oldest:%Y-%m-%d}"
    )
    if standing.due:
        many = "at least " if standing.due >= retention.COUNTED else ""
        detail = f"{since}; {many}{standing.due} jobs and runs are due to be pruned"
        return Line.warn("retention", detail, "workers prune a little each second; is one at work?")
    rule = f"kept for {some(days, 'day')}" if days else "kept for ever"
    return Line.ok("retention", f"{since}; {rule} where a project sets nothing else")
