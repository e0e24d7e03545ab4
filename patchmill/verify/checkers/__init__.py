"""The checkers, one file each, by the language that they read; a new one is a file and a line here."""

from patchmill.verify.checker import Checker
from patchmill.verify.checkers.oxlint import Oxlint
from patchmill.verify.checkers.ruff import Ruff

BY_LANGUAGE: dict[str, Checker] = {
    "python": Ruff(),
    "javascript": Oxlint("javascript"),
    "typescript": Oxlint("typescript"),
    "tsx": Oxlint("tsx"),
}
