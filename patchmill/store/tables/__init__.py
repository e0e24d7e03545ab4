"""The whole schema. What a column means stands beside it; arrows and bounds are enforced here too.

Times are aware UTC; money is pico-US-dollars (1e-12 USD) in bigint; tokens are bigint.
"""

from patchmill.store.tables.access import audit, keys, projects, sessions, users
from patchmill.store.tables.base import metadata
from patchmill.store.tables.gateway import circuits, models
from patchmill.store.tables.jobs import (
    attempts,
    events,
    findings,
    jobs,
    pauses,
    runs,
    sources,
    turns,
    workers,
)
from patchmill.store.tables.money import budget_alerts, budgets, call_windows, ledger_entries, prices, windows
from patchmill.store.tables.outbox import deliveries, webhooks
from patchmill.store.tables.reconciliation import accounts, balances, call_decisions, reconciliations
from patchmill.store.tables.results import calls, checks, suggestions

__all__ = [
    "accounts",
    "attempts",
    "audit",
    "balances",
    "budget_alerts",
    "budgets",
    "call_decisions",
    "call_windows",
    "calls",
    "checks",
    "circuits",
    "deliveries",
    "events",
    "findings",
    "jobs",
    "keys",
    "ledger_entries",
    "metadata",
    "models",
    "pauses",
    "prices",
    "projects",
    "reconciliations",
    "runs",
    "sessions",
    "sources",
    "suggestions",
    "turns",
    "users",
    "webhooks",
    "windows",
    "workers",
]
