from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from api.dashboard.sentences import ANOMALIES, REASONS, SKIPPED, WAITS, wait_of
from api.live_shapes import SkippedRung
from patchmill.call.reply import Anomaly
from patchmill.job.circuit import GATEWAY, Circuit, Condition, Why
from patchmill.job.state import WaitReason

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LATER, EARLIER = NOW + timedelta(minutes=15), NOW + timedelta(minutes=5)


def circuit(name: str, state: Condition, why: Why, **more: datetime) -> Circuit:
    until, probe_at = more.get("until"), more.get("probe_at")
    return Circuit(
        name=name, state=state, why=why, message="", since=NOW, probes=0, until=until, probe_at=probe_at
    )


def test_every_code_has_its_words() -> None:
    assert set(REASONS) == set(Why)
    assert set(WAITS) == set(WaitReason)
    assert set(SKIPPED) == set(get_args(SkippedRung.model_fields["reason"].annotation))
    assert set(ANOMALIES) == set(Anomaly)


PAUSED = circuit(GATEWAY, Condition.PAUSED, Why.INSUFFICIENT_BALANCE, probe_at=EARLIER)
CAPPED = circuit(GATEWAY, Condition.PAUSED, Why.SPEND_CAP, until=EARLIER)
BY_HAND = circuit(GATEWAY, Condition.PAUSED, Why.OPERATOR)
FAILING = circuit("pro", Condition.DOWN, Why.FAILING, probe_at=EARLIER)
OFF = circuit("v3", Condition.OFF, Why.MODEL_NOT_FOUND, probe_at=NOW)


@pytest.mark.parametrize(
    ("reason", "open_ones", "why", "until", "at"),
    [
        (
            WaitReason.GATEWAY_ACCOUNT,
            [PAUSED],
            "wallet at the gateway is empty",
            "the next try is at",
            EARLIER,
        ),
        (WaitReason.GATEWAY_ACCOUNT, [BY_HAND], "paused all calls", "when calls are resumed", None),
        (WaitReason.RATE_LIMIT, [CAPPED], "reached a spend cap", "goes on at", EARLIER),
        (WaitReason.RATE_LIMIT, [PAUSED], "asked to wait", "goes on at", LATER),
        (WaitReason.GATEWAY_DOWN, [OFF, FAILING], "pro fails again and again", "the next try is at", EARLIER),
        (WaitReason.GATEWAY_DOWN, [OFF], "cannot be reached", "goes on at", LATER),
        (WaitReason.GATEWAY_ACCOUNT, [], "lets this account make no call", "goes on at", LATER),
        (WaitReason.BUDGET, [PAUSED], "A budget has no room", "goes on when there is room", LATER),
        (WaitReason.RETRY, [PAUSED], "A call failed", "goes on at", LATER),
    ],
)
def test_a_wait_is_told_with_what_ends_it(
    reason: WaitReason, open_ones: list[Circuit], why: str, until: str, at: datetime | None
) -> None:
    told = wait_of(reason, LATER, {each.name: each for each in open_ones})

    assert why in told.why
    assert until in told.until
    assert told.at == at
