import re

import pytest

from patchmill.verify.proof.child import answer

# Each case: a name, the rule that is broken, the target version, the source, and the edited file.
WRONG = re.findall(
    r"### (\w+) (\w+) py3(\d+)\n(.*?)=====\n(.*?)(?=###|\Z)",
    """\
### type_of_a_later_library too_new_for_target py39
import ast
def f(a):
    pass
=====
import ast
def f(a: ast.Match):
    pass
### group_of_a_later_library too_new_for_target py310
import asyncio
def f(a):
    pass
=====
import asyncio
def f(a: asyncio.TaskGroup):
    pass
### function_of_a_later_library too_new_for_target py39
import itertools
def f(a):
    pass
=====
import itertools
def f(a: itertools.pairwise):
    pass
### subscript_of_a_handler too_new_for_target py310
import logging.handlers
def f(a):
    pass
=====
import logging.handlers
def f(a: logging.handlers.RotatingFileHandler[int]):
    pass
### builtin_of_a_later_python too_new_for_target py310
x = 1
def f(a):
    pass
=====
x = 1
def f(a: ExceptionGroup):
    pass
### type_that_is_gone too_new_for_target py314
import ast
def f(a):
    pass
=====
import ast
def f(a: ast.Num):
    pass
### subscript_of_a_later_library too_new_for_target py39
import logging
def f(a):
    pass
=====
import logging
def f(a: logging.StreamHandler[str]):
    pass
### type_of_a_library_later_than_this_one too_new_for_target py312
import queue
def f(a):
    pass
=====
import queue
def f(a: queue.ShutDown):
    pass
### type_of_a_later_library_that_is_not_looked_at too_new_for_target py311
import calendar
def f(a):
    pass
=====
import calendar
def f(a: calendar.Month):
    pass
### builtin_of_a_python_later_than_this_one too_new_for_target py312
x = 1
def f(a):
    pass
=====
x = 1
def f(a: PythonFinalizationError):
    pass
### subscript_that_is_inherited too_new_for_target py310
import logging
def f(a):
    pass
=====
import logging
def f(a: logging.FileHandler[str]):
    pass
### subscript_of_a_library_later_than_this_one too_new_for_target py311
import csv
def f(a):
    pass
=====
import csv
def f(a: csv.DictReader[str]):
    pass
### name_that_no_library_has name_not_bound py313
import queue
def f(a):
    pass
=====
import queue
def f(a: queue.ShutUp):
    pass
### class_defined_further_down name_not_bound py310
def f(a):
    pass
class A:
    pass
=====
def f(a: A):
    pass
class A:
    pass
### own_class_unquoted name_not_bound py310
class A:
    def f(self):
        return self
=====
class A:
    def f(self) -> A:
        return self
### name_bound_in_one_branch name_not_bound py310
import sys
if sys.argv:
    class A:
        pass
def f(a):
    pass
=====
import sys
if sys.argv:
    class A:
        pass
def f(a: A):
    pass
### name_bound_under_type_checking name_not_bound py310
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from a import A
def f(a):
    pass
=====
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from a import A
def f(a: A):
    pass
### name_deleted_before name_not_bound py310
class A:
    pass
del A
def f(a):
    pass
=====
class A:
    pass
del A
def f(a: A):
    pass
### name_bound_by_a_failed_import name_not_bound py310
try:
    import yaml
except ImportError:
    pass
def f(a):
    return yaml.Loader
=====
try:
    import yaml
except ImportError:
    pass
def f(a: yaml.Loader):
    return yaml.Loader
### module_that_may_be_none name_not_bound py310
try:
    import numpy as np
except ImportError:
    np = None
def f(a):
    return np.ndarray
=====
try:
    import numpy as np
except ImportError:
    np = None
def f(a: np.ndarray):
    return np.ndarray
### name_that_is_local_later name_not_bound py310
def f():
    def g(a):
        pass
    list = 1
=====
def f():
    def g(a: list):
        pass
    list = 1
### name_of_an_exception_after_its_handler name_not_bound py310
try:
    pass
except ValueError as error:
    pass
def f(a):
    pass
=====
try:
    pass
except ValueError as error:
    pass
def f(a: error):
    pass
### name_bound_in_a_loop_only name_not_bound py310
for _ in range(0):
    import decimal
def f(a):
    pass
=====
for _ in range(0):
    import decimal
def f(a: decimal.Decimal):
    pass
### invented_module_attribute name_not_bound py310
import datetime
def f(a):
    pass
=====
import datetime
def f(a: datetime.Day):
    pass
### unseen_attribute_of_a_foreign_module name_not_bound py310
import numpy as np
def f(a):
    return np.zeros(a)
=====
import numpy as np
def f(a: np.NDArray):
    return np.zeros(a)
### quoted_name_that_nothing_binds name_unknown py310
def f(a):
    pass
=====
def f(a: 'Model'):
    pass
### future_name_that_nothing_binds name_unknown py310
from __future__ import annotations
def f(a):
    pass
=====
from __future__ import annotations
def f(a: Optional[int]):
    pass
### future_name_of_the_function_s_own name_unknown py310
from __future__ import annotations
def f(a, b):
    pass
=====
from __future__ import annotations
def f(a, b) -> a:
    pass
### call hint_not_plain py310
def f(a):
    pass
=====
def f(a: print('x')):
    pass
### call_in_a_subscript hint_not_plain py310
def f(a):
    pass
=====
def f(a: list[exit()]):
    pass
### call_in_quotes hint_not_plain py310
def f(a):
    pass
=====
def f(a: 'exit()'):
    pass
### attribute_of_a_call hint_not_plain py310
def f(a):
    pass
=====
def f(a: open('x').name):
    pass
### walrus hint_not_plain py310
def f(a):
    pass
=====
def f(a: list[b := int]):
    pass
### lambda_hint hint_not_plain py310
def f(a):
    pass
=====
def f(a: lambda: 1):
    pass
### condition hint_not_plain py310
def f(a):
    pass
=====
def f(a: int if 1 else str):
    pass
### format_string hint_not_plain py310
def f(a):
    pass
=====
def f(a: f'{exit()}'):
    pass
### number hint_not_plain py310
def f(a):
    pass
=====
def f(a: 1):
    pass
### addition hint_not_plain py310
def f(a):
    pass
=====
def f(a: int + str):
    pass
### tuple_of_types hint_not_plain py310
def f(a):
    pass
=====
def f(a: (int, str)):
    pass
### call_in_a_literal hint_not_plain py310
from typing import Literal
def f(a):
    pass
=====
from typing import Literal
def f(a: Literal[exit()]):
    pass
### not_a_hint_in_quotes hint_not_plain py310
def f(a):
    pass
=====
def f(a: 'a number'):
    pass
### union_on_a_string string_union py310
class A:
    pass
def f(a):
    pass
=====
class A:
    pass
def f(a: 'A' | None):
    pass
### union_of_strings_inside string_union py310
def f(a):
    pass
=====
def f(a: list['int' | 'str']):
    pass
### function_for_a_type hint_fails py310
def f(a):
    pass
=====
def f(a: any):
    pass
### function_of_the_file_for_a_type hint_fails py310
def number():
    pass
def f(a):
    pass
=====
def number():
    pass
def f(a: number):
    pass
### union_with_a_function hint_fails py310
def f(a):
    pass
=====
def f(a: callable | None):
    pass
### subscript_on_a_plain_builtin hint_fails py310
def f(a):
    pass
=====
def f(a: str[int]):
    pass
### subscript_on_a_plain_class hint_fails py310
class Box:
    pass
def f(a):
    pass
=====
class Box:
    pass
def f(a: Box[int]):
    pass
### subscript_on_a_method_of_that_name hint_fails py310
class A:
    def list(self):
        pass
    def f(self):
        pass
=====
class A:
    def list(self):
        pass
    def f(self) -> list[int]:
        pass
### too_many_arguments hint_fails py310
from typing import Optional
def f(a):
    pass
=====
from typing import Optional
def f(a: Optional[int, str]):
    pass
### union_of_none_and_none hint_fails py310
def f(a):
    pass
=====
def f(a: None | None | int):
    pass
### union_with_an_unknown_value hint_fails py310
from app import thing
def f(a):
    pass
=====
from app import thing
def f(a: thing | None):
    pass
### variable_annotated_by_itself name_not_bound py310
int = 5
=====
int: int | None = 5
### union_for_an_old_target too_new_for_target py39
def f(a):
    pass
=====
def f(a: int | None):
    pass
### builtin_generic_for_an_old_target too_new_for_target py38
def f(a):
    pass
=====
def f(a: list[int]):
    pass
### abc_generic_for_an_old_target too_new_for_target py38
def f(a):
    pass
=====
from collections.abc import Iterable
def f(a: Iterable[int]):
    pass
### typing_name_for_an_old_target too_new_for_target py310
class A:
    def f(self):
        return self
=====
from typing import Self
class A:
    def f(self) -> Self:
        return self
### typing_attribute_for_an_old_target too_new_for_target py310
import typing
class A:
    def f(self):
        return self
=====
import typing
class A:
    def f(self) -> typing.Self:
        return self
### subscript_that_acts hint_fails py310
class A:
    def __class_getitem__(cls, item):
        print(item)
        return cls
def f(a):
    pass
=====
class A:
    def __class_getitem__(cls, item):
        print(item)
        return cls
def f(a: A[int]):
    pass
### union_that_acts hint_fails py310
class M(type):
    def __or__(cls, other):
        return print(other)
class A(metaclass=M):
    pass
def f(a):
    pass
=====
class M(type):
    def __or__(cls, other):
        return print(other)
class A(metaclass=M):
    pass
def f(a: A | None):
    pass
### false_type_checking name_not_bound py310
TYPE_CHECKING = True
x = 1
=====
TYPE_CHECKING = True
if TYPE_CHECKING:
    import a
x: int = 1
""",
    re.DOTALL,
)


@pytest.mark.parametrize(
    ("rule", "minor", "source", "edited"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG]
)
def test_hints_that_may_fail_or_mean_nothing_are_refused_by_name(
    rule: str, minor: str, source: str, edited: str
) -> None:
    request = {"source": source, "candidates": [edited], "path": "app.py"}

    (proof,) = answer({**request, "what": ["types", "docstrings"], "target": [3, int(minor)]})["proofs"]

    assert [broken for broken, _, _ in proof["refusals"]][:1] == [rule]
