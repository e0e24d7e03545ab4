"""For each checker and each of its languages: texts that it must find right, broken, faulty and silenced."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """For one checker: a file without fault, one that does not parse, one with a rule broken, and where."""

    path: str
    right: str
    broken: str
    faulty: str
    rule: str
    place: tuple[int, int, int, int]
    silenced: tuple[str, ...]  # the faulty line with each kind of suppression that its tools know
    filler: str  # a line without fault


SCRIPT_SILENCED = (
    "debugger; // eslint-disable-line",
    "debugger; // eslint-disable-line no-debugger",
    "debugger; // oxlint-disable-line",
    "debugger; /* oxlint-disable-line no-debugger -- it is needed */",
    "// eslint-disable-next-line\ndebugger;",
    "// oxlint-disable-next-line no-debugger\ndebugger;",
    "/* eslint-disable */\ndebugger;",
    "/* oxlint-disable no-debugger */\ndebugger;",
    "/* eslint no-debugger: off */\ndebugger;",
    "// @ts-nocheck\n// @ts-ignore\ndebugger;",
)
COMMENT = f"# {'a' * 100}\n"
WORKFLOW = """\
# app
on: push
permissions: {}
jobs:
  a:
    name: a
    runs-on: ubuntu-latest
    timeout-minutes: 1
    steps:
