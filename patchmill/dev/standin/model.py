"""The offline "model": reads the prompt as a model would, and answers by fixed rules, always the same."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from patchmill.dev.standin import script_answers
from patchmill.dev.standin.annotate_answers import annotate
from patchmill.dev.standin.blocks import write_blocks
from patchmill.dev.standin.excerpts import readable
from patchmill.dev.standin.instructions import UNDERSTOOD, follow
from patchmill.dev.standin.lint_answers import Mended, mend
from patchmill.dev.standin.prompt import Task, read_task

_MENDERS: dict[str, Callable[[Task], Mended | None]] = {
    "python": mend,
    **dict.fromkeys(script_answers.LANGUAGES, script_answers.mend),
}
_ASKERS = frozenset({"user", "tool"})  # what tools answer to edits is what is wrong with them
_ANCHORS_ASKED = "@@ replace"  # in the rules of a prompt whose lines are to be named by anchors
WHO = "the stand-in gateway, which is not a language model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One message of the conversation."""

    role: str
    text: str


def answer(turns: Sequence[Turn]) -> str:
    """The answer to a conversation: edits, or a line `NO CHANGE: reason`.

    Edits are SEARCH/REPLACE blocks, or name lines by anchors if the rules ask for that.
    """
    task = task_of(turns)
    if task is None:
        return _decline("found no file in the prompt")
    if task.language == "python":
        task = replace(task, source=readable(task))
    if task.findings:
        return _fix(task)
    if task.instruction is not None:
        return _follow(task)
    if task.wishes:
        return _annotate(task)
    return _decline("can only fix listed findings, follow a few instructions, or add types and docstrings")


def task_of(turns: Sequence[Turn]) -> Task | None:
    """What a conversation asks for; None when it names no file."""
    anchored = any(_ANCHORS_ASKED in turn.text for turn in turns if turn.role == "system")
    asked = [turn.text for turn in turns if turn.role in _ASKERS]
    return read_task(asked[0], asked[1:], anchored=anchored) if asked else None


def _fix(task: Task) -> str:
    if task.language not in _MENDERS:
        return _decline(f"can mend Python, JavaScript and TypeScript, and the file is in {task.language}")
    mended = _MENDERS[task.language](task)
    if mended is None:
        return _decline("knows no fix for these findings")
    blocks = write_blocks(task, mended.text, mended.together)
    if not blocks:
        return _decline("found a fix but no way to write it down as edits")
    rules = ", ".join(dict.fromkeys(mended.rules))
    how = f"This is {WHO}: it made {' and '.join(mended.ways)}."
    return "\n\n".join([f"Fix {rules}", how, *blocks])


def _follow(task: Task) -> str:
    followed = follow(task)
    blocks = [] if followed is None else write_blocks(task, followed.text)
    if followed is None or not blocks:
        return _decline(f"understands only {UNDERSTOOD}, where that changes something")
    how = f"This is {WHO}: it took the instruction by the letter."
    return "\n\n".join([followed.title, how, *blocks])


def _annotate(task: Task) -> str:
    if task.language != "python":
        return _decline(f"can annotate Python alone, and the file is in {task.language}")
    new = annotate(task)
    blocks = [] if new is None else write_blocks(task, new)
    if not blocks:
        return _decline("found nothing that it can add with certainty")
    wishes = " and ".join(sorted(task.wishes, reverse=True))
    how = f"This is {WHO}: it inferred what it added from literals and names."
    return "\n\n".join([f"Add {wishes}", how, *blocks])


def _decline(reason: str) -> str:
    return f"NO CHANGE: this is {WHO}; it {reason}."
