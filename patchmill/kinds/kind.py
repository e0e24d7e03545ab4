"""What a kind of job is made of."""

from dataclasses import dataclass
from typing import Protocol

from patchmill.job.record import KindName, Task


class Describe(Protocol):
    """Writes the last part of the prompt: what is asked of this file."""

    def __call__(self, task: Task) -> str:
        """Give the text; it may not depend on anything but the task."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of job: its rules for the model, how it states a task, and the size of its answers."""

    name: KindName
    rules: str  # the fixed beginning of each prompt
    describe: Describe
    max_tokens: int  # of a first answer
    floor_tokens: int  # an answer shorter than this is not worth asking for
