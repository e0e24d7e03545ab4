"""Consoles of rich: one for data, one for talk; neither reads markup in what it prints."""

from rich.console import Console


def data_console() -> Console:
    """The console of data; without colour when it is no terminal or NO_COLOR is set."""
    return Console(highlight=False, markup=False, emoji=False, soft_wrap=True)


def talk_console() -> Console:
    """The console of talk: progress, explanations and errors."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)
