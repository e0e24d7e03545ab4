"""What jobs of a kind have taken so far, as medians: what the next one will probably take."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median_high

from patchmill.job.record import KindName

ENOUGH_JOBS = 10  # fewer say too little
BYTES_IN_UNIT = 1_000


class Source(StrEnum):
    """Whose jobs taught it."""

    PROJECT = "project"
    INSTALLATION = "installation"
    CONSTANTS = "constants"  # there are too few jobs


@dataclass(frozen=True, slots=True, kw_only=True)
class PastJob:
    """What a job that asked a model took.

    `units` is how much was asked: findings that no tool's safe fix came with, at least one; of an annotate
    job each thousand bytes of the file.
    """

    calls: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    units: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Experience:
    """How jobs of a kind went: the calls of one, the output tokens of one call and unit, in the middle.

    `cached_percent` is the share of all input that came from the gateway's cache.
    """

    source: Source
    jobs: int
    calls: int
    output_tokens: int
    cached_percent: int


# Measured on real repairs before there was a service: the median lint fix in search/replace blocks takes 110
# tokens, and an annotated file of 4,300 bytes 387.
UNTRIED = {
    KindName.FIX: Experience(source=Source.CONSTANTS, jobs=0, calls=1, output_tokens=110, cached_percent=0),
    KindName.ANNOTATE: Experience(
        source=Source.CONSTANTS, jobs=0, calls=1, output_tokens=90, cached_percent=0
    ),
}


def experience_of(past: Sequence[PastJob], source: Source) -> Experience | None:
    """Learn from jobs that have ended; None if they are too few, or the gateway never said what they took."""
    told = [each for each in past if each.output_tokens]
    if len(told) < ENOUGH_JOBS:
        return None
    entered = sum(each.input_tokens for each in told)
    return Experience(
        source=source,
        jobs=len(told),
        calls=median_high(each.calls for each in told),
        output_tokens=median_high(-(-each.output_tokens // (each.calls * each.units)) for each in told),
        cached_percent=100 * sum(each.cached_tokens for each in told) // max(1, entered),
    )
