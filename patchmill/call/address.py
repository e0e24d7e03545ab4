"""Where a gateway's endpoints are, given its base URL, and whether its key can be sent."""

import httpx

from patchmill.errors import ConfigurationError

_CHAT = "/chat/completions"
_MANAGEMENT = "/api/v1/me"


def endpoint(base_url: str, path: str) -> httpx.URL:
    """Give the URL of an endpoint below the base URL, whose query, if it has one, is kept.

    A base URL that names the chat endpoint itself is understood too.

    Raises:
        ConfigurationError: the base URL is not HTTP, or holds a password or a fragment.
    """
    base = _checked(base_url)
    return base.copy_with(path=f"{_base_path(base)}/{path}")


def management(base_url: str, path: str) -> httpx.URL:
    """Give the URL of an endpoint of the management API, which stands beside the `/v1` of the base URL.

    Raises:
        ConfigurationError: as for `endpoint`.
    """
    base = _checked(base_url)
    return base.copy_with(path=f"{_base_path(base).removesuffix('/v1')}{_MANAGEMENT}/{path}")


def checked_key(api_key: str) -> str:
    """Give the key back, if it can stand in a header.

    Raises:
        ConfigurationError: it cannot.
    """
    if not api_key or not api_key.isascii() or not api_key.isprintable():
        raise ConfigurationError("The gateway's key must be printable ASCII, and not empty.")
    return api_key


def _checked(base_url: str) -> httpx.URL:
    try:
        url = httpx.URL(base_url.strip())
    except httpx.InvalidURL as error:
        raise ConfigurationError("The gateway's URL cannot be read.") from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise ConfigurationError("The gateway's URL must begin with http:// or https://, then its host.")
    if url.userinfo or url.fragment:
        # A password would take the place of the key in the `Authorization` header.
        raise ConfigurationError("The gateway's URL must hold no user name, password or fragment.")
    return url


def _base_path(url: httpx.URL) -> str:
    return url.path.rstrip("/").removesuffix(_CHAT).rstrip("/")
