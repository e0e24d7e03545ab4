"""What `patchmill doctor` says about one thing."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from patchmill.cli.exits import Exit


class State(StrEnum):
    """Whether a thing is as it should be; a warning is about what may be meant so."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing that was looked at, what was seen, and what to do about it; `ends` is its exit code."""

    state: State
    name: str
    detail: str
    advice: str | None = None
    ends: Exit = Exit.DONE

    def document(self) -> dict[str, str | None]:
        """Write it as the JSON object that `--json` prints."""
        return {"state": self.state, "name": self.name, "detail": self.detail, "advice": self.advice}

    @classmethod
    def ok(cls, name: str, detail: str) -> Self:
        """Say that it is as it should be."""
        return cls(state=State.OK, name=name, detail=detail)

    @classmethod
    def warn(cls, name: str, detail: str, advice: str) -> Self:
        """Say that it may not be meant so."""
        return cls(state=State.WARN, name=name, detail=detail, advice=advice)

    @classmethod
    def fail(cls, name: str, detail: str, advice: str, ends: Exit = Exit.SERVICE) -> Self:
        """Say that it does not work like this."""
        return cls(state=State.FAIL, name=name, detail=detail, advice=advice, ends=ends)
