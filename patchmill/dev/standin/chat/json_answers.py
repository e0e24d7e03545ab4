"""An answer as a JSON document, for requests that want one: edits in the form that the prompt describes."""

import json
from collections.abc import Iterator

from patchmill.dev.standin.chat.request import ChatRequest

_OPEN, _DIVIDE, _CLOSE = "<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE"
_WITHOUT_TOOLS = "if you cannot call functions, answer with its arguments as JSON"
_DECLINES = "NO CHANGE: "


def wants_edits(request: ChatRequest) -> bool:
    """Whether the system message describes a document with edits."""
    return any('"edits"' in message.text for message in request.messages if message.role == "system")


def wants_json(request: ChatRequest) -> bool:
    """Whether words are to be JSON: the request says so, or the rules do for who is offered no tools."""
    told = any(_WITHOUT_TOOLS in message.text for message in request.messages if message.role == "system")
    return request.wants_json or (told and not request.tools)


def as_json(answer: str, request: ChatRequest) -> str:
    """Write an answer of the stand-in as JSON: as edits if the system message names them, else as a text."""
    if not wants_edits(request):
        return json.dumps({"answer": answer})
    head, _, rest = answer.partition("\n")
    declines = head.startswith(_DECLINES)
    document = {
        "title": "No change" if declines else head,
        "explanation": rest.partition(_OPEN)[0].strip(),
        "edits": list(_edits(answer)),
        "no_change": head.removeprefix(_DECLINES) if declines else None,
    }
    return json.dumps(document, ensure_ascii=False)


def _edits(answer: str) -> Iterator[dict[str, list[str]]]:
    """The blocks; their code never holds a marker, since such code is not written as a block."""
    edit: dict[str, list[str]] = {}
    half: list[str] = []
    for line in answer.split("\n"):
        if line == _OPEN:
            edit = {"search": [], "replace": []}
            half = edit["search"]
        elif line == _DIVIDE and edit:
            half = edit["replace"]
        elif line == _CLOSE and edit:
            yield edit
            edit, half = {}, []
        else:
            half.append(line)
