"""An estimate in the making: what has to be known, and the arithmetic over it for each job."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from api.auth import Caller
from api.database import Connection
from api.parts import Parts
from patchmill.budget.admission import Answer, Asking, answer
from patchmill.budget.ledger import Room, cost, name_of_budget
from patchmill.budget.models import capability_of, with_learned
from patchmill.budget.prices import rates_at
from patchmill.call.ceiling import Ceiling, KnownModel, ceiling, input_tokens_of, priced
from patchmill.call.effort import Effort
from patchmill.call.expectation import Expected, expected
from patchmill.call.fitting import Question
from patchmill.edit.formats import DEFAULT, EDIT_FORMATS
from patchmill.edit.protocol import Message
from patchmill.job.experience import Experience
from patchmill.job.ladder import Rung, Step, steps
from patchmill.job.record import KindName, Options, Task
from patchmill.kinds import KINDS
from patchmill.store import access, models, shared_time
from patchmill.store.budgets import BudgetRow, budgets_over, use_of
from patchmill.store.experience import experience
from patchmill.store.ids import to_edge
from patchmill.store.prices import prices_of

OWN_CAP = "max_cost_usd"
NO_PRICE = "no_price"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What an estimate needs to know: of the project, the models, the budgets, and earlier jobs."""

    now: datetime
    ladder: tuple[Step, ...]
    models: dict[str, KnownModel]
    rooms: tuple[Room, ...]
    experience: Experience
    call_deadline_s: float

    @property
    def climbed(self) -> list[Step]:
        """The rungs that can be climbed: the stronger model only with a price."""
        return [
            step
            for step in self.ladder
            if step.rung is not Rung.ESCALATION or priced(step, self.models, self.now)
        ]

    @property
    def unpriced(self) -> list[str]:
        """The models of the ladder that have no price."""
        return sorted(name for name, known in self.models.items() if known.highest_rates(self.now) is None)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEstimate:
    """What one job may take, and what admission would answer to its first call now.

    `worst_picos` is no more than the caps that came with the request. `first_call` is None where no call is
    expected, or, if it is `blocked`, where nobody who may be asked has a price.
    """

    path: str
    expected: Expected
    expected_picos: int | None
    worst: Ceiling
    worst_picos: int | None
    blocked: bool
    first_call: Answer | None

    @property
    def blocked_by(self) -> str | None:
        """What is in the way of the first call: a budget, a cap of the request, or that there is no price."""
        if not self.blocked:
            return None
        room = None if self.first_call is None else self.first_call.blocked
        return NO_PRICE if room is None else room.budget or OWN_CAP


def read_facts(
    connection: Connection, parts: Parts, caller: Caller, kind: KindName, options: Options
) -> Facts:
    """Read everything at once; the arithmetic needs no connection."""
    now = shared_time.now()
    policy = parts.policy.changed(access.project(connection, caller.project_id).policy)
    ladder = steps(policy, options)
    names = {step.model for step in ladder} | {step.fallback for step in ladder if step.fallback}
    learned = models.learned(connection)
    known: dict[str, KnownModel] = {}
    for name in sorted(names):
        able = capability_of(name)
        if name in learned:
            able = with_learned(able, learned[name].capability, learned[name].dropped)
        known[name] = KnownModel(able=able, prices=prices_of(connection, name))
    over = budgets_over(connection, caller.project_id, caller.key_id)
    return Facts(
        now=now,
        ladder=ladder,
        models=known,
        rooms=tuple(_room(connection, row, now) for row in over),
        experience=experience(connection, kind, caller.project_id),
        call_deadline_s=parts.call_deadline_s,
    )


def estimated(
    task: Task, caps: Sequence[int], deadline_s: float | None, facts: Facts, effort: Effort
) -> JobEstimate:
    """Estimate one job under the caps that came with the request."""
    kind = KINDS[task.kind]
    edit_format = EDIT_FORMATS[task.options.edit_format or DEFAULT]
    question = Question(task=task, kind=kind, edit_format=edit_format)
    searched = effort.may_search(task)
    first = facts.ladder[0]
    context = facts.models[first.model].able.context_tokens
    likely = expected(
        question,
        facts.experience,
        rungs=len(facts.climbed),
        context_tokens=context,
        effort=effort,
        searched=searched,
    )
    worst = ceiling(question, facts.ladder, facts.models, facts.now)
    within = min(facts.call_deadline_s, deadline_s or facts.call_deadline_s)
    now = None if likely.first is None else _first_call(question, likely.first, caps, within, facts)
    return JobEstimate(
        path=task.path,
        expected=likely,
        expected_picos=_expected_picos(likely, facts),
        worst=worst,
        worst_picos=_worst_picos(worst, caps, facts),
        blocked=likely.first is not None and (now is None or now.blocked is not None),
        first_call=now,
    )


def _first_call(
    question: Question, messages: Sequence[Message], caps: Sequence[int], deadline_s: float, facts: Facts
) -> Answer | None:
    """Say what admission would answer to the first call now; None where nobody to be asked has a price."""
    step = facts.ladder[0]
    # Of a cap that comes with the request nothing is used yet.
    rooms = [*(Room(cap_tokens=None, cap_picos=cap, name=OWN_CAP) for cap in caps), *facts.rooms]
    for name in priced(step, facts.models, facts.now):
        known = facts.models[name]
        asking = Asking(
            input_tokens=input_tokens_of(messages, question.edit_format, step, name, known.able),
            output_tokens=min(question.kind.max_tokens, known.able.output_tokens),
            floor_tokens=question.kind.floor_tokens,
            deadline_s=deadline_s,
        )
        found = answer(asking, known.prices, rooms, facts.now)
        if found is not None:
            return found
    return None


def _expected_picos(likely: Expected, facts: Facts) -> int | None:
    """Price what is expected, each call by its rung; None without a price of now."""
    total = 0
    for step, spent in zip(facts.climbed, likely.calls, strict=False):
        found = (rates_at(facts.models[name].prices, facts.now) for name in _named(step))
        rates = next((each for each in found if each is not None), None)
        if rates is None:
            return None
        total += cost(spent, rates)
    return total


def _named(step: Step) -> list[str]:
    return [step.model] if step.fallback is None else [step.model, step.fallback]


def _worst_picos(worst: Ceiling, caps: Sequence[int], facts: Facts) -> int | None:
    """Bound the money; caps bound it where nothing else does, but what has no price is not known."""
    if not priced(facts.ladder[0], facts.models, facts.now):
        return None
    return min([*caps, *([] if worst.picos is None else [worst.picos])], default=None)


def _room(connection: Connection, budget: BudgetRow, now: datetime) -> Room:
    use = use_of(connection, budget, now)
    return Room(
        cap_tokens=budget.limit_tokens,
        cap_picos=budget.limit_picos,
        settled=use.settled,
        held=use.held,
        uncertain=use.uncertain,
        resets_at=use.bounds.resets_at,
        waits=budget.at_limit == "wait",
        budget=to_edge("bud", budget.id),
        name=name_of_budget(budget.name, budget.scope, budget.window),
    )
