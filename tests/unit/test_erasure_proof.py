"""Types and comments added to TypeScript and JavaScript: proven to be all that is added, or refused."""

import pytest

from patchmill.job.record import Annotation
from patchmill.verify.proof.prove import Proof, Unproven, prove

BOTH = frozenset({Annotation.TYPES, Annotation.DOCSTRINGS})
SOURCE = """\
#!/usr/bin/env node
// Copyright of somebody.
import { readFile } from "node:fs/promises";
import type { Shape } from "./shape";

const LIMIT = 10;
let total
let last = 0

export class Counter {
  count = 0;
  name;

  constructor(name, start) {
    this.name = name;
    this.count = start ?? 0;
  }

  add(by) {
    this.count += by;
    return this.count;
  }

  set size(value) {
    this.count = value;
  }
}

export function area(shape: Shape, scale) {
  const factor = scale ? (scale) : 1;
  return shape.width * factor;
}

// eslint-disable-next-line no-eval
export function run(code) { return eval(code) }

export const double = (value) => value * 2;
export const pick = (flag, a, b) => flag ? (a) => b : (b) => a;

async function load(path, ...rest) {
  try {
    const text = await readFile(path, "utf-8");
    return text.split("\\n").map((line) => line.trim());
  } catch (error) {
    return [];
  }
}

function* ids(from) {
  for (const id of [1, 2]) { yield from + id; }
}

function ok(value) { return typeof value === "string" }
export default load;
"""

RIGHT = [
    ("function area(shape: Shape, scale)", "function area(shape: Shape, scale: number)"),
    ("function area(shape: Shape, scale) {", "function area(shape: Shape, scale: number | null): number {"),
    ("const LIMIT = 10", "const LIMIT: number = 10"),
    ("const LIMIT = 10", "const LIMIT: 10 | -1 = 10"),
    ("let total\n", "let total: number | undefined\n"),
    ("let last = 0", "let last: number = 0"),
    ("  count = 0;", "  count: number = 0;"),
    ("  name;", "  name: string;"),
    ("constructor(name, start)", "constructor(name: string, start: number | undefined)"),
    ("add(by) {", "add(by: number): number {"),
    ("add(by) {", "add(by: number): this {"),
    ("set size(value)", "set size(value: number)"),
    ("(value) => value * 2", "(value: number): number => value * 2"),
    ("double = (value)", "double: (value: number) => number = (value)"),
    ("(flag, a, b) =>", "(flag: boolean, a: number, b: number) =>"),
    ("(a) => b", "(a: number) => b"),
    ("load(path, ...rest) {", "load(path: string, ...rest: unknown[]): Promise<string[]> {"),
    ("catch (error)", "catch (error: unknown)"),
    ("(line) => line", "(line: string): string => line"),
    ("const text =", "const text: string ="),
    ("ids(from) {", "ids(from: number): Generator<number, void, unknown> {"),
    ("ok(value) {", "ok(value: unknown): value is string {"),
    ("run(code) {", "run(code: string): any {"),
    ("run(code) {", "run(code: string): { a: number; b: string[] } {"),
    ("scale) {", "scale: { by: number } | Record<string, number>) {"),
    ("scale) {", "scale: (by: number, ...rest: string[]) => void) {"),
    ("scale) {", "scale: readonly [number, string] | keyof Shape | Shape['width']) {"),
    ("scale) {", "scale: Array<() => void> | (number | string)[]) {"),
    ("scale) {", "scale:\n    | number\n    | string) {"),
    ("const factor =", "const factor: number ="),
    (
        './shape";\n\nconst LIMIT = 10',
        './shape";\nimport type { Q, R as S } from "q";\n\nconst LIMIT: Q | S = 10',
    ),
    ("export class", "/** Counts. */\nexport class"),
    (
        "  add(by) {",
        "  /**\n   * Add to it.\n   * @param by how much\n   * @returns {number} the sum\n   */\n  add(by) {",
    ),
    ("export const double", "/** Twice: see {@link pick}. */\nexport const double"),
    ("async function", "/** Load a file.\n * @throws never\n */\nasync function"),
    ("  count = 0;", "  /** So many. */\n  count = 0;"),
]

