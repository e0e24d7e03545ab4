"""Answers to real findings beyond Python, by their edits: right ones are verified, and wrong ones are not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from patchmill.edit.apply import apply_hunks, locate
from patchmill.edit.protocol import Edit
from patchmill.job.record import Finding, FindingStatus
from patchmill.kinds.languages import language_of
from patchmill.verify.checkers import BY_LANGUAGE
from patchmill.verify.run import verify_fix

VERIFIED, UNCHECKED = FindingStatus.VERIFIED, FindingStatus.UNCHECKED
MISSING = {one.name: one.missing() for checkers in BY_LANGUAGE.values() for one in checkers}

Edits = Sequence[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A file with one finding, the right answer, and wrong ones by what is wrong about them."""

    path: str
    source: str
    finding: tuple[str, str, int]  # tool, rule, line
    right: Edits
    wrong: Mapping[str, Edits]
    message: str = ""
    status: FindingStatus = VERIFIED
    settings: Mapping[str, Any] = field(default_factory=dict)


SCRIPT = "#!/bin/bash\nbackup() {\n  for f in *.log; do\n    gzip $f\n  done\n}\nbackup\n"
STATUS = "#!/bin/bash\nmake all\nif [ $? -ne 0 ]; then\n  exit 1\nfi\n"
APPENDED = '#!/bin/sh\necho a >> "$1"\necho b >> "$1"\necho c >> "$1"\n'
DOCKERFILE = (
    "FROM node:22\nRUN <<EOF\napt-get update\napt-get install -y --no-install-recommends curl\n"
    'rm -rf /var/lib/apt/lists/*\nEOF\nCOPY <<-"END" /etc/x\n\tname = $NAME\n\tEND\nWORKDIR app\nADD a ./b/\n'
)
COMPOSE = "---\nweb:\n  ports: [80,443]\n  image: a\n  image: b\n  enabled: yes\n"
WORKFLOW = (
    "on: issues\npermissions: {}\njobs:\n  greet:\n    name: Greet\n    runs-on: ubuntu-latest\n    steps:\n"
)
WORKFLOW += '      - run: |\n          echo "${{ github.event.issue.title }}"\n          make build\n'
UNSAFE = '      - run: |\n          echo "${{ github.event.issue.title }}"\n'
SAFE = "      - env:\n          TITLE: ${{ github.event.issue.title }}\n"
SAFE += '        run: |\n          echo "$TITLE"\n'
CART = """\
export async function load(path, user) {
  var raw = await user.read(path, "utf8");
  const cart = JSON.parse(raw);
  return cart.owner == user.id ? cart : null;
}
"""
ORDERS = "package a;\n\nimport java.util.List;\n\nclass Orders {\n    boolean has(String a, String b) {\n"
ORDERS += "        return a == b;\n    }\n}\n"
GO = 'package main\n\nimport "fmt"\n\nfunc f(e error) error {\n\treturn fmt.Errorf("x: %v", e)\n}\n'

