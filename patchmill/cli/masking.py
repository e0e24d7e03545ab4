"""Addresses without their passwords."""

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

HIDDEN = "********"


def masked_url(url: str) -> str:
    """Write a URL without passwords, in whichever part they are; hidden whole if it cannot be read."""
    try:
        parts = urlsplit(url)
        user, colon, password = parts.netloc.rpartition("@")[0].partition(":")
    except ValueError:
        return HIDDEN
    if not parts.scheme:
        return HIDDEN
    netloc = parts.netloc
    if colon and password:
        netloc = f"{user}:{HIDDEN}@{parts.netloc.rpartition('@')[2]}"
    query = parts.query
    if any("pass" in name.lower() for name, _ in parse_qsl(query)):
        pairs = [
            (name, HIDDEN if "pass" in name.lower() else value)
            for name, value in parse_qsl(query, keep_blank_values=True)
        ]
        query = urlencode(pairs, safe="*/")
    return urlunsplit((parts.scheme, netloc, parts.path, query, parts.fragment))