# Each does something else when it runs, or when a tool reads it.
MUTANTS = [
    ("scale) {", "scale: number = 1) {"),
    ("scale) {", "scale?) {"),
    ("scale) {", "scale?: number) {"),
    ("scale) {", "scale: number, more: number) {"),
    ("scale) {", "...scale: number[]) {"),
    ("shape: Shape, scale", "scale: number, shape: Shape"),
    ("shape: Shape, scale", "this: Counter, shape: Shape, scale"),
    ("shape.width * factor", "shape.width + factor"),
    ("shape.width * factor", "(shape as any).width * factor * 2"),
    ("shape.width * factor", "shape!.width * factor"),
    ("shape.width * factor", "shape?.width * factor"),
    ("shape.width * factor", "(shape satisfies Shape).width * factor"),
    ("shape.width * factor", "(<any>shape).width * factor"),
    ("  return shape.width", "  return\n  shape.width"),
    ("const LIMIT = 10", "const LIMIT: number = 11"),
    ("const LIMIT = 10", "let LIMIT: number = 10"),
    ("const LIMIT = 10", "declare const LIMIT: number"),
    ("const LIMIT = 10", "export const LIMIT: number = 10"),
    ("const LIMIT = 10;", "const LIMIT: typeof import('fs') = 10;"),
    ("const LIMIT = 10;", "enum Colour { Red }\nconst LIMIT = 10;"),
    ("const LIMIT = 10;", "const enum Colour { Red }\nconst LIMIT = 10;"),
    ("const LIMIT = 10;", "namespace A { export const x = 1 }\nconst LIMIT = 10;"),
    ("const LIMIT = 10;", "declare global { interface Window { a: 1 } }\nconst LIMIT = 10;"),
    ("const LIMIT = 10;", "import './side';\nconst LIMIT = 10;"),
    ("const LIMIT = 10;", "import { Q } from 'q';\nconst LIMIT = 10;"),
    ("const LIMIT = 10;", "import { type Q } from 'q';\nconst LIMIT = 10;"),
    ("const LIMIT = 10;", "import type { Counter } from 'q';\nconst LIMIT = 10;"),
    ("const LIMIT = 10;", "import type { readFile } from 'q';\nconst LIMIT = 10;"),
    ("const LIMIT = 10;", "import type { Q as load } from 'q';\nconst LIMIT = 10;"),
    ("const LIMIT = 10;", "import type Q = require('q');\nconst LIMIT = 10;"),
    ("const LIMIT = 10;", "import q = require('q');\nconst LIMIT = 10;"),
    ("const LIMIT = 10;", "export type { Shape };\nconst LIMIT = 10;"),
    ("let total\n", "let total: number = 0\n"),
    ("let total\n", "let total!: number\n"),
    ("let total\n", "let total: number, other\n"),
    ("let total\nlet last = 0", "let total: number; let last = 0"),
    ("let last = 0", "var last: number = 0"),
    ("  name;", "  name: string = '';"),
    ("  name;", "  name!: string;"),
    ("  name;", "  declare name: string;"),
    ("  name;", "  static name: string;"),
    ("  name;", "  readonly name: string;"),
    ("  name;", "  name: string;\n  other: string;"),
    ("  name;", "  @logged name: string;"),
    ("  count = 0;", "  accessor count: number = 0;"),
    ("  count = 0;", "  #count: number = 0;"),
    ("constructor(name, start)", "constructor(public name: string, start: number)"),
    ("constructor(name, start)", "constructor(private readonly name: string, start: number)"),
    ("constructor(name, start)", "constructor(name: string, override start: number)"),
    ("start ?? 0", "start || 0"),
    ("add(by) {", "async add(by: number): Promise<number> {"),
    ("add(by) {", "static add(by: number): number {"),
    ("add(by) {", "add(by: number): number { return by;"),
    ("export class Counter", "export abstract class Counter"),
    ("export class Counter", "@sealed\nexport class Counter"),
    ("export class Counter", "export class Counter extends Object"),
    ("set size(value)", "get size(value: number)"),
    ("(value) => value * 2", "(value: number): number => { value * 2 }"),
    ("(value) => value * 2", "(value: number): (number) => value * 2"),
    ("(value) => value * 2", "async (value: number) => value * 2"),
    ("flag ? (a) => b : (b) => a", "flag ? (a): number => b : (b) => a"),
    ("flag ? (a) => b : (b) => a", "!flag ? (a: number) => b : (b: number) => a"),
    ("await readFile(path", "readFile(path"),
    ('"utf-8"', '"utf8"'),
    ("(line) => line.trim()", "(line: string) => line"),
    ("catch (error) {\n    return [];", "catch (error: unknown) {\n    throw error;"),
    ("catch (error)", "catch"),
    ("const id of [1, 2]", "const id in [1, 2]"),
    ("yield from + id", "yield* from + id"),
    ('=== "string"', '== "string"'),
    ("export default load", "export default load as any"),
    ("export default load;", "export default load;\nexport = load;"),
    ("// eslint-disable-next-line no-eval\n", ""),
    ("// eslint-disable-next-line no-eval\n", "// eslint-disable-next-line no-eval, no-undef\n"),
    ("// eslint-disable-next-line no-eval\n", "// eslint-disable-next-line no-eval\n/** Run. */\n"),
    ("export const double", "// @ts-ignore\nexport const double"),
    ("export const double", "/** @ts-expect-error */\nexport const double"),
    ("export const double", "/** istanbul ignore next */\nexport const double"),
    ("export const double", "/** eslint-disable */\nexport const double"),
    ("export const double", "/* Twice. */\nexport const double"),
    ("export const double", "/** @jsx h */\nexport const double"),
    ("export const double", "/** @jest-environment jsdom */\nexport const double"),
    ("export const double", "/** @deprecated @internal */\nexport const double"),
    ("export const double", "/** #__PURE__ */\nexport const double"),
    ("export const double", "/// <reference path='x' />\nexport const double"),
    ("export const double", "//# sourceMappingURL=x.map\nexport const double"),
    ("export const double", "/** a */ alert(1); /** b */\nexport const double"),
    ("return this.count;", "return /** The\n count. */ this.count;"),
    ("export const double =", "export const double = /** Twice. */"),
    ("#!/usr/bin/env node", "#!/usr/bin/env deno"),
    ("// Copyright of somebody.\n", "/** First. */\n// Copyright of somebody.\n"),
    ("// Copyright of somebody.\n", "// @ts-nocheck\n// Copyright of somebody.\n"),
    ("shape: Shape, scale", "shape: any, scale: number"),
    ("shape: Shape, scale", "shape, scale: number"),
    ('import type { Shape } from "./shape";\n', ""),
    ("import type { Shape }", "import { Shape }"),
    ("scale) {", "scale: `${string}px`) {"),
    ("scale) {", "scale: typeof LIMIT) {"),
    ("scale) {", "scale: Shape extends string ? 1 : 2) {"),
    ("scale) {", "scale: Nowhere) {"),
    ("scale) {", "scale: '\u0430') {"),
    ("scale) {", "scale: number /* of them */) {"),
]  # fmt: skip


