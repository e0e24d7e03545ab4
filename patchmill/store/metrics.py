"""The last hour's calls in sums: outcomes, oddities, and how much of the prompts the cache served."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import timedelta

from sqlalchemy import BigInteger, Connection, bindparam, cast, func, select

from patchmill.store import shared_time
from patchmill.store.ids import first_id
from patchmill.store.tables import calls

WINDOW = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheUse:
    """Prompt tokens of one model's settled calls with one version of the fixed prompt."""

    model: str
    prompt_version: str
    calls: int
    input_tokens: int
    cached_tokens: int

    @property
    def cached_share(self) -> float:
        """The part of the input that the gateway's cache served, from 0 to 1."""
        return self.cached_tokens / self.input_tokens if self.input_tokens else 0.0


_LATELY = calls.c.id >= bindparam("first")
_CACHE = (
    select(
        calls.c.model,
        calls.c.prompt_version,
        func.count().label("calls"),
        cast(func.sum(calls.c.input_tokens), BigInteger).label("input_tokens"),
        cast(func.sum(calls.c.cached_tokens), BigInteger).label("cached_tokens"),
    )
    .where(_LATELY, calls.c.state == "settled", calls.c.prompt_version.is_not(None))
    .group_by(calls.c.model, calls.c.prompt_version)
    .order_by(calls.c.model, calls.c.prompt_version)
)
_OUTCOME = func.coalesce(calls.c.failure, calls.c.state)
_OUTCOMES = (
    select(calls.c.model, _OUTCOME.label("outcome"), func.count().label("calls"))
    .where(_LATELY)
    .group_by(calls.c.model, _OUTCOME)
)
_ANOMALY = func.unnest(calls.c.anomalies).label("anomaly")
_ODD = select(_ANOMALY).where(_LATELY).subquery("odd")
_ANOMALIES = select(_ODD.c.anomaly, func.count().label("calls")).group_by(_ODD.c.anomaly)


def cache_use(connection: Connection) -> list[CacheUse]:
    """Sum up the prompts of the last hour by model and prompt version."""
    rows = connection.execute(_CACHE, _since()).mappings()
    return [CacheUse(**{field.name: row[field.name] for field in fields(CacheUse)}) for row in rows]


def outcomes(connection: Connection) -> Sequence[tuple[tuple[str, str], int]]:
    """Count the calls of the last hour by model and by failure class, or state where they did not fail."""
    rows = connection.execute(_OUTCOMES, _since())
    return [((row.model, row.outcome), row.calls) for row in rows]


def anomalies(connection: Connection) -> Sequence[tuple[tuple[str], int]]:
    """Count what was odd about answers of the last hour that were taken all the same."""
    return [((row.anomaly,), row.calls) for row in connection.execute(_ANOMALIES, _since())]


def _since() -> dict[str, object]:
    return {"first": first_id(shared_time.now() - WINDOW)}
