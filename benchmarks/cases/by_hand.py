"""Cases that we make ourselves: small defects in files of every shape, with a person's answers."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.cases.linting import ruff_reports
from benchmarks.cases.material import Made, fits

_FILLER = 32  # functions around a defect in a long file, so that the prompt shows excerpts


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """A rule, code that breaks it, and the code mended."""

    rule: str
    before: str
    after: str


def _defect(rule: str, before: str, after: str) -> Defect:
    return Defect(rule=rule, before=before, after=after)


DEFECTS = (
    _defect(
        "B006",
        '''\
def collect(item, into=[]):
    """Keep an item."""
    into.append(item)
    return into
''',
        '''\
def collect(item, into=None):
    """Keep an item."""
    if into is None:
        into = []
    into.append(item)
    return into
''',
    ),
    _defect(
        "B904",
        """\
def port_of(text):
    try:
        return int(text)
    except ValueError:
        raise KeyError(f"no port: {text}")
""",
        """\
def port_of(text):
    try:
        return int(text)
    except ValueError as error:
        raise KeyError(f"no port: {text}") from error
""",
    ),
    _defect(
        "E711",
        """\
def known(price):
    # None: not on the list
    return price != None
""",
        """\
def known(price):
    # None: not on the list
    return price is not None
""",
    ),
    _defect(
        "E722",
        """\
def tried(act):
    try:
        return act()
    except:
        return None
""",
        """\
def tried(act):
    try:
        return act()
    except Exception:
        return None
""",
    ),
    _defect(
        "F841",
        """\
def total(items):
    count = 0
    amount = 0
    for item in items:
        amount += item
    return amount
""",
        """\
def total(items):
    amount = 0
    for item in items:
        amount += item
    return amount
""",
    ),
    _defect(
        "F401",
        '''\
import json
import os


def written(data):
    """Write it."""
    return json.dumps(data)
''',
        '''\
import json


def written(data):
    """Write it."""
    return json.dumps(data)
''',
    ),
    _defect(
        "F811",
        """\
def first(items):
    return items[0]


def last(items):
    return items[-1]


def first(items):
    return items[0]
""",
        """\
def first(items):
    return items[0]


def last(items):
    return items[-1]
""",
    ),
    _defect(
        "PTH123",
        """\
import os


def text_of(name):
    with open(os.fspath(name)) as file:
        return file.read()
""",
        """\
import os
from pathlib import Path


def text_of(name):
    with Path(os.fspath(name)).open() as file:
        return file.read()
""",
    ),
    _defect(
        "SIM102",
        """\
def allowed(user, place):
    if user:
        if place in user.places:
            return True
    return False
""",
        """\
def allowed(user, place):
    if user and place in user.places:
        return True
    return False
""",
    ),
    _defect(
        "PLR2004",
        """\
import math


def is_long(text):
    return math.floor(len(text)) > 72
""",
        """\
import math

MOST = 72


def is_long(text):
    return math.floor(len(text)) > MOST
""",
    ),
    _defect(
        "B023",
        """\
def adders(numbers):
    made = []
    for number in numbers:
        made.append(lambda value: value + number)
    return made
""",
        """\
def adders(numbers):
    made = []
    for number in numbers:
        made.append(lambda value, number=number: value + number)
    return made
""",
    ),
    _defect(
        "ARG001",
        """\
def scaled(value, unit):
    return value * 2
""",
        """\
def scaled(value):
    return value * 2
""",
    ),
    _defect(
        "D103",
        """\
def area(width, height):
    return width * height
""",
        '''\
def area(width, height):
    """Give the area of a rectangle."""
    return width * height
''',
    ),
    _defect(
        "RET505",
        """\
def sign(number):
    if number < 0:
        return -1
    else:
        return 1
""",
        """\
def sign(number):
    if number < 0:
        return -1
    return 1
""",
    ),
)


def _plain(text: str) -> str:
    return text


def _crlf(text: str) -> str:
    return text.replace("\n", "\r\n")


def _tabs(text: str) -> str:
    return text.replace("    ", "\t")


def _open_end(text: str) -> str:
    return f"{text}\n\ndef the_end():\n    return 0"


def _greek(text: str) -> str:
    return f'"""Größe: ½ — φ-Schnitt, 文字."""\n\n{text}\n\nNAME = "naïve Ωmega"\n'


def _long(text: str) -> str:
    """A file of which a prompt shows a part: the imports of the code stay at its top."""
    lines = text.split("\n")
    imports = [line for line in lines if line.startswith(("import ", "from "))]
    rest = "\n".join(line for line in lines if line not in imports).strip("\n")
    before, after = (
        "\n\n".join(f"def step_{number}(value):\n    return value + {number}\n" for number in numbers)
        for numbers in (range(_FILLER), range(_FILLER, 2 * _FILLER))
    )
    head = "\n".join(imports) + "\n\n\n" if imports else ""
    return f"{head}{before}\n\n{rest}\n\n\n{after}"


def _marked(text: str) -> str:
    return f"\ufeff{text}"


SHAPES: dict[str, Callable[[str], str]] = {
    "plain": _plain,
    "crlf": _crlf,
    "tabs": _tabs,
    "no-final-newline": _open_end,
    "non-ascii": _greek,
    "long": _long,
    "bom": _marked,
}


def make() -> list[Made]:
    """Make each defect in every shape."""
    made = [_made(defect, name) for defect in DEFECTS for name in SHAPES]
    return [each for each in made if each is not None and fits(each)]


def _made(defect: Defect, shape: str) -> Made | None:
    source, gold = SHAPES[shape](defect.before), SHAPES[shape](defect.after)
    reported = [one for one in ruff_reports(source, "app.py", defect.rule) if one["code"] == defect.rule]
    if shape == "long":
        reported = [
            one
            for one in reported
            if defect.rule != "D103" or "step_" not in source.split("\n")[one["location"]["row"] - 1]
        ]
    if not reported:
        return None
    findings = [
        {
            "tool": "ruff",
            "rule": defect.rule,
            "message": one["message"],
            "start_line": one["location"]["row"],
            "start_column": one["location"]["column"],
            "end_line": one["end_location"]["row"],
            "end_column": one["end_location"]["column"],
        }
        for one in reported[:1]
    ]
    return Made(
        kind="fix",
        path=f"{defect.rule.lower()}_{shape.replace('-', '_')}.py",
        source=source,
        gold=gold,
        asked={"findings": findings},
        origin=f"Patchmill: benchmarks/cases/by_hand.py, {shape}",
        licence="Apache-2.0",
    )