def edited(source: str, changes: list[tuple[str, str]]) -> list[str]:
    for old, _ in changes:
        assert source.count(old) >= 1, old
    return [source.replace(old, new, 1) for old, new in changes]


def proofs(
    source: str,
    texts: list[str],
    *,
    language: str = "typescript",
    what: frozenset[Annotation] = BOTH,
) -> list[Proof]:
    found = prove(source, texts, path="a.ts", what=what, target=None, language=language)
    assert not isinstance(found, Unproven), found
    return found


def refused(source: str, old: str, new: str, **more: str) -> set[str]:
    [proof] = proofs(source, [source.replace(old, new, 1)], **more)  # type: ignore[arg-type]  # language alone
    return {refusal.rule for refusal in proof.refusals}


@pytest.mark.parametrize("language", ["typescript", "tsx"])
def test_thirty_right_annotations_are_proven(language: str) -> None:
    assert len(RIGHT) >= 30
    found = proofs(SOURCE, edited(SOURCE, RIGHT), language=language)

    pairs = zip(RIGHT, found, strict=True)
    assert [(change, proof.refusals) for change, proof in pairs if proof.refusals or not proof.gain] == []


@pytest.mark.parametrize("language", ["typescript", "tsx"])
def test_of_sixty_mutants_none_is_accepted(language: str) -> None:
    assert len(MUTANTS) >= 60
    # Each also with an annotation that is right, so that none is refused for adding nothing.
    right = SOURCE.replace("run(code) {", "run(code: string): void {")
    texts = [text.replace("run(code) {", "run(code: string): void {") for text in edited(SOURCE, MUTANTS)]

    assert proofs(SOURCE, [right])[0].refusals == ()
    accepted = [
        change
        for change, proof in zip(MUTANTS, proofs(SOURCE, texts, language=language), strict=True)
        if not proof.refusals
    ]

    assert accepted == []


