"""Python's own parser, without its warnings about what a text might mean."""

import ast
import threading
import warnings

_GUARD = threading.Lock()  # filters of warnings belong to all threads


def parsed(text: str) -> ast.Module | None:
    """Parse a text as a file of these bytes; None if Python refuses it."""
    with _GUARD, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text.encode("utf-8", "surrogatepass"))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
