import json

import pytest

from patchmill.edit import called
from patchmill.edit.called import CalledTool, CalledTools
from patchmill.edit.formats.tool_call import TOOL, ToolCallEdits
from patchmill.edit.protocol import Edit, Proposal, RejectionReason
from tests.support.edit_answers import json_edits, one_call

EDIT = Edit(search="old\n", replace="new\n")
OTHER = Edit(search="x\n", replace="")
FORM = ToolCallEdits()


def calls(*made: CalledTool, content: str = "", reasoning: str = "") -> str:
    return called.write(CalledTools(content=content, calls=made, reasoning=reasoning))


def call(number: int, arguments: str, name: str = TOOL.name) -> CalledTool:
    return CalledTool(id=f"call_{number}", name=name, arguments=arguments)


def reasons(proposal: Proposal) -> list[RejectionReason]:
    return [rejection.reason for rejection in proposal.rejections]


def test_the_arguments_of_a_call_are_the_edits() -> None:
    proposal = FORM.parse(one_call(json_edits("Title", [EDIT, OTHER])))

    assert proposal == Proposal(title="Title", explanation="Title", edits=(EDIT, OTHER))


def test_several_calls_are_one_proposal_and_what_they_repeat_counts_once() -> None:
    text = calls(call(1, json_edits("One", [EDIT])), call(2, json_edits("Two", [EDIT, OTHER])))

    assert FORM.parse(text) == Proposal(title="One", explanation="One", edits=(EDIT, OTHER))


def test_a_call_of_another_function_is_refused_by_name_and_the_others_are_kept() -> None:
    text = calls(call(1, json_edits("One", [OTHER]), name="run_shell"), call(2, json_edits("Two", [EDIT])))

    proposal = FORM.parse(text)

    assert proposal.edits == (EDIT,)
    assert reasons(proposal) == [RejectionReason.UNKNOWN_TOOL]
    assert proposal.rejections[0].edit == 1
    assert "'run_shell'" in proposal.rejections[0].detail
    assert TOOL.name in proposal.rejections[0].detail


@pytest.mark.parametrize(
    "arguments", ["", "{}", "[]", "null", "edits", '"{}"', '{"title": "x"}', '{"edits": [']
)
def test_arguments_without_edits_are_unterminated(arguments: str) -> None:
    proposal = FORM.parse(one_call(arguments))

    assert (proposal.edits, proposal.declined) == ((), None)
    assert reasons(proposal) == [RejectionReason.UNTERMINATED]


def test_of_arguments_that_break_off_the_complete_edits_are_kept() -> None:
    arguments = json_edits("Title", [EDIT, OTHER])

    proposal = FORM.parse(one_call(arguments[: arguments.index('"x"')]))

    assert (proposal.title, proposal.edits) == ("Title", (EDIT,))
    assert reasons(proposal) == [RejectionReason.UNTERMINATED]


def test_the_tool_declines_with_a_reason() -> None:
    arguments = json.dumps({"title": "", "explanation": "", "edits": [], "no_change": "it is right"})

    assert FORM.parse(one_call(arguments)).declined == "it is right"
    assert FORM.parse(calls(call(1, arguments), call(2, json_edits("T", [EDIT])))).declined is None


def test_an_answer_in_words_is_searched_for_the_object() -> None:
    assert FORM.parse(f"Here it is:\n```json\n{json_edits('Title', [EDIT])}\n```").edits == (EDIT,)
    assert FORM.parse("I cannot call functions.") == Proposal(title="", explanation="", edits=())


@pytest.mark.parametrize(
    "text",
    [
        '{"tool_calls": []}',
        '{"tool_calls": {}}',
        '{"tool_calls": [1]}',
        '{"tool_calls": [{"id": "a", "name": "propose_edits", "arguments": {}}]}',
        '{"tool_calls": [{"id": 1, "name": "propose_edits", "arguments": ""}]}',
        "[" * 100_000,
    ],
)
def test_what_is_not_a_stored_call_is_words(text: str) -> None:
    assert called.read(text) is None
    assert FORM.parse(text).edits == ()


def test_a_call_is_answered_by_a_message_of_the_tool() -> None:
    arguments = json_edits("Title", [EDIT])

    first, result = FORM.turn(calls(call(1, arguments), reasoning="Hm."), "not_found")

    assert first == {
        "role": "assistant",
        "content": "",
        "reasoning_content": "Hm.",
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": TOOL.name, "arguments": arguments}}
        ],
    }
    assert result == {"role": "tool", "tool_call_id": "call_1", "content": "not_found"}


def test_each_of_several_calls_is_answered_and_the_first_with_the_reasons() -> None:
    arguments = json_edits("Title", [EDIT])

    turn = FORM.turn(calls(call(1, arguments), call(2, arguments)), "not_found")

    assert [message.get("tool_call_id") for message in turn] == [None, "call_1", "call_2"]
    assert turn[1]["content"] == "not_found"
    assert "first" in turn[2]["content"]


def test_an_id_that_several_calls_have_is_answered_once() -> None:
    arguments = json_edits("Title", [EDIT])

    turn = FORM.turn(calls(call(1, arguments), call(2, arguments), call(1, arguments)), "not_found")

    assert [message.get("tool_call_id") for message in turn] == [None, "call_1", "call_2"]
    assert turn[1]["content"] == "not_found"


def test_calls_that_no_server_could_read_go_back_as_words() -> None:
    broken = '{"edits": [{"search"'

    turn = FORM.turn(calls(call(1, broken), content="I try."), "unterminated")

    assert turn == [
        {"role": "assistant", "content": f"I try.\n{broken}"},
        {"role": "user", "content": "unterminated"},
    ]


def test_a_stored_call_is_shown_as_it_was_written_down() -> None:
    text = calls(call(1, json_edits("Title", [EDIT])), content="é", reasoning="Hm.")
    first, result = FORM.turn(text, "said")

    assert called.shown(first) == {"role": "assistant", "content": text}
    assert called.shown(result) == {"role": "tool", "content": "said"}