def test_all_right_annotations_are_proven_together() -> None:
    text = SOURCE
    for old, new in RIGHT:
        text = text.replace(old, new, 1)  # what another has changed already stays

    [proof] = proofs(SOURCE, [text])

    assert (proof.refusals, proof.parsed) == ((), True)
    assert proof.gain >= 15


@pytest.mark.parametrize(
    ("source", "old", "new", "rule"),
    [
        ("function f(a) {}\n", "f(a)", "f(a: Q)", "name_unknown"),
        ("function f(a) {}\n", "function", 'import type { Q } from "q";\nfunction', "import_placement"),
        ("let a = b\n(c)\nexport {}\n", "(c)", 'import type { Q } from "q";\n(c)', "code_changed"),
        ("@d\nexport class A { f(a) {} }\n", "f(a)", "f(a: string)", "hints_are_read"),
        ("class A { constructor(a) {} }\n", "(a) {", "(a): void {", "hint_not_plain"),
        ("class A { set a(b) {} }\n", "(b) {", "(b): void {", "hint_not_plain"),
        ("let a\n[b] = c\n", "let a", "let a: string", "hint_not_plain"),
        ("const f = (a) => a;\n", "(a) =>", "(a): (b) =>", "hint_not_plain"),
        ("const f = (a) => a;\n", "f = ", "f: /* b */ A = ", "comment_changed"),
        ("let a: string;\nlet b;\n", "a: string", "a: number", "existing_hint_changed"),
        ("let a: string;\nlet b;\n", "a: string", "a", "existing_hint_changed"),
        ("let a = `${b}  `;\n", "let a", "let a: string; let b", "tokens_changed"),
        ("let a = `  ${b}`;\n", "`  ${", "` ${", "tokens_changed"),
        ("f(a)\n", "f(a)", "f<string>(a)", "tokens_changed"),
        ("let a = 1\n", "let a = 1", "let a = 1", "adds_nothing"),
        ("function f(a) {", "f(a", "f(a: string", "unproven"),
    ],
)
def test_each_refusal_has_its_name(source: str, old: str, new: str, rule: str) -> None:
    if rule == "unproven":
        answer = prove(source, [], path="a.ts", what=BOTH, target=None, language="typescript")
        assert isinstance(answer, Unproven)
        assert "tree-sitter cannot parse the source: line 1" in answer.detail
        return
    assert rule in refused(source, old, new)


def test_what_was_not_asked_for_is_refused() -> None:
    texts = edited("let a = 1;\n", [("let a", "let a: number"), ("let a", "/** One. */\nlet a")])

    types = proofs("let a = 1;\n", texts, what=frozenset({Annotation.TYPES}))
    docstrings = proofs("let a = 1;\n", texts, what=frozenset({Annotation.DOCSTRINGS}))

    assert [bool(proof.refusals) for proof in types] == [False, True]
    assert [bool(proof.refusals) for proof in docstrings] == [True, False]


def test_white_space_within_jsx_counts() -> None:
    source = "export const A = (p) => <p>\n  {p.a} <b />\n</p>;\n"

    assert refused(source, "(p)", "(p: Record<string, string>)", language="tsx") == set()
    assert "tokens_changed" in refused(source, "{p.a} <b />", "{p.a}<b />", language="tsx")
    assert "tokens_changed" in refused(source, "<p>\n  {", "<p> {", language="tsx")


def test_javascript_takes_docstrings() -> None:
    source = "'use strict';\nfunction f(a) {\n  return a;\n}\n"

    assert refused(source, "function", "/** Give it back. */\nfunction", language="javascript") == set()
    assert "comment_changed" in refused(source, "'use", "/** Strict. */\n'use", language="javascript")
    assert "not_parsed" in refused(source, "f(a)", "f(a: string)", language="javascript")


@pytest.mark.parametrize(
    "source",
    [
        "(" * 5_000 + ")" * 5_000,
        "let a = " + "[" * 20_000,
        "\0",
        "\ud800".encode("utf-8", "replace").decode(),
        "<!-- a",
    ],
)
def test_hostile_files_are_answered(source: str) -> None:
    answer = prove(
        source,
        [source, source + "\nlet b: string"],
        path="a.ts",
        what=BOTH,
        target=None,
        language="typescript",
    )

    assert isinstance(answer, Unproven) or all(proof.refusals for proof in answer[:1])
