"""A trial of models, one after the other: each call is small, within the purse, and never made twice."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from patchmill.budget.models import ModelCapability
from patchmill.call.loop import CallLoop
from patchmill.call.reply import Anomaly, Answered, CallOutcome, Rejected, Unknown
from patchmill.call.request import ChatRequest, request_document
from patchmill.call.trial.probes import Feature, Finding, Found, counting, keeps_max_tokens, probe
from patchmill.call.trial.purse import CapReached, Purse
from patchmill.job.failure import FailureClass

CALL_DEADLINE_S = 20.0
SHORTEST_CALL_S = 1.0
PAUSE_S = 1.5  # before the one more try that a gateway gets that is busy
_BUSY = {FailureClass.CONCURRENCY, FailureClass.SERVER}
_OF_ALL = {FailureClass.ACCOUNT, FailureClass.SPEND_CAP, FailureClass.CONNECT}
_STREAMING = frozenset({"stream", "stream_options"})
_TRIED_FIELDS = _STREAMING | {"tools", "tool_choice", "response_format", "reasoning"}


class NoModelAnswers(Exception):
    """A call ended in a way that every other one would, too: the account, or the way to the gateway."""

    def __init__(self, outcome: Rejected) -> None:
        super().__init__(outcome.failure.message)
        self.outcome = outcome


class TimeIsUp(Exception):
    """No time is left for another call."""


@dataclass(slots=True, kw_only=True)
class ModelTrial:
    """What was found out about one model; what stayed None was not found out.

    `failed` is what the first call came to, if that was no answer: then nothing else was tried. `first` is
    its answer. `taken` and `refused` are the optional fields that were tried.
    """

    model: str
    known: ModelCapability
    failed: Rejected | Unknown | None = None
    not_tried: str | None = None
    first: Answered | None = None
    streamed: bool = False
    keeps_max_tokens: bool | None = None
    usage_in_plain: bool | None = None
    taken: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    features: dict[Feature, Finding] = field(default_factory=dict)
    anomalies: set[Anomaly] = field(default_factory=set)

    @property
    def usage_in_streams(self) -> bool | None:
        """Whether a stream told what it cost; None if none came."""
        return self.first.usage is not None if self.first is not None and self.streamed else None

    def learned(self, told: Mapping[str, int]) -> dict[str, Any]:
        """Give what a trial found, to be stored as the model's capability; `told` are limits in tokens.

        What was not tried stays as it was known.
        """
        fields = ((self.known.fields - self.known.dropped) | self.taken) - self.refused
        found: dict[str, Any] = {"fields": sorted(fields), **told}
        if self.usage_in_streams is not None:
            found["usage_in_streams"] = self.usage_in_streams
        for feature in (Feature.JSON_OBJECT, Feature.JSON_SCHEMA):
            finding = self.features.get(feature)
            if finding is not None and finding.found not in {Found.NOT_TRIED, Found.FAILED}:
                found[feature] = finding.found in {Found.WORKS, Found.FENCED, Found.CUT}
        return found


class Trial:
    """Tries models until `ends_at` of the monotonic clock; `tell` hears what is tried next.

    A call is only made while its worst case is left in the purse.
    """

    def __init__(
        self, calls: CallLoop, purse: Purse, *, ends_at: float, tell: Callable[[str], None] = lambda _: None
    ) -> None:
        self._calls = calls
        self._purse = purse
        self._ends_at = ends_at
        self._tell = tell

    def run(self, model: str, known: ModelCapability, *, documented: ModelCapability) -> ModelTrial:
        """Try one model, of which this is known; reasoning only where it is documented.

        Raises:
            NoModelAnswers: there is no use in trying others.
        """
        trial = ModelTrial(model=model, known=known)
        try:
            self._count(trial)
        except CapReached:
            trial.not_tried = "what is left of the cap might not be enough"
        except TimeIsUp:
            trial.not_tried = "no time was left"
        if trial.first is None:
            return trial
        for feature in Feature:
            if feature is not Feature.REASONING or "reasoning" in documented.fields:
                trial.features[feature] = self._try(feature, trial)
        return trial

    def _count(self, trial: ModelTrial) -> None:
        """Make the first call, which says most: reach, times, usage of streams, `max_tokens`."""
        self._tell(f"{trial.model}: stream")
        request = counting(trial.model, _asking_all(trial))
        request, outcome = self._ask(request, trial, spared=frozenset())
        if not isinstance(outcome, Answered):
            trial.failed = outcome
            return
        trial.first, trial.streamed = outcome, request.streamed
        trial.taken |= _STREAMING & _sent(request)
        trial.keeps_max_tokens = keeps_max_tokens(outcome)

    def _try(self, feature: Feature, trial: ModelTrial) -> Finding:
        self._tell(f"{trial.model}: {feature}")
        asked = probe(feature, trial.model, _asking_all(trial))
        try:
            request, outcome = self._ask(asked.request, trial, spared=asked.fields)
        except CapReached:
            return Finding(found=Found.NOT_TRIED, said="what is left of the cap might not be enough")
        except TimeIsUp:
            return Finding(found=Found.NOT_TRIED, said="no time was left")
        if isinstance(outcome, Answered):
            trial.usage_in_plain = trial.usage_in_plain is not False and outcome.usage is not None
            trial.taken |= _TRIED_FIELDS & _sent(request) - _STREAMING
            return asked.read(outcome)
        if isinstance(outcome, Rejected) and outcome.failure.failure is FailureClass.REQUEST:
            # That one format is refused says nothing of the other, which goes by the same field.
            trial.refused |= asked.fields - {"response_format"}
            return Finding(found=Found.REFUSED, said=outcome.failure.message)
        return Finding(found=Found.FAILED, said=outcome.failure.message)

    def _ask(
        self, request: ChatRequest, trial: ModelTrial, *, spared: frozenset[str]
    ) -> tuple[ChatRequest, CallOutcome]:
        """Call, again without each field that is refused by name, but for those that are to be tried."""
        waited = False
        while True:
            outcome = self._call(request)
            if isinstance(outcome, Answered):
                trial.anomalies |= set(outcome.anomalies)
                return request, outcome
            if not isinstance(outcome, Rejected):
                return request, outcome
            kind, named = outcome.failure.failure, outcome.parameter
            if kind in _OF_ALL:
                raise NoModelAnswers(outcome)
            if kind in _BUSY and not waited:
                threading.Event().wait(PAUSE_S)
                waited = True
            elif named is not None and named not in spared and named not in trial.refused:
                trial.refused.add(named)
                request = replace(request, capability=_asking_all(trial))
            else:
                return request, outcome

    def _call(self, request: ChatRequest) -> CallOutcome:
        left_s = self._ends_at - time.monotonic()
        if left_s < SHORTEST_CALL_S:
            raise TimeIsUp
        self._purse.check(request)
        outcome = self._calls.call(request, deadline_s=min(left_s, CALL_DEADLINE_S))
        self._purse.settle(request, outcome)
        return outcome


def _asking_all(trial: ModelTrial) -> ModelCapability:
    """Give the capability that lets everything be asked but what the model has refused here."""
    return replace(
        trial.known,
        fields=_TRIED_FIELDS - trial.refused,
        json_object=True,
        json_schema=True,
        usage_in_streams=True,
        dropped=frozenset(),
    )


def _sent(request: ChatRequest) -> set[str]:
    return set(request_document(request))
