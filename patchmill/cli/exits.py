"""Exit codes: what a script can tell from the way a command ended."""

from enum import IntEnum

from patchmill.client.problem import ApiError
from patchmill.errors import ConfigurationError, Forbidden, PatchmillError, Unauthenticated, Unavailable


class Exit(IntEnum):
    """How a command ended."""

    DONE = 0
    FINDINGS_LEFT = 1
    USAGE = 2
    SERVICE = 3
    BUDGET = 4
    AUTHENTICATION = 5
    INTERRUPTED = 130


EXIT_CODES = (
    "Exit codes: 0 done, 1 findings left, 2 usage or settings, 3 a service or the gateway, "
    "4 budget, 5 authentication, 130 interrupted."
)

_OF_STATUS = {401: Exit.AUTHENTICATION, 403: Exit.AUTHENTICATION}
_SERVER_ERRORS = 500
_TOO_MANY = 429


class Interrupted(Exception):
    """The user, or the system, asked the command to stop."""

    def __init__(self, code: int) -> None:
        super().__init__("interrupted")
        self.code = code


class NotApplied(PatchmillError):
    """Suggestions do not fit the files as they are now; nothing was changed."""


def exit_of(error: PatchmillError | ApiError) -> Exit:
    """Give the exit code that an error ends a command with."""
    if isinstance(error, ApiError):
        if error.status >= _SERVER_ERRORS or error.status == _TOO_MANY:
            return Exit.SERVICE
        return _OF_STATUS.get(error.status, Exit.USAGE)
    if isinstance(error, Unauthenticated | Forbidden):
        return Exit.AUTHENTICATION
    if isinstance(error, NotApplied):
        return Exit.FINDINGS_LEFT
    if isinstance(error, Unavailable):
        return Exit.SERVICE
    return Exit.USAGE if isinstance(error, ConfigurationError) else Exit.SERVICE


def ends(*examples: str) -> str:
    """Write the end of a command's help: how it is used, and what its exit codes mean."""
    # The help formatter leaves a paragraph alone that begins with a backspace.
    shown = "\b\nExamples:\n" + "".join(f"  {example}\n" for example in examples) + "\n" if examples else ""
    return shown + EXIT_CODES
