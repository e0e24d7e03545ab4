"""The checkers, one file each, by the language that they read; a new one is a file and a line here."""

from patchmill.verify.checker import Checker
from patchmill.verify.checkers import biome, hadolint, shellcheck, yamllint, zizmor
from patchmill.verify.checkers.biome import Biome
from patchmill.verify.checkers.hadolint import Hadolint
from patchmill.verify.checkers.oxlint import Oxlint
from patchmill.verify.checkers.ruff import Ruff
from patchmill.verify.checkers.shellcheck import Shellcheck
from patchmill.verify.checkers.yamllint import Yamllint
from patchmill.verify.checkers.zizmor import Zizmor

BY_LANGUAGE: dict[str, tuple[Checker, ...]] = {
    "python": (Ruff(),),
    "javascript": (Oxlint("javascript"), Biome("javascript")),
    "typescript": (Oxlint("typescript"), Biome("typescript")),
    "tsx": (Oxlint("tsx"), Biome("tsx")),
    "bash": (Shellcheck(),),
    "dockerfile": (Hadolint(),),
    "yaml": (Yamllint(), Zizmor()),
    "json": (Biome("json"),),
    "css": (Biome("css"),),
}

# What only the extra installs.
PROGRAMS = tuple(module.PROGRAM for module in (shellcheck, hadolint, yamllint, zizmor, biome))
