"""Of entries with the same key the last one counts, so that any other may go, and only another."""

import pytest

from patchmill.edit.span import Hunk
from patchmill.job.record import Finding, FindingStatus
from patchmill.verify.run import Verdict, verify_fix

YAML = "a: 1\nb:\n  a: 5\nc: 3\na: 2\n"
JSON = '{\n  "a": 1,\n  "b": {\n    "a": 7\n  },\n  "a": 3\n}\n'
PYTHON = 'D = {\n    "a": 1,\n    "b": 2,\n    "a": 3,\n}\n'
SCRIPT = "const d = {\n  a: 1,\n  b: 2,\n  a: 3,\n};\nexport default d;\n"
NESTED = "a:\n  x: 1\nc: 3\na:\n  x: 2\n"
ITEMS = "- a: 1\n  a: 2\n- b: 1\n"
ALIKE = "a:\n  r: 1\n  r: 3\nb:\n  r: 3\n"
FILES = {
    "yaml": (YAML, "yamllint", "key-duplicates", 5, "a.yml"),
    "json": (JSON, "biome", "lint/suspicious/noDuplicateObjectKeys", 2, "a.json"),
    "python": (PYTHON, "ruff", "F601", 4, "a.py"),
    "javascript": (SCRIPT, "eslint", "no-dupe-keys", 4, "a.js"),
    "crlf": (NESTED.replace("\n", "\r\n"), "yamllint", "key-duplicates", 4, "a.yml"),
    "items": (ITEMS, "yamllint", "key-duplicates", 2, "a.yml"),
    "alike": (ALIKE, "yamllint", "key-duplicates", 3, "a.yml"),
}


def edit(language: str, after: str) -> Verdict:
    source, tool, rule, line, path = FILES[language]
    found = Finding(index=0, tool=tool, rule=rule, message="", severity="", start_line=line, end_line=line)
    return verify_fix(
        source=source,
        path=path,
        language=language if language in {"json", "python", "javascript"} else "yaml",
        findings=[found],
        proposals=[Hunk(start_line=1, end_line=source.count("\n"), original=source, replacement=after)],
        settings={},
        scope=None,
    )


@pytest.mark.parametrize(
    ("language", "first"),
    [
        ("items", "a: 1\n  "),
        ("alike", "  r: 1\n"),
        ("yaml", "a: 1\n"),
        ("json", '  "a": 1,\n'),
        ("python", '    "a": 1,\n'),
        ("javascript", "  a: 1,\n"),
    ],
)
def test_what_does_not_count_may_go(language: str, first: str) -> None:
    verdict = edit(language, FILES[language][0].replace(first, "", 1))

    assert verdict.findings[0] == (FindingStatus.VERIFIED, None)


@pytest.mark.parametrize(
    ("language", "old", "new"),
    [
        ("yaml", "a: 2\n", ""),
        ("yaml", "a: 2\n", "d: 2\n"),
        ("yaml", "  a: 5\n", "  z: 5\n"),
        ("json", '},\n  "a": 3\n', "}\n"),
        ("python", '    "a": 3,\n', ""),
        ("python", '    "a": 3,\n', '    "a2": 3,\n'),
        ("javascript", "  a: 3,\n", ""),
        ("crlf", "a:\r\n  x: 2\r\n", ""),
        ("items", "  a: 2\n", ""),
        ("alike", "  r: 3\nb", "b"),
    ],
)
def test_what_counts_stays(language: str, old: str, new: str) -> None:
    assert edit(language, FILES[language][0].replace(old, new)).groups == ()


def test_of_two_that_say_the_same_either_may_go() -> None:
    verdict = edit("yaml", YAML.replace("a: 2\n", "").replace("a: 1\n", "a: 2\n", 1))

    assert verdict.groups
