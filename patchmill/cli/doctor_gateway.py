"""What `patchmill doctor --gateway` sees: the account for nothing, the models for next to nothing."""

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from patchmill.budget.models import capability_of
from patchmill.budget.prices import from_usd, to_usd
from patchmill.call.account import Account, AccountClient, AccountUnavailable, AllowedModel, ListedModel
from patchmill.call.clocks import Clocks
from patchmill.call.gateway import Gateway
from patchmill.call.loop import CallLoop
from patchmill.call.reply import Quota
from patchmill.call.trial.purse import Purse
from patchmill.call.trial.trial import ModelTrial, NoModelAnswers, Trial
from patchmill.cli import doctor_model
from patchmill.cli.console import talk_console
from patchmill.cli.doctor_line import Line, State
from patchmill.cli.doctor_model import Role, account_refused
from patchmill.cli.exits import Exit, exit_of
from patchmill.cli.gateway_known import Known, keep, known_of
from patchmill.cli.talk import say, shown, some
from patchmill.client.connection import check_address
from patchmill.errors import ConfigurationError, PatchmillError
from patchmill.job.failure import FailureClass
from patchmill.settings import Settings, gateway_key

CAP_USD = "0.001"
TRIAL_S = 40.0  # of calls; what is read of the account before takes at most half as long
ACCOUNT_TIMEOUT_S = 5.0
MAX_SKEW_S = 30.0
LONGEST_WINDOW = timedelta(days=7)
_URL_ADVICE = "is PATCHMILL_GATEWAY_URL right?"

Limits = Mapping[str, Mapping[str, int]]


def gateway(settings: Settings) -> Iterator[Line]:
    """Look at the model gateway: its account and catalogue, then what the ladder's models really take."""
    try:
        key = gateway_key(settings)
    except ConfigurationError as error:
        yield Line.fail("gateway", "there is no key for it", str(error).partition(": ")[0], exit_of(error))
        return
    try:
        check_address(settings.gateway_url)
        client = AccountClient(
            base_url=settings.gateway_url, api_key=key, now=_now, timeout_s=ACCOUNT_TIMEOUT_S
        )
    except ConfigurationError as error:
        yield Line.fail("gateway", str(error), "correct PATCHMILL_GATEWAY_URL", exit_of(error))
        return
    with client:
        limits = yield from _free(client, settings)
    if limits is not None:
        yield from _tried(settings, key, limits)


def _free(client: AccountClient, settings: Settings) -> Generator[Line, None, Limits | None]:
    """Ask what costs nothing; give the limits of models that were told, or None where no call has a use."""
    url = settings.gateway_url
    listed: tuple[ListedModel, ...] = ()
    try:
        listed = client.models()
    except AccountUnavailable as error:
        line = _unavailable(error, url)
        yield line
        if line.state is State.FAIL:
            return None
    else:
        yield Line.ok("gateway", f"{url} accepts the key")
        yield _catalogue(listed, settings)
    allowed: tuple[AllowedModel, ...] = ()
    try:
        account = client.account()
    except AccountUnavailable as error:
        yield _no_account(error)
    else:
        allowed = account.allowed_models
        yield _account(account)
    if client.heard is not None:
        yield _quota(client.heard.quota)
        yield from _clock(client.heard.date, client.heard.quota.reset_at)
    told: tuple[ListedModel | AllowedModel, ...] = (*listed, *allowed)
    return {
        each.model: {
            name: limit
            for name, limit in (
                ("context_tokens", each.context_tokens),
                ("output_tokens", each.output_tokens),
            )
            if limit
        }
        for each in told
    }


def _unavailable(error: AccountUnavailable, url: str) -> Line:
    failure, status = error.failure, error.http_status
    if failure.failure is FailureClass.CONNECT:
        return Line.fail("gateway", f"{url} does not answer: {failure.message}", _URL_ADVICE)
    if failure.failure in {FailureClass.ACCOUNT, FailureClass.SPEND_CAP}:
        return account_refused("gateway", failure, status, code=None)
    if failure.failure is FailureClass.REQUEST:
        return Line.warn(
            "gateway", f"{url} lists no models ({failure.message})", "models are tried by their names"
        )
    return Line.fail("gateway", f"{url} gives no list of models: {failure.message}", _URL_ADVICE)


def _catalogue(listed: Sequence[ListedModel], settings: Settings) -> Line:
    names = {each.model for each in listed}
    without = [name for name in _ladder(settings) if name not in names]
    if without:
        detail = f"lists {len(names)} models, but not {' and '.join(without)}"
        return Line.warn("catalogue", detail, "whether they can be called is tried below")
    return Line.ok("catalogue", f"lists {len(names)} models, those of the settings among them")


def _no_account(error: AccountUnavailable) -> Line:
    advice = "what is left is known from the headers of answers, if they tell it, and from refusals"
    return Line.warn("account", f"cannot be read: {error.failure.message}", advice)


def _account(account: Account) -> Line:
    balance = account.available_usd
    left = "does not tell its balance" if balance is None else f"{_dollars(balance)} left"
    if account.low_balance:
        return Line.warn("account", f"{left}, which the gateway calls low", "top it up in time")
    caps = [
        f"{each.model} {_dollars(each.spend_cap_usd)}"
        for each in account.allowed_models
        if each.spend_cap_usd
    ]
    return Line.ok(
        "account",
        f"{left}; reaches {len(account.allowed_models)} models"
        + (f", with caps: {', '.join(caps)}" if caps else ""),
    )


