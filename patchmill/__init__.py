"""Patchmill: verified fixes for code problems. The house that both doors, `api` and `worker`, share."""

__version__ = "0.1.0"
