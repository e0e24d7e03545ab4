import re

import pytest

from patchmill.job.record import Annotation
from patchmill.verify.proof.child import answer
from patchmill.verify.proof.prove import Unproven, prove

BOTH = frozenset({Annotation.TYPES, Annotation.DOCSTRINGS})

# Each case: a name, the target version, the source, and the edited file.
RIGHT = re.findall(
    r"### (\w+) py3(\d+)\n(.*?)=====\n(.*?)(?=###|\Z)",
    '''\
### builtin_hints py38
def f(a, b):
    return a
=====
def f(a: int, b: str) -> int:
    return a
### every_sort_of_parameter py38
def f(a, /, b, *c, d=1, **e):
    return a
=====
def f(a: int, /, b: str, *c: bytes, d: float=1, **e: object) -> int:
    return a
### union_with_none py310
def f(a=None):
    pass
=====
def f(a: int | None=None) -> None:
    pass
### type_of_a_library_later_than_this_one py313
import queue
def f(a=None, b=None):
    pass
=====
import queue
def f(a: queue.ShutDown | None=None, b: PythonFinalizationError | None=None) -> None:
    pass
### quoted_union_for_an_old_target py38
def f(a=None):
    pass
=====
def f(a: 'int | None'=None):
    pass
### own_class_that_takes_a_subscript py39
from types import GenericAlias
class A:
    def __class_getitem__(cls, item):
        "Give the class with what is in it."
        return GenericAlias(cls, item)
def f(a):
    pass
=====
from types import GenericAlias
class A:
    def __class_getitem__(cls, item):
        "Give the class with what is in it."
        return GenericAlias(cls, item)
def f(a: A[int]):
    pass
### union_of_an_abstract_class py310
import abc
class A(metaclass=abc.ABCMeta):
    pass
def f(a):
    pass
=====
import abc
class A(metaclass=abc.ABCMeta):
    pass
def f(a: A | None):
    pass
### builtin_generics py39
def f(a):
    pass
=====
def f(a: dict[str, list[int]]):
    pass
### class_bound_before py310
class A:
    pass
def f(a):
    pass
=====
class A:
    pass
def f(a: A | None) -> list[A]:
    pass
### class_bound_later_quoted py310
def f(a):
    pass
class A:
    pass
=====
def f(a: 'A') -> list['A']:
    pass
class A:
    pass
### own_class_quoted py310
class A:
    def f(self):
        return self
=====
class A:
    def f(self) -> 'A':
        return self
### class_bound_later_under_future py37
from __future__ import annotations
def f(a):
    pass
class A:
    pass
=====
from __future__ import annotations
def f(a: A | None) -> list[A]:
    pass
class A:
    pass
### new_typing_import py38
import os

def f(a):
    pass
=====
import os
from typing import Any, Callable

def f(a: Callable[[int], Any]):
    pass
### new_abc_import py39
def f(a):
    pass
=====
from collections.abc import Iterator


def f(a) -> Iterator[int]:
    pass
### new_typing_module_import py38
def f(a):
    pass
=====
import typing as t

def f(a: t.Optional[int]):
    pass
### typing_module_beside_its_names py38
from typing import Any
X = Any
def f(a):
    pass
=====
import typing
from typing import Any
X = Any
def f(a: typing.List[Any]):
    pass
### longer_typing_import py38
from typing import Any
X = Any
def f(a):
    pass
=====
from typing import Any, Optional
X = Any
def f(a: Optional[int]):
    pass
### longer_typing_import_at_its_beginning py38
from typing import (
    Iterable,  # for all
)
def f(a):
    pass
=====
from typing import (
    Any, Dict,
    Iterable,  # for all
)
def f(a: Dict[str, Any]):
    pass
### type_checking_block py38
import os
from typing import TYPE_CHECKING
X = TYPE_CHECKING
def f(a):
    pass
=====
import os
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from .models import User
X = TYPE_CHECKING
def f(a: 'User'):
    pass
### type_checking_block_with_its_import py38
def f(a):
    pass
=====
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

def f(a: 'np.ndarray'):
    pass
### longer_type_checking_block py38
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import a
def f(a):
    pass
=====
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import a
    from b import C
def f(a: 'C'):
    pass
### module_variable py38
x = 1
=====
x: int = 1
### local_variable_and_attribute py37
class B: ...
class A:
    def __init__(self):
        y = {}
        self.x = y
=====
class B: ...
class A:
    def __init__(self) -> None:
        y: dict[str, B] = {}
        self.x: 'dict' = y
### class_level_of_a_plain_class py38
class A:
    x = 1
=====
class A:
    x: int = 1
### listed_decorators py38
import functools
from contextlib import contextmanager as cm
class A:
    @property
    def a(self):
        return 1
    @a.setter
    def a(self, v):
        pass
    @staticmethod
    @functools.lru_cache(maxsize=None)
    def b(v):
        pass
    @classmethod
    @cm
    def c(cls, v):
        yield
=====
import functools
from contextlib import contextmanager as cm
class A:
    @property
    def a(self) -> int:
        return 1
    @a.setter
    def a(self, v: int) -> None:
        pass
    @staticmethod
    @functools.lru_cache(maxsize=None)
    def b(v: int) -> None:
        pass
    @classmethod
    @cm
    def c(cls, v: int):
        yield
### literal_and_callable py310
from typing import Callable, Literal
def f(a, b):
    pass
=====
from typing import Callable, Literal
def f(a: Literal['r', -1, True], b: Callable[..., int] | None):
    pass
### type_variable_and_alias py310
from typing import Any, TypeVar
T = TypeVar('T')
Json = dict[str, Any]
def f(a, b):
    return a
=====
from typing import Any, TypeVar
T = TypeVar('T')
Json = dict[str, Any]
def f(a: T, b: Json | None) -> list[T]:
    return a
### standard_library_classes py310
import datetime
from pathlib import Path
from re import Pattern
def f(a, b, c):
    pass
=====
import datetime
from pathlib import Path
from re import Pattern
def f(a: datetime.date | None, b: Path | str, c: Pattern[str]):
    pass
### name_bound_in_both_branches py310
try:
    from yaml import CLoader as Loader
except ImportError:
    class Loader:
        pass
def f(a):
    pass
=====
try:
    from yaml import CLoader as Loader
except ImportError:
    class Loader:
        pass
def f(a: Loader | None):
    pass
### hints_of_a_nested_function py38
def f(a):
    class B:
        pass
    def g(b):
        return b
    return g
=====
def f(a):
    class B:
        pass
    def g(b: B) -> B:
        return b
    return g
### signature_over_several_lines py38
def f(a, b):
    return a  # type: ignore
=====
def f(
    a: int,
    b: str
) -> int:
    return a  # type: ignore
### docstrings_everywhere py38
#!/usr/bin/env python
# a comment
class A:
    # first
    x = 1

    async def f(self):
        pass
=====
#!/usr/bin/env python
# a comment
"""A module."""
class A:
    """A class."""

    # first
    x = 1

    async def f(self):
        r"""Do \\d.

        More.
        """
        pass
### module_docstring_before_future_import py38
from __future__ import annotations
x = 1
=====
"""A module."""

from __future__ import annotations
x = 1
### lone_star_import_leaves_quotes_free py38
from os import *
def f(a):
    pass
=====
from os import *
def f(a: 'PathLike'):
    pass
''',
    re.DOTALL,
)


