"""Cases of the development set through real processes, with a stand-in that knows their answers."""

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from patchmill.client import Client
from patchmill.dev.standin.gateway import Options
from patchmill.dev.standin.known_answers import KnownAnswers
from patchmill.dev.standin.players import Player
from patchmill.evaluate.cases import DEVELOPMENT, Case, case_files, read_cases
from patchmill.evaluate.result import Result
from patchmill.evaluate.running import Evaluation, Plan
from tests.support.stack import Stack, standing

# A busy machine must lose no job: nothing here is about leases and deadlines.
PATIENT = {"PATCHMILL_LEASE_TTL_S": "30", "PATCHMILL_CALL_DEADLINE_S": "120"}


def known_answers() -> KnownAnswers:
    """The answers of the development set, as the stand-in reads them."""
    return KnownAnswers.read(case_files(DEVELOPMENT))


def some_cases(count: int, *, seed: int) -> list[Case]:
    """Draw so many cases of the development set; all of them if there are no more."""
    cases = read_cases(DEVELOPMENT)
    return cases if count >= len(cases) else random.Random(seed).sample(cases, count)


@contextmanager
def played(database_url: str, redis_url: str, folder: Path, player: Player) -> Iterator[Stack]:
    """Run an API and a worker whose model is the player."""
    with standing(database_url, redis_url, folder, Options(player=player, org_quota_usd=100_000)) as stack:
        stack.settings = PATIENT
        stack.start_api()
        stack.start("worker")
        yield stack


def evaluated(stack: Stack, plan: Plan, *, deadline_s: float) -> list[Result]:
    """Run a plan to its end, or fail when that takes too long."""
    end = time.monotonic() + deadline_s

    def check() -> None:
        if time.monotonic() > end:
            pytest.fail(f"the evaluation has not ended within {deadline_s} s")

    with Client(stack.api_url, stack.key) as client:
        evaluation = Evaluation(plan=plan, client=client)
        evaluation.run(check=check, tell=lambda *_: None)
    return evaluation.results


def told(results: Sequence[Result]) -> str:
    """What the judge says of results, for a failing test to show."""
    return "\n".join(
        f"{result.case.id} ({result.edit_format}): {result.end}: {one.fault}: {one.detail}: {result.answers}"
        for result in results
        for one in result.escapes
    )
