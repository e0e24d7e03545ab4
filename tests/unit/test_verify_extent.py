"""What an edit adds beyond the definition that holds a finding: only what the mending calls for."""

import time

import pytest

from patchmill.edit.span import Hunk, split_lines
from patchmill.job.record import Finding, FindingStatus
from patchmill.verify.run import Verdict, verify_fix

SOURCE = """\
import os
import shutil

LIMIT = 10


def f(path):
    if path == None:
        return 0
    return os.stat(path).st_size


def g(x):
    return min(x, LIMIT)


class C:
    size = 1

    def m(self, y):
        if y == None:
            return self.size
        return y

    def n(self):
        return shutil.which("x")
"""
WITH_NUMBER = """\
import os


def f(seconds):
    return seconds > 86400


class C:
    size = 1
"""
SCRIPT = """\
import fs from "fs";

export function f(path) {
  var size = fs.statSync(path).size;
  return size;
}

export function g(x) {
  return x;
}
"""
WORKFLOW = """\
on: push
jobs:
  a:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: echo ${{ github.event.issue.title }}
      - run: make
"""


def verify(
    before: str,
    after: str,
    found: tuple[str, str, int],
    *,
    path: str = "app.py",
    language: str = "python",
    apart: bool = False,
) -> Verdict:
    """Judge the change of a text as one edit, or each change of lines as one."""
    tool, rule, line = found
    finding = Finding(index=0, tool=tool, rule=rule, message="", severity="", start_line=line, end_line=line)
    old, new = split_lines(before), split_lines(after)
    head = next(at for at, (one, other) in enumerate(zip(old, new, strict=False)) if one != other)
    ends = enumerate(zip(old[::-1], new[::-1], strict=False))
    tail = next((at for at, (one, other) in ends if one != other), len(old) - head)
    whole = Hunk(
        start_line=head + 1,
        end_line=len(old) - tail,
        original="".join(old[head : len(old) - tail]),
        replacement="".join(new[head : len(new) - tail]),
    )
    hunks = [whole]
    if apart:
        hunks = [
            Hunk(start_line=2, end_line=1, original="", replacement="DAY_S = 86400\n"),
            Hunk(start_line=5, end_line=5, original=old[4], replacement="    return seconds > DAY_S\n"),
        ]
    return verify_fix(
        source=before,
        path=path,
        language=language,
        findings=[finding],
        proposals=hunks,
        settings={},
        scope=None,
    )


def beyond(verdict: Verdict) -> bool:
    words = [check.detail for refusal in verdict.refusals for check in refusal.checks]
    return not verdict.groups and any("is beyond the definition" in detail for detail in words)


@pytest.mark.parametrize(
    "added",
    [
        '_ = shutil.rmtree("x")',
        "LIMIT = 5",
        "LIMIT += 1",
        "min = max",
        "if LIMIT:\n    os.sync()",
        'with open("x", "w") as h:\n    h.write("")',
        'try:\n    os.remove("x")\nexcept OSError:\n    LIMIT = 0',
        "def h(x):\n    return x",
        "def min(*x):\n    return 0",
        "def __getattr__(name):\n    return 1",
        'os.environ["X"] = "1"',
        "os.stat = print",
        '__all__ = ["g"]',
        "class D:\n    f = os.remove",
        "# coding: utf-7",
        "# a remark by the way",
    ],
)
@pytest.mark.parametrize("at", ["def f(path)", "def g(x)", "class C"])
def test_beyond_the_definition_nothing_comes_in_that_the_mending_does_not_call_for(
    added: str, at: str
) -> None:
    after = SOURCE.replace("path == None", "path is None").replace(at, f"{added}\n\n\n{at}")

    assert beyond(verify(SOURCE, after, ("ruff", "E711", 8)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("def f(path)", "@staticmethod\ndef f(path)"),
        ("def g(x)", "@property\ndef g(x)"),
        ("    return os.stat(path).st_size\n", "    return os.stat(path).st_size\n\n\nshutil.x = 1\n"),
    ],
)
def test_no_definition_is_decorated_and_nothing_done_after_it(old: str, new: str) -> None:
    after = SOURCE.replace("path == None", "path is None").replace(old, new)

    assert beyond(verify(SOURCE, after, ("ruff", "E711", 8)))


@pytest.mark.parametrize(
    "added",
    [
        "    def __bool__(self):\n        return False\n\n    def n",
        "    __slots__ = ()\n\n    def n",
        "    which = m\n\n    def n",
    ],
)
def test_a_class_gets_nothing_that_a_finding_in_one_of_its_methods_does_not_call_for(added: str) -> None:
    after = SOURCE.replace("y == None", "y is None").replace("    def n", added)

    assert beyond(verify(SOURCE, after, ("ruff", "E711", 21)))


def test_a_method_may_get_the_decorator_that_a_finding_in_its_header_wants() -> None:
    source = "class C:\n    def m(self, x=[]):\n        return x\n"
    after = source.replace("    def m(self, x=[])", "    @staticmethod\n    def m(x=())")

    assert verify(source, after, ("ruff", "B006", 2)).groups