@pytest.mark.parametrize(
    ("minor", "source", "edited"), [case[1:] for case in RIGHT], ids=[case[0] for case in RIGHT]
)
def test_right_additions_are_proven(minor: str, source: str, edited: str) -> None:
    request = {"source": source, "candidates": [edited], "path": "app.py"}

    (proof,) = answer({**request, "what": ["types", "docstrings"], "target": [3, int(minor)]})["proofs"]

    assert proof["refusals"] == []
    assert proof["gain"] > 0


@pytest.mark.parametrize(
    "source",
    [
        "# é\r\nx = 'ä\U0001d54f'; y = 2\r\ndef é(ä, b='\U0001d54f'):\r\n    return ä  # ü\r\n",
        "\ufeffdef f(ä, b=1):\n    return ä\n",
        "y = 1; x = 2\rdef f(ä, b=1):\r    return ä",
    ],
    ids=["wide_characters_and_crlf", "byte_order_mark", "carriage_returns_and_no_last_line_end"],
)
def test_places_are_found_whatever_the_characters_and_line_ends(source: str) -> None:
    edited = source.replace("(ä, b=", "(ä: str, b: int = ").replace("y =", "y: int =")

    proofs = prove(source, [edited], path="app.py", what=BOTH, target=None)

    assert not isinstance(proofs, Unproven)
    assert proofs[0].refusals == ()


def test_gain_counts_hints_and_docstrings_but_no_imports() -> None:
    source = "def f(a):\n    return a\n"
    edited = 'from typing import Any\ndef f(a: Any) -> Any:\n    """Give a back."""\n    return a\n'

    proofs = prove(source, [edited], path="app.py", what=BOTH, target=None)

    assert not isinstance(proofs, Unproven)
    assert proofs[0].gain == 3


def test_many_candidates_are_answered_in_order() -> None:
    source = "def f(a):\n    return a\n"
    edited = ["def f(a: int):\n    return a\n", source, "def f(a: int):\n    return b\n"]

    proofs = prove(source, edited, path="app.py", what=BOTH, target=None)

    assert not isinstance(proofs, Unproven)
    assert [[refusal.rule for refusal in proof.refusals] for proof in proofs] == [
        [],
        ["adds_nothing"],
        ["code_changed"],
    ]


def test_hints_in_a_stub_may_name_what_comes_later() -> None:
    source, edited = "def f(a): ...\nclass A: ...\n", "def f(a: A) -> A: ...\nclass A: ...\n"

    proofs = prove(source, [edited], path="app.pyi", what=BOTH, target=None)

    assert not isinstance(proofs, Unproven)
    assert proofs[0].refusals == ()


@pytest.mark.parametrize(
    "source",
    ["x = (\n", "x = 1\0\n", "x = " + "(" * 500 + ")" * 500 + "\n", "x = " + "-" * 20_000 + "1\n", "  x\n"],
    ids=["open_bracket", "nul_byte", "deep_brackets", "deep_operators", "indented"],
)
def test_a_source_that_python_cannot_parse_gives_no_proof(source: str) -> None:
    assert isinstance(prove(source, [source], path="app.py", what=BOTH, target=None), Unproven)


def test_a_long_source_is_proven() -> None:
    line = "value = compute(alpha, beta, [1, 2, 3], key='text')  # a comment\n"
    source = line * (64 * 1024 // len(line)) + "def f(a):\n    return a\n"
    edited = source.replace("def f(a)", "def f(a: int)")

    proofs = prove(source, [edited], path="app.py", what=BOTH, target=None)

    assert not isinstance(proofs, Unproven)
    assert proofs[0].refusals == ()
