"""Which settings of a checker a request may carry: an allow-list, so that settings are only ever data."""

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_MAX_ITEMS = 1_000
_MAX_CHARACTERS = 65_536  # of a whole list: it must fit into one argument of a command
_SELECTOR = re.compile(r"[A-Z]{1,12}[0-9]{0,6}|[a-z][a-z0-9-]{1,80}")
_NAME = re.compile(r"[A-Za-z0-9_.*-]{1,200}")
_GLOBAL = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]{0,199}")
_MYPY_CODE = re.compile(r"[a-z][a-z-]{1,40}")
_WORDS = re.compile(r"[A-Za-z][A-Za-z-]{0,60}")
_SHELLCHECK_RULE = re.compile(r"SC\d{4}")
_BIOME_RULE = re.compile(r"[a-z][a-zA-Z0-9/]{1,100}")
_OXLINT_RULE = re.compile(r"[@a-z][a-z0-9@/_()-]{1,100}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One allowed setting: whether it accepts a JSON value, and in words which values those are."""

    accepts: Callable[[Any], bool]
    expects: str


def _flag() -> Setting:
    return Setting(accepts=lambda value: isinstance(value, bool), expects="true or false")


def _integer(low: int, high: int) -> Setting:
    def accepts(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high

    return Setting(accepts=accepts, expects=f"an integer from {low} to {high}")


def _choice(*words: str) -> Setting:
    return Setting(
        accepts=lambda value: isinstance(value, str) and value in words,
        expects=f"one of {', '.join(words)}",
    )


def _either(one: Setting, other: Setting, expects: str) -> Setting:
    return Setting(accepts=lambda value: one.accepts(value) or other.accepts(value), expects=expects)


def _list(item: re.Pattern[str], expects: str) -> Setting:
    def accepts(value: Any) -> bool:
        return (
            isinstance(value, list)
            and len(value) <= _MAX_ITEMS
            and all(isinstance(entry, str) and item.fullmatch(entry) for entry in value)
            and sum(map(len, value)) <= _MAX_CHARACTERS
        )

    most = f"at most {_MAX_ITEMS:,} in {_MAX_CHARACTERS:,} characters"
    return Setting(accepts=accepts, expects=f"a list of {expects}; {most}")


def _selectors() -> Setting:
    return _list(_SELECTOR, "rules, such as B006, or prefixes of rules, such as B, or ALL")


def _names() -> Setting:
    return _list(_NAME, "names, of letters, digits and _ . * -")


TARGET_VERSIONS = tuple(f"py3{minor}" for minor in range(7, 16))

RUFF: Mapping[str, Setting] = {
    "target-version": _choice(*TARGET_VERSIONS),
    "line-length": _integer(1, 320),
    "select": _selectors(),
    "extend-select": _selectors(),
    "ignore": _selectors(),
    "preview": _flag(),
    "builtins": _names(),
    "format": _flag(),
    "format.docstring-code-format": _flag(),
    "format.indent-style": _choice("space", "tab"),
    "format.quote-style": _choice("single", "double", "preserve"),
    "format.skip-magic-trailing-comma": _flag(),
    "lint.typing-modules": _names(),
    "lint.mccabe.max-complexity": _integer(0, 10_000),
    "lint.pylint.max-args": _integer(0, 10_000),
    "lint.pylint.max-bool-expr": _integer(0, 10_000),
    "lint.pylint.max-branches": _integer(0, 10_000),
    "lint.pylint.max-locals": _integer(0, 10_000),
    "lint.pylint.max-nested-blocks": _integer(0, 10_000),
    "lint.pylint.max-positional-args": _integer(0, 10_000),
    "lint.pylint.max-public-methods": _integer(0, 10_000),
    "lint.pylint.max-returns": _integer(0, 10_000),
    "lint.pylint.max-statements": _integer(0, 10_000),
    "lint.pycodestyle.max-doc-length": _integer(1, 320),
    "lint.pycodestyle.max-line-length": _integer(1, 320),
    "lint.pydocstyle.convention": _choice("google", "numpy", "pep257"),
    "lint.pydocstyle.ignore-decorators": _names(),
    "lint.pydocstyle.property-decorators": _names(),
    "lint.pep8-naming.classmethod-decorators": _names(),
    "lint.pep8-naming.ignore-names": _names(),
    "lint.pep8-naming.staticmethod-decorators": _names(),
    "lint.pyupgrade.keep-runtime-typing": _flag(),
    "lint.flake8-annotations.allow-star-arg-any": _flag(),
    "lint.flake8-annotations.mypy-init-return": _flag(),
    "lint.flake8-annotations.suppress-dummy-args": _flag(),
    "lint.flake8-annotations.suppress-none-returning": _flag(),
    "lint.flake8-boolean-trap.extend-allowed-calls": _names(),
    "lint.flake8-bugbear.extend-immutable-calls": _names(),
    "lint.flake8-pytest-style.fixture-parentheses": _flag(),
    "lint.flake8-pytest-style.mark-parentheses": _flag(),
    "lint.flake8-quotes.docstring-quotes": _choice("single", "double"),
    "lint.flake8-quotes.inline-quotes": _choice("single", "double"),
    "lint.flake8-quotes.multiline-quotes": _choice("single", "double"),
    "lint.flake8-tidy-imports.ban-relative-imports": _choice("all", "parents"),
    "lint.flake8-type-checking.strict": _flag(),
    "lint.flake8-unused-arguments.ignore-variadic-names": _flag(),
    "lint.isort.combine-as-imports": _flag(),
    "lint.isort.extra-standard-library": _names(),
    "lint.isort.force-single-line": _flag(),
    "lint.isort.force-sort-within-sections": _flag(),
    "lint.isort.known-first-party": _names(),
    "lint.isort.known-local-folder": _names(),
    "lint.isort.known-third-party": _names(),
    "lint.isort.lines-after-imports": _integer(-1, 100),
    "lint.isort.order-by-type": _flag(),
    "lint.isort.split-on-trailing-comma": _flag(),
}

# The environments whose globals oxlint knows.
ENVIRONMENTS = (
    *("builtin", "browser", "node", "commonjs", "shared-node-browser", "worker", "serviceworker"),
    *("jest", "vitest", "mocha", "jasmine", "jquery", "webextensions", "greasemonkey"),
    *(f"es{year}" for year in range(2015, 2027)),
)

OXLINT: Mapping[str, Setting] = {
    "env": Setting(
        accepts=lambda value: (
            isinstance(value, list)
            and len(value) <= len(ENVIRONMENTS)
            and all(isinstance(entry, str) and entry in ENVIRONMENTS for entry in value)
        ),
        expects=f"a list of environments, of {', '.join(ENVIRONMENTS)}",
    ),
    "globals": _list(_GLOBAL, "names that exist everywhere"),
    "select": _list(_OXLINT_RULE, "rules, such as no-var or typescript/no-explicit-any, or categories"),
    "ignore": _list(_OXLINT_RULE, "rules, such as no-var or typescript/no-explicit-any, or categories"),
}

# mypy looks at the hints that a job adds only if the request names it, be it without any setting.
MYPY: Mapping[str, Setting] = {
    "disable-error-code": _list(_MYPY_CODE, "codes of errors, such as union-attr"),
    "enable-error-code": _list(_MYPY_CODE, "codes of errors, such as redundant-expr"),
    "implicit-optional": _flag(),
    "strict-optional": _flag(),
}

SHELLCHECK: Mapping[str, Setting] = {
    "shell": _choice("sh", "bash", "dash", "ksh", "busybox"),
    "severity": _choice("error", "warning", "info", "style"),
    "enable": _list(_WORDS, "optional checks, such as require-double-brackets, or all"),
    "ignore": _list(_SHELLCHECK_RULE, "rules, such as SC2086"),
}

# Hadolint is told nothing: whatever it could be told is about what a project trusts.
HADOLINT: Mapping[str, Setting] = {}

YAMLLINT_RULES = frozenset(
    (
        *("anchors", "braces", "brackets", "colons", "commas", "comments", "comments-indentation"),
        *("document-end", "document-start", "empty-lines", "empty-values", "float-values", "hyphens"),
        *("indentation", "key-duplicates", "key-ordering", "line-length", "new-line-at-end-of-file"),
        *("new-lines", "octal-values", "quoted-strings", "trailing-spaces", "truthy"),
    )
)

YAMLLINT: Mapping[str, Setting] = {
    "extends": _choice("default", "relaxed"),
    "select": _list(_WORDS, "rules, such as line-length"),
    "ignore": _list(_WORDS, "rules, such as line-length"),
    "braces.max-spaces-inside": _integer(-1, 1_000),
    "braces.min-spaces-inside": _integer(-1, 1_000),
    "brackets.max-spaces-inside": _integer(-1, 1_000),
    "brackets.min-spaces-inside": _integer(-1, 1_000),
    "colons.max-spaces-after": _integer(-1, 1_000),
    "colons.max-spaces-before": _integer(-1, 1_000),
    "commas.max-spaces-after": _integer(-1, 1_000),
    "comments.min-spaces-from-content": _integer(-1, 1_000),
    "comments.require-starting-space": _flag(),
    "document-end.present": _flag(),
    "document-start.present": _flag(),
    "empty-lines.max": _integer(0, 1_000),
    "empty-lines.max-end": _integer(0, 1_000),
    "empty-lines.max-start": _integer(0, 1_000),
    "hyphens.max-spaces-after": _integer(0, 1_000),
    "indentation.check-multi-line-strings": _flag(),
    "indentation.indent-sequences": _either(
        _flag(), _choice("whatever", "consistent"), "true, false, whatever or consistent"
    ),
    "indentation.spaces": _either(_integer(1, 100), _choice("consistent"), "an integer or consistent"),
    "line-length.allow-non-breakable-inline-mappings": _flag(),
    "line-length.allow-non-breakable-words": _flag(),
    "line-length.max": _integer(1, 100_000),
    "octal-values.forbid-explicit-octal": _flag(),
    "octal-values.forbid-implicit-octal": _flag(),
    "quoted-strings.quote-type": _choice("single", "double", "any", "consistent"),
    "quoted-strings.required": _either(_flag(), _choice("only-when-needed"), "a flag or only-when-needed"),
    "truthy.allowed-values": _list(_WORDS, "words, such as yes or true"),
    "truthy.check-keys": _flag(),
}

ZIZMOR: Mapping[str, Setting] = {
    "persona": _choice("regular", "pedantic", "auditor"),
    "min-severity": _choice("informational", "low", "medium", "high"),
    "min-confidence": _choice("low", "medium", "high"),
    "ignore": _list(_WORDS, "audits, such as artipacked"),
}

BIOME: Mapping[str, Setting] = {
    "select": _list(_BIOME_RULE, "rules, such as noDebugger or suspicious/noDebugger, or groups"),
    "ignore": _list(_BIOME_RULE, "rules, such as noDebugger or suspicious/noDebugger, or groups"),
    "json.allow-comments": _flag(),
    "json.allow-trailing-commas": _flag(),
    "css.modules": _flag(),
    "css.tailwind-directives": _flag(),
}

SETTINGS: Mapping[str, Mapping[str, Setting]] = {
    "ruff": RUFF,
    "oxlint": OXLINT,
    "shellcheck": SHELLCHECK,
    "hadolint": HADOLINT,
    "yamllint": YAMLLINT,
    "zizmor": ZIZMOR,
    "biome": BIOME,
    "mypy": MYPY,
}


def settings_errors(checkers: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Check a request's `checkers` object against the allow-list.

    Gives (JSON pointer relative to `checkers`, what is wrong and what would be right); empty if all is well.
    """
    errors: list[tuple[str, str]] = []
    for checker, values in checkers.items():
        pointer = f"/{_escaped(checker)}"
        allowed = SETTINGS.get(checker)
        if allowed is None:
            errors.append((pointer, f"no such checker{_nearest(checker, SETTINGS)}"))
        elif not isinstance(values, Mapping):
            errors.append((pointer, "must be an object of settings"))
        else:
            errors += [
                (f"{pointer}/{_escaped(name)}", wrong)
                for name, value in values.items()
                if (wrong := _wrong(allowed, name, value)) is not None
            ]
    return errors


def target_version(checkers: Mapping[str, Any]) -> tuple[int, int] | None:
    """The oldest Python that the code must run on, as (major, minor), if the settings say so."""
    name = checkers.get("ruff", {}).get("target-version")
    return None if name is None else (3, int(name.removeprefix("py3")))


def _wrong(allowed: Mapping[str, Setting], name: str, value: Any) -> str | None:
    setting = allowed.get(name)
    if setting is None:
        return f"no such setting{_nearest(name, allowed)}"
    return None if setting.accepts(value) else f"must be {setting.expects}"


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    """A hint at the known name that was probably meant; a setting may be written without its section."""
    tails = {full.rpartition(".")[2]: full for full in known} | {full: full for full in known}
    matches = difflib.get_close_matches(name[:200], tails, n=1)
    if matches:
        return f"; did you mean `{tails[matches[0]]}`?"
    return f"; known: {', '.join(sorted(known)[:8])}" if known else "; it has none"


def _escaped(name: str) -> str:
    """A name as one step of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")