CASES = {
    "quotes": Case(
        path="bin/a.sh",
        source=SCRIPT,
        finding=("shellcheck", "SC2086", 4),
        right=[("    gzip $f\n", '    gzip "$f"\n')],
        wrong={
            "another command": [("    gzip $f\n", '    bzip2 "$f"\n')],
            "an option more": [("    gzip $f\n", '    gzip -9 "$f"\n')],
            "all in one": [("    gzip $f\n", '    gzip "${f[@]}"\n')],
            "no variable": [("    gzip $f\n", "    gzip '$f'\n")],
            "a suppression": [("    gzip $f\n", "    # shellcheck disable=SC2086\n    gzip $f\n")],
        },
    ),
    "quotes around a pattern": Case(
        path="bin/b.sh",
        source="#!/bin/bash\nrm -f $1/tmp/*\n",
        finding=("shellcheck", "SC2086", 2),
        right=[("rm -f $1/tmp/*\n", 'rm -f "$1"/tmp/*\n')],
        wrong={"quoted pattern": [("rm -f $1/tmp/*\n", 'rm -f "$1/tmp/*"\n')]},
    ),
    "an exit status": Case(
        path="bin/c.sh",
        source=STATUS,
        finding=("shellcheck", "SC2181", 3),
        right=[("make all\nif [ $? -ne 0 ]; then\n", "if ! make all; then\n")],
        wrong={
            "turned around": [("make all\nif [ $? -ne 0 ]; then\n", "if make all; then\n")],
            "another target": [("make all\nif [ $? -ne 0 ]; then\n", "if ! make clean; then\n")],
        },
    ),
    "grouped redirections": Case(
        path="bin/d.sh",
        source=APPENDED,
        finding=("shellcheck", "SC2129", 2),
        right=[(APPENDED[10:], '{\n  echo a\n  echo b\n  echo c\n} >> "$1"\n')],
        wrong={
            "one lost": [(APPENDED[10:], '{\n  echo a\n  echo c\n} >> "$1"\n')],
            "emptied first": [(APPENDED[10:], '{\n  echo a\n  echo b\n  echo c\n} > "$1"\n')],
        },
    ),
    "a script that broke off": Case(
        path="bin/e.sh",
        source="#!/bin/bash\nif [ -f a ]; then\n  echo a\necho b\n",
        finding=("shellcheck", "SC1046", 2),
        right=[("  echo a\necho b\n", "  echo a\nfi\necho b\n")],
        wrong={"one end too many": [("  echo a\necho b\n", "  echo a\nfi\nfi\necho b\n")]},
    ),
    "an unused variable": Case(
        path="bin/f.sh",
        source='#!/bin/sh\nver=1.2\nname=app\necho "$name"\n',
        finding=("shellcheck", "SC2034", 2),
        right=[("ver=1.2\n", "")],
        wrong={"more than that": [("ver=1.2\nname=app\n", "")]},
    ),
    "a here-document of an instruction": Case(
        path="Dockerfile",
        source=DOCKERFILE,
        finding=("hadolint", "DL3008", 2),
        right=[("-recommends curl\n", "-recommends curl=7.88.*\n")],
        wrong={
            "another package": [("-recommends curl\n", "-recommends wget=1\n")],
            "another folder": [("rm -rf /var/lib/apt/lists/*\n", "rm -rf /var/lib/*\n")],
        },
    ),
    "an instruction below a here-document": Case(
        path="Dockerfile",
        source=DOCKERFILE,
        finding=("hadolint", "DL3000", 10),
        right=[("WORKDIR app\n", "WORKDIR /app\n")],
        wrong={
            "another place": [("WORKDIR app\n", "WORKDIR /\n")],
            "another document": [
                ("\tname = $NAME\n\tEND\nWORKDIR app\n", "\tname = a\n\tEND\nWORKDIR /app\n")
            ],
            "a document without end": [("\tEND\nWORKDIR app\n", "WORKDIR /app\n")],
        },
    ),
    "an image without a tag": Case(
        path="Dockerfile",
        source="FROM node\nRUN npm ci\n",
        finding=("hadolint", "DL3006", 1),
        right=[("FROM node\n", "FROM node:22\n")],
        wrong={"another image": [("FROM node\n", "FROM evil/node:22\n")]},
    ),
    "layout of YAML": Case(
        path="deploy/a.yaml",
        source=COMPOSE,
        finding=("yamllint", "commas", 3),
        right=[("[80,443]", "[80, 443]")],
        wrong={
            "another port": [("[80,443]", "[80, 444]")],
            "a port less": [("[80,443]", "[80]")],
            "one string": [("[80,443]", '["80,443"]')],
        },
    ),
    "a truth": Case(
        path="deploy/b.yaml",
        source=COMPOSE,
        finding=("yamllint", "truthy", 6),
        right=[("enabled: yes", "enabled: true")],
        wrong={"the opposite": [("enabled: yes", "enabled: false")]},
    ),
    "a key that is there twice": Case(
        path="deploy/c.yaml",
        source=COMPOSE,
        finding=("yamllint", "key-duplicates", 5),
        right=[("  image: a\n", "")],
        wrong={
            "the one that counts": [("  image: b\n", "")],
            "another name": [("  image: a\n", "  img: a\n")],
        },
    ),
    "an injection": Case(
        path=".github/workflows/a.yml",
        source=WORKFLOW,
        finding=("zizmor", "template-injection", 9),
        right=[(UNSAFE, SAFE)],
        wrong={
            "another field": [(UNSAFE, SAFE.replace("issue.title", "issue.body"))],
            "another target": [(f"{UNSAFE}          make build\n", f"{SAFE}          make install\n")],
        },
    ),
    "keys of JSON": Case(
        path="web/a.json",
        source='{\n  "port": 80,\n  "port": 443\n}\n',
        finding=("biome", "noDuplicateObjectKeys", 2),
        right=[('  "port": 80,\n', "")],
        wrong={"another name": [('  "port": 80,\n', '  "ports": 80,\n')]},
    ),
    "JSON without a comma": Case(
        path="web/b.json",
        source='{\n  "a": 1\n  "b": 2\n}\n',
        finding=("biome", "parse", 3),
        right=[('  "a": 1\n', '  "a": 1,\n')],
        wrong={"an entry less": [('  "b": 2\n', "")], "another value": [('  "a": 1\n', '  "a": 10,\n')]},
    ),
    "CSS": Case(
        path="web/a.css",
        source="a {\n  colr: red;\n}\n",
        finding=("biome", "noUnknownProperty", 2),
        right=[("  colr: red;\n", "  color: red;\n")],
        wrong={"another value": [("  colr: red;\n", "  color: green;\n")]},
    ),
    "a declaration": Case(
        path="src/a.js",
        source=CART,
        finding=("oxlint", "no-var", 2),
        right=[("  var raw =", "  const raw =")],
        wrong={
            "nobody waits": [("  var raw = await user", "  const raw = user")],
            "another encoding": [
                ('  var raw = await user.read(path, "utf8")', '  const raw = await user.read(path, "ascii")')
            ],
        },
    ),
    "a comparison": Case(
        path="src/b.js",
        source="\ufeff" + CART.replace("\n", "\r\n"),
        finding=("eslint", "eqeqeq", 4),
        right=[("cart.owner == user.id", "cart.owner === user.id")],
        wrong={"turned around": [("cart.owner == user.id", "cart.owner !== user.id")]},
    ),
    "a negation that binds too closely": Case(
        path="src/c.js",
        source="export function has(key, map) {\n  if (!key in map) {\n    return 0;\n  }\n  return 1;\n}\n",
        finding=("oxlint", "no-unsafe-negation", 2),
        right=[("!key in map", "!(key in map)")],
        wrong={
            "no negation": [("!key in map", "key in map")],
            "the other way": [("!key in map", "!(map in key)")],
        },
    ),
    "an import that nobody uses": Case(
        path="src/d.js",
        source='import { b, c } from "./b.js";\nimport { d } from "./c.js";\n\nexport const both = [c, d];\n',
        finding=("oxlint", "no-unused-vars", 1),
        right=[("{ b, c }", "{ c }")],
        wrong={"from elsewhere": [('{ b, c } from "./b.js"', '{ c } from "./c.js"')]},
    ),
    "a key twice": Case(
        path="src/e.js",
        source="export const options = {\n  retries: 3,\n  name: 1,\n  retries: 5,\n};\n",
        finding=("oxlint", "no-dupe-keys", 4),
        right=[("  retries: 3,\n", "")],
        wrong={
            "a new key": [("  retries: 3,", "  retry: 3,")],
            "the one that counts": [("  retries: 5,\n", "")],
        },
    ),
    "no number": Case(
        path="src/f.js",
        source="export const missing = (value) => value === NaN;\n",
        finding=("oxlint", "use-isnan", 1),
        right=[("value === NaN", "Number.isNaN(value)")],
        wrong={"turned around": [("value === NaN", "!Number.isNaN(value)")]},
    ),
    "signs in a string": Case(
        path="src/g.js",
        source='export const same = (street) => ["🚗🚗", street == "a"];\n',
        finding=("oxlint", "eqeqeq", 1),
        right=[('street == "a"', 'street === "a"')],
        wrong={"one less": [('"🚗🚗", street == "a"', '"🚗", street === "a"')]},
    ),
    "a value that is there": Case(
        path="src/h.ts",
        source="export const size = (list?: string[]) => ({ first: list!.length, last: 0 });\n",
        finding=("oxlint", "no-non-null-assertion", 1),
        right=[("list!.length", "list?.length")],
        wrong={"turned around": [("list!.length", "!list?.length")]},
    ),
    "an import and its use": Case(
        path="src/Orders.java",
        source=ORDERS,
        finding=("PMD", "UseEqualsToCompareStrings", 7),
        right=[
            ("import java.util.List;\n", "import java.util.List;\nimport java.util.Objects;\n"),
            ("        return a == b;\n", "        return Objects.equals(a, b);\n"),
        ],
        wrong={
            "a suppression": [("        return a == b;\n", "        return a == b; // NOPMD\n")],
            "a dependency": [
                ("import java.util.List;\n", "import java.util.List;\nimport org.acme.StringUtils;\n"),
                ("        return a == b;\n", "        return StringUtils.equals(a, b);\n"),
            ],
        },
        status=UNCHECKED,
    ),
    "an import that goes": Case(
        path="cmd/a.go",
        source=GO,
        finding=("govet", "errorlint", 6),
        right=[("%v", "%w")],
        wrong={
            "a dependency": [
                ('import "fmt"\n', 'import "golang.org/x/xerrors"\n'),
                ("\treturn fmt.Errorf", "\treturn xerrors.Errorf"),
            ]
        },
        status=UNCHECKED,
    ),
}  # fmt: skip


