"""Which Redis a process may use: one address that redis-py and kombu both reach, and not an open one."""

import ipaddress
from urllib.parse import urlsplit

from patchmill.errors import ConfigurationError

_SCHEMES = ("redis", "rediss")


def check_redis_url(url: str, *, trusted_network: bool) -> None:
    """Refuse a Redis address that cannot work, or that anyone on the network could read.

    Raises:
        ConfigurationError: says what is wrong and what to set; never quotes the password.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ConfigurationError(
            "PATCHMILL_REDIS_URL is not a URL; it looks like redis://host:6379/0"
        ) from None
    if parts.scheme not in _SCHEMES:
        raise ConfigurationError(
            f"PATCHMILL_REDIS_URL begins with {parts.scheme or 'no scheme'}; it must begin with redis:// or rediss://"
        )
    if not host:
        raise ConfigurationError("PATCHMILL_REDIS_URL names no host; it looks like redis://host:6379/0")
    database = parts.path.strip("/")
    if database and not (database.isascii() and database.isdigit()):
        raise ConfigurationError(
            "PATCHMILL_REDIS_URL must end in a database number, as in redis://host:6379/0"
        )
    if trusted_network or _is_loopback(host) or (parts.password and parts.scheme == "rediss"):
        return
    raise ConfigurationError(
        f"the Redis on {host} would be reached without {_lacking(parts.scheme, parts.password)}; "
        "use rediss://:password@host, or set PATCHMILL_REDIS_TRUSTED_NETWORK=true "
        "if nobody else is on that network"
    )


def _lacking(scheme: str, password: str | None) -> str:
    missing = [] if password else ["a password"]
    missing += [] if scheme == "rediss" else ["TLS"]
    return " and ".join(missing)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
