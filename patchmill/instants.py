"""Instants as everything writes them that leaves the service: RFC 3339."""

from datetime import UTC, datetime


def rfc3339(at: datetime) -> str:
    """Write an instant in UTC with `Z` and microseconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
