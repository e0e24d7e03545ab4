"""The child process that reads outlines: a request in marshal's form from whoever started it, JSON back.

Run by `bare_python`; hostile text is parsed here and nowhere else, and nothing is executed. The modules for
JSON and regular expressions take longer to load than most files to read, so none is used here.
"""

import marshal
import sys
from _json import encode_basestring_ascii as quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Deep enough for real code, shallow enough that the C stack lasts.
_RECURSION = 3_000


def main() -> None:
    """Answer one request from standard input."""
    sys.setrecursionlimit(_RECURSION)
    request = marshal.loads(sys.stdin.buffer.read())  # noqa: S302 - written by the process that started this
    # At the end, so that nothing installed can stand in for the standard library.
    sys.path.extend(request["packages"])
    sys.stdout.write(_json(answer(request)))


def answer(request: "dict[str, Any]") -> "dict[str, Any]":
    """Read the source and what each candidate makes of it; see `read.read`, which asks this."""
    if request["grammar"] is None:
        from patchmill.verify.outline import python as reader  # noqa: PLC0415 - one of two, each slow to load
    else:
        from patchmill.verify.outline import grammar as reader  # type: ignore[no-redef]  # noqa: PLC0415
    try:
        outline = reader.Outline(request["lines"], *(request["grammar"] or ()))
    except reader.CANNOT_READ as error:
        return {"unreadable": str(error) or type(error).__name__}
    return {
        "unreadable": None,
        "file": outline.file(),
        "places": [outline.place(start, end) for start, end in request["spans"]],
        "edited": [outline.edited(hunks, newer=request["newer"]) for hunks in request["candidates"]],
    }


def _json(value: "Any") -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return str(quoted(value))
    if isinstance(value, dict):
        return "{" + ",".join(f"{quoted(key)}:{_json(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_json, value)) + "]"
    return str(int(value))
