"""What everybody who looks should know first: a few sentences at the top of a page, while they hold."""

from patchmill.store.stats import Stats


def notices(stats: Stats) -> list[str]:
    """Say what keeps jobs from running; nothing while nothing does."""
    told = []
    if stats.gateway != "ok":
        told.append(f"The gateway is {stats.gateway}: {stats.gateway_reason}.")
    if not stats.workers:
        told.append("No worker is alive, so no job runs. Start one with python -m worker.")
    return told
