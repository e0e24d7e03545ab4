"""How SARIF names a file: by a URI, relative to a named base or not, or by its index among the artifacts."""

import posixpath
import re
from urllib.parse import unquote, urlsplit

from patchmill.reports.json_text import Node

_MAX_BASES = 10  # a base may be relative to another base
_MAX_URI = 8_192  # characters; a longer one is cut off, and will match no file
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")  # one letter is a drive of Windows


class Names:
    """The names of one run's files."""

    def __init__(self, run: Node) -> None:
        self._artifacts = run.get("artifacts")
        self._bases = run.get("originalUriBaseIds")
        self._known: dict[tuple[str, str | None], str] = {}

    def of(self, location: Node) -> str:
        """Give the path that an artifactLocation names, percent-decoded; empty where it names none.

        It is relative where the report leaves it so.
        """
        uri = location.text_of("uri")
        base = location.text_of("uriBaseId")
        index = location.number_of("index", low=-1)
        if uri is None and index is not None and self._artifacts is not None:
            artifact = self._artifacts.at(index)
            listed = None if artifact is None else artifact.get("location")
            if listed is not None:
                uri, base = listed.text_of("uri"), listed.text_of("uriBaseId")
        if uri is None:
            return ""
        if (uri, base) not in self._known:
            path = _path(self._resolved(uri[:_MAX_URI], base))
            if "\0" in path:
                raise location.wrong("names a file with a NUL character")
            self._known[uri, base] = path
        return self._known[uri, base]

    def _resolved(self, uri: str, base: str | None) -> str:
        """The URI under its bases, as far as the report tells them."""
        for _ in range(_MAX_BASES):
            if base is None or self._bases is None or _SCHEME.match(uri) or uri.startswith("/"):
                break
            location = self._bases.get(base)
            if location is None:
                break
            above = location.text_of("uri")
            if above is not None:
                uri = posixpath.join(above[:_MAX_URI], uri)[:_MAX_URI]
            base = location.text_of("uriBaseId")
        return uri


def _path(uri: str) -> str:
    """The path of a file URI or a relative one; any other URI stays as it is and will match no file."""
    if not _SCHEME.match(uri):
        return unquote(uri)
    try:
        parts = urlsplit(uri)
    except ValueError:
        return uri
    if parts.scheme.lower() != "file":
        return uri
    path = unquote(parts.path)
    return path[1:] if re.match(r"/[A-Za-z]:", path) else path
