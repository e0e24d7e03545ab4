"""Biome reads the one file: what its rules would look at elsewhere is not asked of it."""

import pytest

from patchmill.verify.checkers.biome import Biome


@pytest.mark.parametrize(
    "rule", ["noUndeclaredDependencies", "lint/nursery/noUnresolvedImports", "noImportCycles"]
)
def test_a_rule_that_would_look_at_other_files_is_none_for_biome(rule: str) -> None:
    checker = Biome("javascript")
    if checker.missing() is not None:
        pytest.skip("biome is not installed")

    assert checker.canonical_rule(rule) is None
    assert checker.canonical_rule("noDebugger") == "lint/suspicious/noDebugger"
