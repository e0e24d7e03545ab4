"""What may be laid out otherwise around a type or a comment, what may not, and where a head ends."""

import pytest

from patchmill.job.record import Annotation
from patchmill.verify.proof.prove import Unproven, prove

BOTH = frozenset({Annotation.TYPES, Annotation.DOCSTRINGS})
SOURCE = """\
// Copyright of somebody.
import x from "x";
// @ts-ignore
import y from "y";
export const f = a => a;
const g = async b => { await b };
const h = (c) => c;
const i = (...d) => d;
function j(one, // first
  two) { return one }
function k(...many) { return many }
class L {
  static;
  set v(w) { x(w) }
  m({ p, ...q }) { return p }
  n([r]) { return r }
  get
  size() { return y }
  set
  size(v) {}
  async
  go() {}
}
const o = s =>
  s.map(t => t);
x(u => u, v => v);
const api = {
  get(path) { return fetch(path) },
  post: (path) => {
    const body = null;
    return body;
  },
};
module.exports.extra = function (m) { return m };
namespace Deep { export function z(e) { return e } }
"""
RIGHT = [
    ("f = a =>", "f = (a: number) =>"),
    ("f = a =>", "f = (\n  a: number,\n): number =>"),
    ("async b =>", "async (b: Promise<void>): Promise<void> =>"),
    ("o = s =>\n  s.map(t => t)", "o = (s: number[]) =>\n  s.map((t: number): number => t)"),
    ("u => u, v => v", "(u: any) => u, (v: any) => v"),
    ("k(...many) {", "k(\n  ...many: number[]\n): () => number[] {"),
    ("m({ p, ...q }) {", "m({\n    p,\n    ...q\n  }: Record<string, string>): string {"),
    ("m({ p, ...q })", "m(\n    { p, ...q }: Record<string, string>,\n  )"),
    ('x";\n// @ts-ignore', 'x";\nimport type { Q } from "q";\n// @ts-ignore'),
    ('import x from "x"', 'import type { Q } from "q";\nimport x from "x"'),
    ("  get(path)", "  /**\n   * Gets a path, as ann@example.org wished.\n   * @async\n   */\n  get(path)"),
    ("  post:", "  /** Posts to a path. */\n  post:"),
    ("    const body", "    /** What is sent. */\n    const body"),
    ("module.exports", "/**\n * Something extra.\n * @since 1.2\n */\nmodule.exports"),
    ("namespace", "/** Deep down. */\nnamespace"),
]  # fmt: skip
WRONG = [
    ("f = a =>", "f = (a?: number) =>"),
    ("f = a =>", "f = (a: number = 1) =>"),
    ("f = a =>", "f = ({ a }: { a: number }) =>"),
    ("f = a =>", "f = (a: number, b: number) =>"),
    ("f = a =>", "f = (...a: number[]) =>"),
    ("f = a =>", "f = async (a: number) =>"),
    ("f = a =>", "f = (this: any, a: number) =>"),
    ("f = a =>", "f = (,) =>"),
    ("async b =>", "(b: number) =>"),
    ("(c) =>", "(c: number)\n=>"),
    ("(...d) =>", "(...d: number[],) =>"),
    ("k(...many)", "k(...many: number[],)"),
    ("set v(w)", "set v(w: number,)"),
    ("{ p, ...q }", "{ p, ...q, }: any"),
    ("n([r])", "n([r,,]: any)"),
    ("n([r])", "n([,r]: any)"),
    ("one, // first\n  two", "one: number,\n  // first\n  two: number"),
    ("u => u, v => v", "(v: any) => v, (u: any) => u"),
    ("  get\n", "  get: any\n"),
    ("  set\n", "  set: any\n"),
    ("  async\n", "  async: any\n"),
    ("import y", 'import type { Q } from "q";\nimport y'),
    ("// Copyright", 'import type { Q } from "q";\n// Copyright'),
    ("module.exports", "/**\n * Something.\n * @ann: she wrote it\n */\nmodule.exports"),
    ("(m) { return m }", "(m) { return /** it */ m }"),
]
# What tools look for only at the very head.
HEADS = [
    '"use client";\n',
    "'use strict';\n",
    "// @ts-nocheck\n",
    "/// <reference types='node' />\n",
    "/**\n * @jest-environment jsdom\n */\n",
    "#!/usr/bin/env node\n// @ts-nocheck\n",
]


def refused(source: str, changes: list[tuple[str, str]]) -> list[bool]:
    # Each beside an annotation that is right, so that none is refused for adding nothing.
    before, after = "z(e) {", "z(e: any) {"
    texts = [source.replace(old, new, 1).replace(before, after) for old, new in changes]
    found = prove(source, texts, path="a.ts", what=BOTH, target=None, language="typescript")
    assert not isinstance(found, Unproven), found
    return [bool(proof.refusals) for proof in found]


def test_parameters_may_be_laid_out_otherwise_and_comments_stand_before_all_that_is_declared() -> None:
    assert all(SOURCE.count(old) for old, _ in RIGHT)
    assert dict(zip(RIGHT, refused(SOURCE, RIGHT), strict=True)) == dict.fromkeys(RIGHT, False)


def test_what_is_more_than_layout_is_refused() -> None:
    assert all(SOURCE.count(old) for old, _ in WRONG)
    assert dict(zip(WRONG, refused(SOURCE, WRONG), strict=True)) == dict.fromkeys(WRONG, True)


@pytest.mark.parametrize("head", HEADS)
def test_a_new_import_stands_below_the_head_of_the_file(head: str) -> None:
    source = head + 'import x from "x";\nexport function z(e) { return x(e) }\n'
    above = head.split("\n", maxsplit=1)[0] + "\n" if head.startswith("#!") else ""
    start = head.removeprefix(above)

    changes = [
        (start, 'import type { Q } from "q";\n' + start),
        ("import x", 'import type { Q } from "q";\nimport x'),
    ]

    assert refused(source, changes) == [True, False]