def _quota(quota: Quota) -> Line:
    told = [
        f"{what} {_dollars(amount)}"
        for what, amount in (
            ("tightest spend window", quota.remaining_usd),
            ("key", quota.key_usd),
            ("wallet", quota.org_usd),
        )
        if amount is not None
    ]
    if not told:
        advice = "an account without credit shows only when a call is refused, which pauses all"
        return Line.warn("quota", "the headers tell none, though the documents say so", advice)
    spent = quota.limit_usd is not None and quota.remaining_usd != quota.limit_usd
    until = f"; more from {quota.reset_at:%Y-%m-%d %H:%M:%S} UTC on" if quota.reset_at and spent else ""
    return Line.ok("quota", f"left: {', '.join(told)}{until}")


def _clock(date: datetime | None, reset_at: datetime | None) -> Iterator[Line]:
    """Compare the clocks, since a spend cap is waited for until a time that the gateway names."""
    now = _now()
    advice = "let this host follow a time server; until then waits for a spend cap are wrong by as much"
    skew_s = 0.0 if date is None else (now - date).total_seconds()
    if abs(skew_s) > MAX_SKEW_S:
        yield Line.warn("clock", f"is {skew_s:+.0f} s off the gateway's", advice)
    elif reset_at is not None and not timedelta(seconds=-MAX_SKEW_S) <= reset_at - now <= LONGEST_WINDOW:
        yield Line.warn("clock", f"X-RateLimit-Reset is no time soon: {reset_at.isoformat()}", advice)
    elif date is not None:
        yield Line.ok("clock", "agrees with the gateway's")


def _tried(settings: Settings, key: str, limits: Limits) -> Iterator[Line]:
    """Try the models of the ladder, say what was found and spent, and keep it."""
    roles = _ladder(settings)
    known = known_of(settings, list(roles))
    purse = Purse(cap_picos=from_usd(CAP_USD), rates=known.rates)
    _announce(list(roles), known)
    trials: list[ModelTrial] = []
    calls = CallLoop(_client(settings, key), limit=1)
    calls.start()
    try:
        with _progress() as tell:
            trial = Trial(calls, purse, ends_at=time.monotonic() + TRIAL_S, tell=tell)
            for model, role in roles.items():
                found = trial.run(model, known.capabilities[model], documented=capability_of(model))
                trials.append(found)
                yield from doctor_model.lines(found, role, limits.get(model, {}))
    except NoModelAnswers as error:
        yield doctor_model.of_all(error.outcome, _URL_ADVICE)
    except KeyboardInterrupt:
        say(f"interrupted; {_spent(purse)}")
        raise
    finally:
        calls.stop()
        kept = _keep(known, trials, purse, limits)
    yield Line.ok("spent", _spent(purse))
    yield kept


def _client(settings: Settings, key: str) -> Gateway:
    clocks = Clocks(
        connect_s=settings.connect_timeout_s,
        first_data_s=settings.first_data_timeout_s,
        progress_s=settings.progress_timeout_s,
    )
    return Gateway(base_url=settings.gateway_url, api_key=key, now=_now, clocks=clocks)


def _ladder(settings: Settings) -> dict[str, Role]:
    """Give the models that jobs climb by, each with the first of its roles."""
    roles: dict[str, Role] = {}
    for model, role in (
        (settings.model, Role.FIRST),
        (settings.escalation_model, Role.ESCALATION),
        (settings.fallback_model, Role.FALLBACK),
    ):
        roles.setdefault(model, role)
    return roles


def _announce(models: Sequence[str], known: Known) -> None:
    of = "the price list" if known.database else "the documented prices"
    unpriced = [model for model in models if model not in known.rates]
    if len(unpriced) < len(models):
        say(f"a few small calls to each model follow; by {of} they cost at most ${CAP_USD} in all")
    if unpriced:
        say(f"no price is known for {' and '.join(unpriced)}: what its few small calls cost is unknown")


def _spent(purse: Purse) -> str:
    if not purse.calls:
        return "nothing: no call was made"
    tokens = f"{purse.input_tokens} tokens in, {purse.output_tokens} out"
    text = f"${to_usd(purse.spent_picos)} by the price list, {some(purse.calls, 'call')}, {tokens}"
    if purse.uncertain_picos:
        text += f"; at most ${to_usd(purse.uncertain_picos)} more for answers that did not tell their usage"
    if purse.unpriced:
        text += f"; what {some(purse.unpriced, 'call')} cost nobody knows, for want of a price"
    return text


def _keep(known: Known, trials: Sequence[ModelTrial], purse: Purse, limits: Limits) -> Line:
    found = {
        trial.model: trial.learned(limits.get(trial.model, {})) for trial in trials if trial.first is not None
    }
    if known.database is None:
        return Line.ok("learned", "is not kept: no database with this version's schema is set")
    details = {
        "calls": purse.calls,
        "input_tokens": purse.input_tokens,
        "output_tokens": purse.output_tokens,
        "spent_usd": to_usd(purse.spent_picos),
        "uncertain_usd": to_usd(purse.uncertain_picos),
        "unpriced_calls": purse.unpriced,
        "models": sorted(found),
    }
    try:
        keep(known.database, found, details)
    except PatchmillError as error:
        return Line.fail("learned", f"could not be kept: {error}", "run this again", Exit.SERVICE)
    if not found:
        return Line.ok("learned", "nothing; the trial is in the audit")
    return Line.ok("learned", f"kept for {' and '.join(found)}; the trial is in the audit")


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Give what shows a line: on a terminal the same line again and again, elsewhere nothing."""
    console = talk_console()
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("calling") as status:
        yield lambda text: status.update(shown(text))


def _dollars(amount: Decimal) -> str:
    plain = f"{amount:f}"
    return f"${plain.rstrip('0').rstrip('.') if '.' in plain else plain}"


def _now() -> datetime:
    return datetime.now(UTC)
