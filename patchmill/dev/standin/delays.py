"""How long things take: a fixed number of milliseconds, or a distribution to draw from."""

import math
import random
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

_LONGEST_MS = 3_600_000
# The 95th percentile of the normal distribution.
_P95 = 1.6448536269514722

Milliseconds = Annotated[int, Field(ge=0, le=_LONGEST_MS)]


class _Distribution(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Uniform(_Distribution):
    """Every length between the two ends is as likely."""

    min_ms: Milliseconds
    max_ms: Milliseconds

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.max_ms < self.min_ms:
            raise ValueError("max_ms is below min_ms")
        return self

    def draw(self, chance: random.Random) -> int:
        """One length, in milliseconds."""
        return chance.randint(self.min_ms, self.max_ms)


class Lognormal(_Distribution):
    """Half of the lengths are below the median, and 95 of 100 below p95; a few are very long."""

    median_ms: Annotated[int, Field(ge=1, le=_LONGEST_MS)]
    p95_ms: Annotated[int, Field(ge=1, le=_LONGEST_MS)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.p95_ms < self.median_ms:
            raise ValueError("p95_ms is below median_ms")
        return self

    def draw(self, chance: random.Random) -> int:
        """One length, in milliseconds."""
        spread = math.log(self.p95_ms / self.median_ms) / _P95
        return min(_LONGEST_MS, round(chance.lognormvariate(math.log(self.median_ms), spread)))


def _kind(value: Any) -> str:
    if isinstance(value, Lognormal) or (isinstance(value, dict) and {"median_ms", "p95_ms"} & value.keys()):
        return "lognormal"
    return "uniform" if isinstance(value, dict | Uniform) else "fixed"


KINDS = frozenset({"fixed", "uniform", "lognormal"})
Delay = Annotated[
    Annotated[Milliseconds, Tag("fixed")]
    | Annotated[Uniform, Tag("uniform")]
    | Annotated[Lognormal, Tag("lognormal")],
    Discriminator(_kind),
]


def draw(delay: Delay, chance: random.Random) -> int:
    """One length in milliseconds."""
    return delay if isinstance(delay, int) else delay.draw(chance)
