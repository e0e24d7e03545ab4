import json
from typing import Any

from patchmill.dev.standin.chat.json_answers import as_json
from patchmill.dev.standin.chat.request import ChatRequest, Message
from patchmill.dev.standin.model import Turn, answer
from patchmill.edit.formats import EDIT_FORMATS

FILE = """File `app.py` (python), whole:
```python
import os
import sys

TEXT = "a b"
print(TEXT)
```

Findings to fix:
1. line 1: ruff F401: `os` imported but unused
2. line 2: ruff F401: `sys` imported but unused
"""


def asked(system: str) -> ChatRequest:
    return ChatRequest(model="deepseek-v4-flash", messages=[Message(role="system", content=system)])


def written(prompt: str, name: str = "json") -> dict[str, Any]:
    said = answer([Turn(role="user", text=prompt)])
    document: dict[str, Any] = json.loads(as_json(said, asked(EDIT_FORMATS[name].instructions)))
    return document


def test_both_forms_of_an_answer_hold_the_same_edits() -> None:
    blocks = EDIT_FORMATS["search_replace"].parse(answer([Turn(role="user", text=FILE)]))
    document = EDIT_FORMATS["json"].parse(json.dumps(written(FILE)))

    assert blocks.edits
    assert (document.edits, document.title) == (blocks.edits, blocks.title)
    assert document.explanation in blocks.explanation


def test_a_refusal_is_a_reason_without_edits() -> None:
    document = written("Hello")

    assert document["edits"] == []
    assert document["no_change"].startswith("this is the stand-in gateway")


def test_where_no_edits_are_described_the_answer_is_a_text() -> None:
    document = written(FILE, "search_replace")

    assert list(document) == ["answer"]
