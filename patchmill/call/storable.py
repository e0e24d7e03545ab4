"""Foreign text and JSON as UTF-8 and Postgres can hold them."""

import math
from collections.abc import Mapping
from typing import Any

_DEEPEST = 8


def storable(text: str) -> str:
    """Give text that UTF-8 and Postgres can hold.

    Halves of a surrogate pair are joined; a lone half or a NUL becomes U+FFFD.
    """
    if text.isascii() and "\0" not in text:
        return text
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return joined.replace("\0", "\ufffd")


def storable_json(value: Any, depth: int = 0) -> Any:
    """Give a decoded JSON value as Postgres can hold it: text storable, numbers finite, not nested deeply."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping | list) and depth >= _DEEPEST:
        return None
    if isinstance(value, Mapping):
        return {storable(str(name)): storable_json(item, depth + 1) for name, item in value.items()}
    if isinstance(value, list):
        return [storable_json(item, depth + 1) for item in value]
    return value
