import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from patchmill.budget.models import ModelCapability, capability_of
from patchmill.call.called_answer import written_down
from patchmill.call.edit_request import edit_request
from patchmill.call.reply import Answered, CallTimings
from patchmill.call.request import request_document
from patchmill.dev.standin.chat import request as wire
from patchmill.dev.standin.chat.answering import choose
from patchmill.dev.standin.players import Rules
from patchmill.edit.called import CalledTool, read
from patchmill.edit.formats import EDIT_FORMATS
from patchmill.job.failure import Failure, FailureClass
from tests.support.requests import mutable_default

FILE = mutable_default()["file"]["content"]
ASKED = (
    f"File `app.py` (python), whole:\n```python\n{FILE}```\n\nFindings to fix:\n"
    "1. line 4, columns 24-26: ruff B006: Do not use mutable data structures for argument defaults"
)
FLASH = capability_of("deepseek-v4-flash")
PRO = capability_of("deepseek-v4-pro")
TOOL = EDIT_FORMATS["tool"]


def document(name: str, able: ModelCapability) -> dict[str, Any]:
    edit_format = EDIT_FORMATS[name]
    messages = [
        {"role": "system", "content": edit_format.instructions},
        {"role": "user", "content": ASKED},
    ]
    request = edit_request(
        "deepseek-v4-flash", messages, edit_format, max_tokens=1_024, reasoning=False, able=able
    )
    return request_document(request)


def test_a_tool_is_offered_and_chosen_where_the_model_takes_that() -> None:
    flash, pro = document("tool", FLASH), document("tool", PRO)

    assert flash["tools"] == pro["tools"]
    (offered,) = pro["tools"]
    assert offered["function"]["name"] == "propose_edits"
    assert pro["tool_choice"] == {"type": "function", "function": {"name": "propose_edits"}}
    assert "tool_choice" not in flash
    assert "response_format" not in pro


@pytest.mark.parametrize("name", ["search_replace", "json", "anchored_lines"])
def test_no_other_format_offers_a_tool(name: str) -> None:
    assert {"tools", "tool_choice"}.isdisjoint(document(name, PRO))


def test_a_model_without_tools_is_asked_for_the_object_in_words() -> None:
    asked = document("tool", FLASH.without("tools"))
    request = wire.check(asked)
    answers = asyncio.run(choose(request, None, player=Rules(), request_id="chatcmpl-1", max_tokens=1_024))

    assert "tools" not in asked
    assert answers[0].calls == ()
    assert TOOL.parse(answers[0].content).edits


def test_the_prompt_of_a_tool_is_bounded_with_what_a_template_says_of_tools() -> None:
    request = edit_request("m", [], TOOL, max_tokens=1, reasoning=False, able=PRO)

    assert request.structured
    assert not replace(request, tools=()).structured


def answered(**more: Any) -> Answered:
    return Answered(
        text="", finish_reason="tool_calls", timings=CallTimings(first_token_ms=None, total_ms=1), **more
    )


def test_calls_become_the_text_of_an_answer_also_those_that_cannot_be_made() -> None:
    made = (CalledTool(id="c1", name="propose_edits", arguments='{"edits": ['),)
    fault = Failure(failure=FailureClass.PROTOCOL, message="no JSON")

    outcome = written_down(answered(called=made, fault=fault, reasoning="Hm."), TOOL)

    assert isinstance(outcome, Answered)
    assert outcome.fault is None
    stored = read(outcome.text)
    assert stored is not None
    assert (stored.calls, stored.reasoning) == (made, "Hm.")
    assert json.loads(outcome.text)["tool_calls"][0]["arguments"] == '{"edits": ['


def test_calls_that_nobody_asked_for_stay_a_fault() -> None:
    made = (CalledTool(id="c1", name="look", arguments="{}"),)
    outcome = answered(called=made, fault=Failure(failure=FailureClass.PROTOCOL, message="none offered"))

    assert written_down(outcome, EDIT_FORMATS["search_replace"]) is outcome
