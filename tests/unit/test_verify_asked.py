"""Which rules free what, held against the names that the checkers know."""

import json
import re
import subprocess

import pytest
import ruff

from patchmill.kinds.checker_settings import YAMLLINT_RULES
from patchmill.verify.checkers import oxlint
from patchmill.verify.guards import asked

# By what is asked for: rules that want it, and rules with like words that do not.
RULES: dict[str, tuple[str, str]] = {
    "OF_OPERATORS": (
        """
        yoda-conditions true-false-comparison not-in-test negate-equal-op type-comparison eqeqeq
        no-self-compare operator-assignment prefer-math-min-max no-negated-condition
        compare-to-empty-string
        """,
        """
        magic-value-comparison private-member-access no-explicit-stacklevel zip-without-explicit-strict
        async-zero-sleep module-import-not-at-top-of-file unannotated-assignment-in-stub
        """,
    ),
    "OF_NAMES": (
        """
        undefined-name invalid-class-name os-error-alias deprecated-import suspicious-pickle-usage
        os-path-join no-shadow no-undef prefer-const
        """,
        """
        unused-import unsorted-imports unnecessary-list-call call-datetime-now-without-tzinfo
        isinstance-type-none no-prototype-builtins blanket-type-ignore collections-named-tuple no-caller
        """,
    ),
    "OF_TEXT": (
        """
        non-imperative-mood missing-trailing-period commented-out-code hardcoded-password-string
        no-control-regex invalid-escape-sequence comments
        """,
        """
        missing-whitespace trailing-whitespace whitespace-before-parameters repeated-keyword-argument
        fallible-context-manager no-path-concat document-start star-arg-unpacking-after-keyword-arg
        """,
    ),
    "OF_NUMBERS": (
        """
        bad-file-permissions non-unique-enums sys-version-slice3 no-loss-of-precision octal-values
        key-duplicates
        """,
        """
        magic-value-comparison no-magic-numbers line-too-long
        """,
    ),
    "OF_UNUSED": (
        """
        unused-variable unused-loop-control-variable unused-unpacked-variable unused-function-argument
        """,
        """
        unused-import unused-noqa unused-private-type-var
        """,
    ),
    "OF_LEAVING": (
        """
        implicit-return assert bare-except superfluous-else-return complex-structure no-fallthrough
        if-tuple unused-function-argument no-unreachable
        """,
        """
        modified-iterating-set delete-full-slice django-model-without-dunder-str
        nested-min-max unspecified-encoding none-comparison ssh-no-host-key-verification

        """,
    ),
    "OF_LOOPS": (
        """
        enumerate-for-loop no-unreachable-loop async-busy-wait
        """,
        """
        none-comparison unused-import
        """,
    ),
    "OF_ORDER": (
        """
        unsorted-imports yoda-conditions incorrect-decorator-order default-param-last sort-keys
        key-ordering
        """,
        """
        mutable-argument-default whitespace-before-parameters blank-line-after-function
        unused-lambda-argument unprefixed-type-param no-param-reassign
        """,
    ),
    "OF_ERRORS": (
        """
        blind-except raise-vanilla-class assert-raises-exception type-check-without-type-error
        no-throw-literal
        """,
        """
        bare-except raise-without-from-inside-except try-except-pass
        """,
    ),
    "OF_ARGUMENTS": (
        """
        logging-f-string hardcoded-sql-expression unused-function-argument
        """,
        """
        call-datetime-now-without-tzinfo subprocess-run-without-check line-too-long
        """,
    ),
}


@pytest.fixture(scope="module")
def known() -> set[str]:
    told = subprocess.run(
        [ruff.find_ruff_bin(), "rule", "--all", "--output-format", "json"], capture_output=True, check=True
    )
    catalogue = oxlint._catalogue()
    assert isinstance(catalogue, oxlint._Catalogue)
    names = {rule["name"] for rule in json.loads(told.stdout)}
    return names | set(catalogue.by_name) | YAMLLINT_RULES


@pytest.mark.parametrize("what", RULES)
def test_a_rule_frees_what_it_is_about_and_nothing_else(what: str, known: set[str]) -> None:
    wanted, others = (names.split() for names in RULES[what])
    pattern = getattr(asked, what)

    assert known >= {*wanted, *others}
    assert [name for name in wanted if not pattern.search(name)] == []
    assert [name for name in others if pattern.search(name)] == []


def test_each_pattern_is_held_against_rules() -> None:
    assert {*RULES} == {name for name, value in vars(asked).items() if isinstance(value, re.Pattern)}
