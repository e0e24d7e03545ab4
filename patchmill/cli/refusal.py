"""What the server refuses in a request, said in words of the command line: options and files, no pointers."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from patchmill.client.problem import ApiError

SHOWN = 3  # mistakes in one sentence
_QUERY = "/query/"
_LABEL = f"{_QUERY}label."
# The fields of requests that an option of a command fills, and the option; empty, if it is named as the field
# inside.
_OPTIONS = {
    "/instruction": "--instruction",
    "/what": "--what",
    "/max_cost_usd": "--max-cost-usd",
    "/diff": "--diff",
    "/filter": "--filter",
    "/origin": "",
    "/checkers/ruff": "",
    "/policy": "",
    "/share": "",
    "/url": "URL",
    "/events": "--event",
    "/since": "--since",
    "/limit": "",
    "/window/kind": "--window",
    "/window/time_zone": "--time-zone",
    "/scope/id": "--key",
    "/at_limit": "--at-limit",
    "/alert_percent": "--alert",
    "/name": "NAME",
    **{
        f"/{name}": f"--{name}"
        for name in ("state", "kind", "outcome", "error", "run", "rule", "repository", "q")
    },
    "/labels": "--label",
    "/created_after": "--since",
    "/expect": "--expect",
    "/usd": "--billed",
    "/input_tokens": "--input-tokens",
    "/output_tokens": "--output-tokens",
    "/reason": "--reason",
}
_WHOLE = {"/limit": "--usd, --tokens"}
_OF_QUERY = {"group_by": "--by", "created_after": "--since"}


@contextmanager
def naming(request: Mapping[str, Any]) -> Iterator[None]:
    """Let what the server refuses of this request name files of it; raises ApiError again."""
    try:
        yield
    except ApiError as error:
        errors = [
            {"pointer": place(each.pointer, request), "code": each.code, "detail": each.detail}
            for each in error.errors
        ]
        raise ApiError({**error.problem, "errors": errors}, status=error.status) from error


def sentence(error: ApiError) -> str:
    """Say what the server refused, and where: by option or file where the pointer tells."""
    if not error.errors:
        return error.detail
    told = "; ".join(f"{place(each.pointer)}: {each.detail}" for each in error.errors[:SHOWN])
    more = len(error.errors) - SHOWN
    return f"{told}; and {more} more" if more > 0 else told


def place(pointer: str, request: Mapping[str, Any] | None = None) -> str:
    """Give the option that fills a field, or the file that it belongs to; else the pointer as it is."""
    if pointer.startswith(_LABEL):
        return f"--label {_unescaped(pointer.removeprefix(_LABEL))}"
    if pointer.startswith(_QUERY):
        name = pointer.removeprefix(_QUERY)
        return _OF_QUERY.get(name) or _option(name)
    if request is not None and (file := _file(pointer, request)):
        return file
    if pointer in _WHOLE:
        return _WHOLE[pointer]
    for field, option in _OPTIONS.items():
        if pointer == field or pointer.startswith(f"{field}/"):
            inner = pointer.removeprefix(field).split("/")[1:2]
            return option or (_option(inner[0]) if inner else pointer)
    return pointer


def _file(pointer: str, request: Mapping[str, Any]) -> str | None:
    """The path of the file that a pointer leads into, or the number of the report."""
    steps = [*pointer.split("/")[1:], "", ""]
    first, second = steps[0], steps[1]
    if first == "file" and "file" in request:
        return str(request["file"]["path"])
    number = int(second) if second.isascii() and second.isdecimal() else -1
    if first == "files" and 0 <= number < len(request.get("files", ())):
        return str(request["files"][number]["path"])
    if first == "reports" and 0 <= number < len(request.get("reports", ())):
        return "the report" if len(request["reports"]) == 1 else f"report {number + 1}"
    return None


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _unescaped(step: str) -> str:
    return step.replace("~1", "/").replace("~0", "~")