@pytest.mark.parametrize(
    "added",
    [
        "DAY_S = 86400",
        "# A remark about it.\nDAY_S = 86400",
    ],
)
def test_what_the_mending_uses_may_be_defined_anywhere(added: str) -> None:
    after = WITH_NUMBER.replace("86400", "DAY_S").replace("class C", f"{added}\n\n\nclass C")

    assert verify(WITH_NUMBER, after, ("ruff", "PLR2004", 5)).findings[0] == (FindingStatus.VERIFIED, None)


def test_a_name_that_a_finding_misses_may_be_defined_anywhere() -> None:
    source = "def f(x):\n    return x + LIMIT\n"

    assert verify(source, f"LIMIT = 10\n\n\n{source}", ("ruff", "F821", 2)).groups


def test_a_definition_waits_for_the_edit_that_calls_for_it() -> None:
    after = WITH_NUMBER.replace("86400", "DAY_S")
    verdict = verify(WITH_NUMBER, after, ("ruff", "PLR2004", 5), apart=True)

    assert [len(group.hunks) for group in verdict.groups] == [2]


@pytest.mark.parametrize(
    "added",
    [
        'if (fs) {\n  fs.rmSync("x");\n}',
        "export function h() {\n  return 1;\n}",
        "fs.statSync = () => 0;",
        "export default f;",
        'export const _x = fs.rmSync("x");',
    ],
)
def test_the_same_holds_where_brackets_hold_what_belongs_together(added: str) -> None:
    after = SCRIPT.replace("  var", "  const").replace("export function g", f"{added}\n\nexport function g")

    assert beyond(verify(SCRIPT, after, ("eslint", "no-var", 4), path="a.js", language="javascript"))


def test_a_module_is_not_imported_for_what_it_does() -> None:
    after = 'import "child_process";\n' + SCRIPT.replace("  var", "  const")

    assert beyond(verify(SCRIPT, after, ("eslint", "no-var", 4), path="a.js", language="javascript"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("on: push\n", "on: push\npermissions: write-all\n"),
        ("ubuntu-latest", "self-hosted"),
        ("checkout@v4", "checkout@v3"),
        ("      - run: make\n", ""),
        ("    steps:", "    continue-on-error: true\n    steps:"),
    ],
)
def test_of_a_file_of_entries_only_those_change_that_hold_a_finding(old: str, new: str) -> None:
    mended = WORKFLOW.replace(
        "- run: echo ${{ github.event.issue.title }}\n",
        '- run: echo "$TITLE"\n        env:\n          TITLE: ${{ github.event.issue.title }}\n',
    )
    found = ("zizmor", "template-injection", 7)
    path = ".github/workflows/a.yml"

    assert verify(WORKFLOW, mended, found, path=path, language="yaml").groups
    assert not verify(WORKFLOW, mended.replace(old, new), found, path=path, language="yaml").groups


@pytest.mark.parametrize(
    ("old", "new"),
    [("COPY a /x/\n", "# COPY a /x/\n"), ("FROM debian:12", "FROM debian:11"), ("-y b", "-y c")],
)
def test_of_a_dockerfile_only_the_instruction_of_a_finding_changes(old: str, new: str) -> None:
    source = "FROM debian:12\nCOPY a /x/\nMAINTAINER me\nRUN apt-get install \\\n  -y b\n"
    mended = source.replace("MAINTAINER me", 'LABEL maintainer="me"')
    found = ("hadolint", "DL4000", 3)

    def offers(after: str) -> bool:
        return bool(verify(source, after, found, path="Dockerfile", language="dockerfile").groups)

    assert offers(mended)
    assert not offers(mended.replace(old, new))


def test_a_statement_of_a_script_does_not_make_those_beside_it_its_own() -> None:
    source = "#!/bin/bash\nif true; then\n  rm -rf $1\n  ls\nfi\n"
    mended = source.replace("rm -rf $1", 'rm -rf "$1"')
    found = ("shellcheck", "SC2086", 3)

    assert verify(source, mended, found, path="a.sh", language="bash").groups
    assert not verify(source, mended.replace("  ls\n", ""), found, path="a.sh", language="bash").groups


def test_hostile_text_is_placed_in_linear_time() -> None:
    chain = "".join(f"a{number} = a{number + 1}\n" for number in range(5_000))
    word, slashes = "w" * 60_000, "/" * 60_000
    texts = [chain, f"{word} x = 1\n", f"{slashes} = 1\n", "}\n" * 5_000, '"' * 60_000, "w " * 30_000]
    began = time.process_time()

    for text in texts:
        after = SOURCE.replace("path == None", "a0 is None").replace("import os\n", f"import os\n{text}")
        verify(SOURCE, after, ("ruff", "E711", 8))

    assert time.process_time() - began < 20
