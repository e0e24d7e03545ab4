"""An answer that called the tool of an edit format, as the text that the format reads."""

from dataclasses import replace

from patchmill.call.reply import Answered, CallOutcome
from patchmill.edit import called
from patchmill.edit.protocol import EditFormat


def written_down(outcome: CallOutcome, edit_format: EditFormat) -> CallOutcome:
    """Give an answer's calls as its text, if the format asks for calls; every other outcome as it is.

    Calls that could not be made are then no fault of the answer: the format refuses them by name.
    """
    if not isinstance(outcome, Answered) or edit_format.tool is None or not outcome.called:
        return outcome
    answer = called.CalledTools(content=outcome.text, calls=outcome.called, reasoning=outcome.reasoning)
    return replace(outcome, text=called.write(answer), fault=None)
