"""The program of a checker, as its wheel brings it beside this Python; run in the sandbox alone."""

import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from patchmill.verify.checker import CheckerFailure, FailureReason
from patchmill.verify.process import sandbox

EXTRA = "patchmill[checkers]"
_FINE = frozenset({0})


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program and the package that brings it, which only the extra installs."""

    name: str
    package: str

    def missing(self) -> str | None:
        """Say what brings the program; None if it is here."""
        try:
            place_of(self.package, self.name)
        except FileNotFoundError as error:
            return str(error)
        return None

    def run(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        limits: sandbox.Limits,
        fine: Collection[int] = _FINE,
        environment: Mapping[str, str] | None = None,
    ) -> sandbox.Completed | CheckerFailure:
        """Run it to its end; `fine` are the return codes of a program that did its work."""
        try:
            completed = sandbox.run(
                [place_of(self.package, self.name), *arguments],
                stdin=b"",
                cwd=cwd,
                limits=limits,
                environment=environment,
            )
        except OSError as error:
            detail = str(error) if isinstance(error, FileNotFoundError) else f"{self.name}: {error}"
            return CheckerFailure(reason=FailureReason.CHECKER_UNAVAILABLE, detail=detail)
        if completed.failure is not None and completed.returncode not in fine:
            return replace(self.failed(completed.failure), lasting=completed.spent)
        return completed

    def failed(self, why: str) -> CheckerFailure:
        """A run that gave no report."""
        return CheckerFailure(reason=FailureReason.CHECKER_FAILED, detail=f"{self.name}: {why[:300]}")


@functools.cache
def place_of(package: str, name: str) -> str:
    """Where the program is; what is missing is looked for again each time.

    Raises:
        FileNotFoundError: the package is not installed.
    """
    try:
        files = metadata.files(package) or ()
    except metadata.PackageNotFoundError:
        files = ()
    for file in files:
        found = Path(str(file.locate()))
        if file.name in {name, f"{name}.exe"} and found.parent.name in {"bin", "Scripts"}:
            return str(found.resolve())
    raise FileNotFoundError(f"{name} is not installed here: the extra {EXTRA} brings it")
