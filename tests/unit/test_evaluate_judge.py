from typing import Any

import pytest

from patchmill.evaluate.cases import Case
from patchmill.evaluate.judge import Fault, Offer, Opinion, judge
from patchmill.evaluate.text import Change, changed_lines, lines_of

SOURCE = '''\
"""Prices."""

import json


def known(price):
    """Whether it is on the list."""
    count = 1
    return price == None, count


def other(price):
    return price + 1


class Shop:
    def name(self):
        return json.dumps("shop")
'''
GOLD = SOURCE.replace("== None", "is None")
FINDING = {"tool": "ruff", "rule": "E711", "message": "Comparison to None", "start_line": 9, "end_line": 9}


def case_of(source: str = SOURCE, gold: str | None = GOLD, **more: Any) -> Case:
    asked = {"findings": [FINDING]} | more
    return Case(
        id="one",
        kind="annotate" if "what" in more else "fix",
        path="prices.py",
        source=source,
        gold=gold,
        findings=() if "what" in more else tuple(asked["findings"]),
        asked=asked,
        origin="made",
        licence="Apache-2.0",
    )


def opinion(case: Case, result: str, *, claimed: bool = True) -> Opinion:
    old = lines_of(case.source)
    changes = tuple(
        Change(start=first, end=last, original="".join(old[first - 1 : last]), replacement="".join(new))
        for first, last, new in changed_lines(old, lines_of(result))
    )
    [one] = judge(case, [Offer(changes=changes, findings=frozenset({0} if claimed else ()))])
    assert one.text == result
    return one


def faults(result: str, case: Case | None = None) -> set[Fault]:
    return {one.fault for one in opinion(case or case_of(), result).objections}


def test_the_right_answer_meets_no_objection_and_makes_the_finding_go() -> None:
    one = opinion(case_of(), GOLD)

    assert (one.objections, one.gone, one.new) == ((), 1, 0)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("is None, count", "is None, (count", Fault.DOES_NOT_PARSE),
        ("is None", "== None  # why", Fault.FINDING_LEFT),
        ("is None", "is nothing", Fault.NEW_FINDING),
        ("price + 1", "price - 1", Fault.OUT_OF_SCOPE),
        ("class Shop:", "print(1)\n\n\nclass Shop:", Fault.OUT_OF_SCOPE),
        ("count\n\n\ndef", "count\n\nprint(1)\n\ndef", Fault.OUT_OF_SCOPE),
        ("    count = 1\n", "    count = 2\n", Fault.LOST),
        ("is None", "is None  # noqa", Fault.SUPPRESSION),
        ("is None", "is None\u200b", Fault.UNSEEN),
        ("Whether it", "Whether \u0430nything", Fault.UNSEEN),
        ("import json", "import json\nimport requests", Fault.NEW_IMPORT),
        ("def known(price):", "def renamed(price):", Fault.LOST),
    ],
)
def test_each_fault_is_seen(old: str, new: str, fault: Fault) -> None:
    assert fault in faults(GOLD.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("price is None", "None is price"),  # within the finding's own statement an edit is free
        ("    return price is", "    # of the list\n    return price is"),
        ("class Shop:", "LIMIT = 1\n\n\nclass Shop:"),  # how a magic number is mended
        ("is None, count", "is None, count + 0"),
        ("count\n\n\ndef", "count\n\n    count = 2\n\ndef"),  # indented, it belongs to the function above
    ],
)
def test_what_is_harmless_by_rule_meets_no_objection(old: str, new: str) -> None:
    assert faults(GOLD.replace(old, new, 1)) == set()


def test_an_offer_for_other_lines_is_stale() -> None:
    change = Change(start=9, end=9, original="    return None\n", replacement="    return 1\n")

    [one] = judge(case_of(), [Offer(changes=(change,), findings=frozenset())])

    assert [each.fault for each in one.objections] == [Fault.STALE]
    assert one.text is None


def test_lines_that_a_change_only_repeats_are_no_change() -> None:
    lines = lines_of(SOURCE)
    block = "".join(lines[5:14])
    change = Change(start=6, end=14, original=block, replacement=block.replace("== None", "is None"))

    [one] = judge(case_of(), [Offer(changes=(change,), findings=frozenset({0}))])

    assert one.objections == ()


BARE = "import dataclasses\n\n\ndef scale(value, by=2):\n    # twice\n    return value * by\n"
TYPED = BARE.replace("value, by=2)", "value: int, by: int = 2) -> int")


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (TYPED, set()),
        ("from __future__ import annotations\n\n" + TYPED, set()),
        (TYPED.replace("* by", "+ by"), {Fault.BEHAVIOUR}),
        (TYPED.replace("# twice", "# thrice"), {Fault.BEHAVIOUR}),
        (TYPED.replace("by: int = 2", "by: int = 3"), {Fault.BEHAVIOUR}),
        (TYPED.replace("value: int", "value: Nothing"), {Fault.NEW_FINDING}),
        (TYPED.replace("    # twice", '    """Scale."""\n    # twice'), {Fault.NOT_ASKED}),
    ],
)
def test_of_annotations_only_what_was_asked_for_may_come_in(result: str, expected: set[Fault]) -> None:
    case = case_of(BARE, TYPED, what=["types"], findings=[])

    assert {one.fault for one in opinion(case, result, claimed=False).objections} == expected
