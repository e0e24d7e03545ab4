"""Hints that are there stay, unless the job asks for their change; then the same proof holds."""

import pytest

from patchmill.job.record import Annotation
from patchmill.verify.proof.prove import Proof, Unproven, prove

SOURCE = """\
from __future__ import annotations
from typing import Any, Optional


def first(items: list, default: Any = None) -> Any:  # the first one
    return items[0] if items else default


LIMIT: Any = 10
later: Any


class Shape:
    width: Any = 1

    def area(
        self,
        scale: Optional[Any],  # by how much
    ) -> Any:
        total: Any = self.width
        return total
"""
EAGER = SOURCE.replace("from __future__ import annotations\n", "")
ASKED = frozenset(Annotation)

RIGHT = [
    ("items: list,", "items: list[int],"),
    ("default: Any", "default: int | None"),
    ("None) -> Any:", "None) -> int | None:"),
    ("LIMIT: Any", "LIMIT: int"),
    ("later: Any", "later: str"),
    ("width: Any", "width: int"),
    ("scale: Optional[Any],", "scale: Optional[int],"),
    ("    ) -> Any:", "    ) -> int:"),
    ("total: Any", "total: int"),
]

MUTANTS = [
    ("items: list,", "items,", "existing_hint_changed"),
    (" -> Any:  #", ":  #", "existing_hint_changed"),
    ("LIMIT: Any = 10", "LIMIT = 10", "code_changed"),
    ("LIMIT: Any = 10", "LIMIT: int = 11", "code_changed"),
    ("LIMIT: Any = 10", "LIMIT: int", "code_changed"),
    ("later: Any", "later: Any = None", "code_changed"),
    ("later: Any", "(later): Any", "code_changed"),
    ("items: list,", "items: list[print()],", "hint_not_plain"),
    ("items: list,", "items: Nowhere,", "name_unknown"),
    ("default: Any = None", "default: int = 0", "code_changed"),
    ("  # the first one", "", "comment_changed"),
    ("scale: Optional[Any],  # by how much", "scale: int,", "comment_changed"),
    ("return total", "return total + 1", "code_changed"),
    ("def first(items: list", "def first(things: list", "code_changed"),
]


def proofs(source: str, texts: list[str], what: frozenset[Annotation]) -> list[Proof]:
    found = prove(source, texts, path="a.py", what=what, target=(3, 11))
    assert not isinstance(found, Unproven)
    return found


@pytest.mark.parametrize("source", [SOURCE, EAGER])
def test_hints_change_where_that_was_asked_for_and_nowhere_else(source: str) -> None:
    texts = [source.replace(old, new, 1) for old, new in RIGHT]
    assert all(text != source for text in texts)

    asked = proofs(source, texts, ASKED)
    unasked = proofs(source, texts, ASKED - {Annotation.EXISTING_TYPES})

    assert [
        (change, proof.refusals) for change, proof in zip(RIGHT, asked, strict=True) if proof.refusals
    ] == []
    assert all(proof.gain == 1 for proof in asked)
    assert {proof.refusals[0].rule for proof in unasked} == {"existing_hint_changed"}


@pytest.mark.parametrize("source", [SOURCE, EAGER])
def test_nothing_else_changes_with_them(source: str) -> None:
    texts = [source.replace(old, new, 1) for old, new, _ in MUTANTS]
    assert all(text != source for text in texts)

    for (old, new, rule), proof in zip(MUTANTS, proofs(source, texts, ASKED), strict=True):
        named = {refusal.rule for refusal in proof.refusals}
        assert named, (old, new)
        assert rule in named or (source is EAGER and "name_not_bound" in named), (old, new, named)


@pytest.mark.parametrize(
    ("source", "old", "new", "rule"),
    [
        ("def f(a: print('b')):\n    return a\n", "print('b')", "int", "hint_not_plain"),
        ("def f(a: Later):\n    return a\nclass Later: pass\n", "a: Later", "a: int", "name_not_bound"),
        ("x: 'Later' = 1\n", "'Later'", "Later", "name_not_bound"),
        ("from lib import d\n@d\ndef f(a: int):\n    return a\n", "int", "str", "decorated_parameter_hint"),
        (
            "import inspect\ndef f(a: int):\n    return a\ninspect.signature(f)\n",
            ": int",
            ": str",
            "hints_are_read",
        ),
        (
            "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int = 1\n",
            "int",
            "str",
            "class_level_annotation",
        ),
        (
            "from pydantic import BaseModel\nclass A(BaseModel):\n    x: int\n",
            "int",
            "str",
            "class_level_annotation",
        ),
        (
            "from typing import NamedTuple\nclass A(NamedTuple):\n    x: int\n",
            "int",
            "str",
            "class_level_annotation",
        ),
        ("y: int\n", "y: int", "y: y", "name_not_bound"),
        (
            "def f(a: (\n    int  # whole\n)):\n    return a\n",
            "(\n    int  # whole\n)",
            "str",
            "comment_changed",
        ),
        (
            "from typing import Any\ndef f(a: Any):  # type: (int) -> int\n    return a\n",
            ": Any",
            ": int",
            "type_comment",
        ),
    ],
)
def test_a_hint_that_does_something_or_is_read_stays(source: str, old: str, new: str, rule: str) -> None:
    [proof] = proofs(source, [source.replace(old, new, 1)], ASKED)

    assert rule in {refusal.rule for refusal in proof.refusals}


def test_existing_hints_of_typescript_change_where_that_was_asked_for() -> None:
    source = "export const f = (a: any, b: any): any => a;\nclass A { x: /* so */ any; }\n"
    texts = [
        source.replace("(a: any", "(a: string"),
        source.replace("): any", "): string"),
        source.replace("a: any, ", "a, "),
        source.replace(": /* so */ any", ": string"),
        source.replace(": any => a", ": any => b"),
    ]

    found = prove(source, texts, path="a.ts", what=ASKED, target=None, language="typescript")

    assert not isinstance(found, Unproven)
    assert [sorted(refusal.rule for refusal in proof.refusals) for proof in found] == [
        [],
        [],
        ["existing_hint_changed"],
        ["comment_changed"],
        ["tokens_changed"],
    ]