"""
SAMPLES = {
    ("python", "ruff"): Sample(
        path="app.py",
        right="x = 1\n",
        broken="def f(:\n",
        faulty="# é\U0001d54f\ndef f(a, \U0001d41b=[]):\n    return a\n",
        rule="B006",
        place=(2, 12, 2, 14),
        silenced=(
            "def f(a=[]):  # noqa",
            "def f(a=[]):  # noqa: B006",
            "# ruff: noqa\ndef f(a=[]):",
            "# flake8: noqa\ndef f(a=[]):",
        ),
        filler="x = 1\n",
    ),
    ("javascript", "oxlint"): Sample(
        path="app.js",
        right="export const x = 1;\n",
        broken="function f( {\n",
        faulty="// é\U0001d54f\nexport const \U0001d41b = 1; debugger;\n",
        rule="eslint(no-debugger)",
        place=(2, 21, 2, 30),
        silenced=SCRIPT_SILENCED,
        filler="console.log(1);\n",
    ),
    ("typescript", "oxlint"): Sample(
        path="app.ts",
        right="export const x: number = 1;\n",
        broken="let x: = 1;\n",
        faulty="// é\U0001d54f\nexport let \U0001d41b: any = 1;\n",
        rule="typescript(no-explicit-any)",
        place=(2, 15, 2, 18),
        silenced=(
            "export let b: any; // eslint-disable-line",
            "export let b: any; // oxlint-disable-line",
            "/* oxlint-disable typescript/no-explicit-any */\nexport let b: any;",
            "// @ts-nocheck\nexport let b: any;",
        ),
        filler="console.log(1);\n",
    ),
    ("tsx", "oxlint"): Sample(
        path="app.tsx",
        right="export const X = () => <p>x</p>;\n",
        broken="export const X = () => <p>x</b>;\n",
        faulty="// é\U0001d54f\nexport const \U0001d41b = [1].map(() => <i/>);\n",
        rule="react(jsx-key)",
        place=(2, 22, 2, 25),
        silenced=("export const b = [1].map(() => <i/>); // oxlint-disable-line",),
        filler="console.log(1);\n",
    ),
    ("javascript", "biome"): Sample(
        path="app.js",
        right="export const x = 1;\n",
        broken="function f( {\n",
        faulty="// é\U0001d54f\nexport const \U0001d41b = 1; debugger;\n",
        rule="lint/suspicious/noDebugger",
        place=(2, 21, 2, 30),
        silenced=(
            "// biome-ignore lint/suspicious/noDebugger: it is needed\ndebugger;",
            "// biome-ignore-all lint: it is needed\ndebugger;",
            "// biome-ignore-start lint: it is needed\ndebugger;",
        ),
        filler="console.log(1);\n",
    ),
    ("typescript", "biome"): Sample(
        path="app.ts",
        right="export const x: number = 1;\n",
        broken="let x: = 1;\n",
        faulty="// é\U0001d54f\nexport let \U0001d41b: any = 1;\n",
        rule="lint/suspicious/noExplicitAny",
        place=(2, 15, 2, 18),
        silenced=("// biome-ignore lint: it is needed\nexport let b: any;",),
        filler="console.log(1);\n",
    ),
    ("tsx", "biome"): Sample(
        path="app.tsx",
        right="export const X = () => <p>x</p>;\n",
        broken="export const X = () => <p>x</b>;\n",
        faulty="// é\U0001d54f\nexport const \U0001d41b = 1; debugger;\n",
        rule="lint/suspicious/noDebugger",
        place=(2, 21, 2, 30),
        silenced=("// biome-ignore lint: it is needed\ndebugger;",),
        filler="console.log(1);\n",
    ),
    ("bash", "shellcheck"): Sample(
        path="app.bash",
        right='#!/bin/bash\necho "$1"\n',
        broken="#!/bin/bash\nif true; then\n",
        faulty='# shellcheck shell=bash é\U0001d54f\necho "\U0001d54f" $1\n',
        rule="SC2086",
        place=(2, 10, 2, 12),
        silenced=(
            "# shellcheck disable=SC2086\necho $1",
            "# shellcheck disable=all\n\necho $1",
            "#\t shellcheck  disable=SC2086 # it is needed\necho $1",
            "# shellcheck shell=bash disable=SC2086\necho $1",
            "# shellcheck shell=dash\n# shellcheck disable=SC2000-SC3000\necho $1",
        ),
        filler=COMMENT,
    ),
    ("dockerfile", "hadolint"): Sample(
        path="Dockerfile",
        right="FROM debian:12\n",
        broken="FROM debian:12\nRUNN true\n",
        faulty="# é\U0001d54f\nFROM debian\n",
        rule="DL3006",
        place=(2, 1, 2, 12),
        silenced=(
            "# hadolint ignore=DL3006\nFROM debian",
            "# hadolint global ignore=DL3006\nFROM debian",
            "#  hadolint ignore=DL3006,DL3007 # it is needed\nFROM debian",
        ),
        filler=COMMENT,
    ),
    ("yaml", "yamllint"): Sample(
        path="app.yaml",
        right="a: [1, 2]\n",
        broken="a: [1\nb: 2\n",
        faulty='# é\U0001d54f\n"\U0001d54f": [1,2]\n',
        rule="commas",
        place=(2, 9, 2, 9),
        silenced=(
            "a: [1,2]  # yamllint disable-line",
            "a: [1,2]  # yamllint disable-line rule:commas",
            "# yamllint disable\na: [1,2]",
            "# yamllint disable rule:commas\na: [1,2]",
            "# yamllint disable-file\na: [1,2]",
        ),
        filler=COMMENT,
    ),
    ("yaml", "zizmor"): Sample(
        path=".github/workflows/app.yml",
        right=WORKFLOW + "      - run: echo\n",
        broken=WORKFLOW + "      - [\n",
        faulty=WORKFLOW.replace("app", "é\U0001d54f", 1)
        + '      - run: "\U0001d54f ${{ github.event.issue.title }}"\n',
        rule="zizmor/template-injection",
        place=(10, 21, 10, 45),
        silenced=(
            WORKFLOW
            + "      - run: echo ${{ github.event.issue.title }} # zizmor: ignore[template-injection]",
            "# zizmor: ignore\n"
            + WORKFLOW
            + "      - run: | # zizmor: ignore[template-injection] it is needed\n"
            + "          echo ${{ github.event.issue.title }}",
        ),
        filler="# a\n",
    ),
    ("json", "biome"): Sample(
        path="app.json",
        right='{"a": 1}\n',
        broken='{"a": [1}\n',
        faulty=' \n{"\U0001d41b": 1, "b": 1, "b": 2}\n',
        rule="lint/suspicious/noDuplicateObjectKeys",
        place=(2, 10, 2, 13),
        silenced=('// biome-ignore lint: it is needed\n{"b": 1, "b": 2}',),
        filler=" \n",
    ),
    ("css", "biome"): Sample(
        path="app.css",
        right="a {\n\tcolor: red;\n}\n",
        broken="a { color: \n",
        faulty="/* é\U0001d54f */\n.\U0001d41b { color: red } a {}\n",
        rule="lint/suspicious/noEmptyBlock",
        place=(2, 21, 2, 23),
        silenced=(
            "/* biome-ignore lint/suspicious/noEmptyBlock: it is needed */\na {}",
            "/* biome-ignore-all lint: it is needed */\na {}",
        ),
        filler="a { color: red }\n",
    ),
}
