"""What each model can be asked, as this process knows it: the documents, trials, and what models refused."""

import threading
from collections import Counter
from collections.abc import Mapping

from sqlalchemy import Engine

from patchmill.budget.models import ModelCapability, capability_of, with_learned
from patchmill.call.reply import Anomaly, Answered
from patchmill.call.request import ChatRequest
from patchmill.store import models
from patchmill.store.models import LearnedModel
from patchmill.telemetry import get_logger

# So many streamed answers in a row that did not say what they cost, and the model is called unstreamed: soon,
# if no stream of it ever said so here, and where one did only once that cannot be bad luck any more.
STREAMS_WITHOUT_USAGE = 3
STREAMS_WITHOUT_USAGE_ANY_MORE = 20

log = get_logger(__name__)


class Capabilities:
    """The capabilities of this process; every method may be called from any thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._learned: Mapping[str, LearnedModel] | None = None
        self._silent: Counter[str] = Counter()
        self._telling: set[str] = set()

    def refresh(self) -> None:
        """Read what was learned, by whichever process."""
        with self._engine.begin() as connection:
            self._learned = models.learned(connection)

    def of(self, model: str) -> ModelCapability:
        """Give what a model can be asked."""
        if self._learned is None:
            self.refresh()
        learned = (self._learned or {}).get(model)
        known = capability_of(model)
        return known if learned is None else with_learned(known, learned.capability, learned.dropped)

    def drop(self, model: str, parameter: str) -> bool:
        """Remember for all that a model refuses a parameter; False when this process knew that."""
        if not self.of(model).takes(parameter):
            return False
        with self._engine.begin() as connection:
            models.drop_parameter(connection, model, parameter)
        self.refresh()
        log.warning("the model refuses a parameter; it is not sent again", model=model, parameter=parameter)
        return True

    def heard(self, request: ChatRequest, answer: Answered) -> None:
        """Notice a model whose streams do not say what they cost."""
        if not request.streamed:
            return
        with self._lock:
            if Anomaly.USAGE_MISSING not in answer.anomalies:
                self._silent.pop(request.model, None)
                self._telling.add(request.model)
                return
            self._silent[request.model] += 1
            known = request.model in self._telling
            if self._silent[request.model] != (
                STREAMS_WITHOUT_USAGE_ANY_MORE if known else STREAMS_WITHOUT_USAGE
            ):
                return
        with self._engine.begin() as connection:
            models.learn(connection, request.model, {"usage_in_streams": False})
        self.refresh()
        log.warning("the model's streams report no usage; it is called unstreamed", model=request.model)