def needs(case: Case) -> list[pytest.MarkDecorator]:
    why = MISSING.get(case.finding[0])
    return [] if why is None else [pytest.mark.skip(reason=why)]


def lines_of(source: str, edits: Edits) -> list[Edit]:
    """The edits with whole lines, as a model writes them."""
    text = source.removeprefix("\ufeff").replace("\r\n", "\n")
    made = []
    for old, new in edits:
        assert text.count(old) == 1, old
        begin = text.rfind("\n", 0, text.index(old)) + 1
        end = text.find("\n", text.index(old) + len(old) - 1) + 1
        whole = text[begin:end]
        made.append(Edit(search=whole, replace=whole.replace(old, new)))
    return made


def answered(case: Case, edits: Edits) -> tuple[str, Sequence[FindingStatus]]:
    """What a file becomes by all that is offered, and the status of each group that is."""
    tool, rule, line = case.finding
    language = language_of(case.path)
    assert language is not None
    located = locate(case.source, lines_of(case.source, edits))
    assert not located.rejections
    found = Finding(
        index=0,
        tool=tool,
        rule=rule,
        message=case.message,
        severity="warning",
        start_line=line,
        end_line=line,
    )
    verdict = verify_fix(
        source=case.source,
        path=case.path,
        language=language,
        findings=[found],
        proposals=located.hunks,
        settings=case.settings,
        scope=None,
    )
    hunks = [hunk for group in verdict.groups for hunk in group.hunks]
    return apply_hunks(case.source, hunks), [group.status for group in verdict.groups]


@pytest.mark.parametrize(
    "name", [pytest.param(name, id=name, marks=needs(case)) for name, case in CASES.items()]
)
def test_a_right_answer_is_offered_and_nothing_else_changes(name: str) -> None:
    case = CASES[name]
    end = "\r\n" if "\r\n" in case.source else "\n"
    expected = case.source
    for old, new in case.right:
        expected = expected.replace(old.replace("\n", end), new.replace("\n", end))

    text, statuses = answered(case, case.right)

    assert set(statuses) == {case.status}
    assert text == expected


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        pytest.param(name, fault, id=f"{name}: {fault}", marks=needs(case))
        for name, case in CASES.items()
        for fault in case.wrong
    ],
)
def test_a_wrong_answer_is_not_offered(name: str, fault: str) -> None:
    case = CASES[name]

    text, statuses = answered(case, case.wrong[fault])

    assert (text, statuses) == (case.source, [])
