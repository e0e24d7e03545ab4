import re

import pytest

from patchmill.job.record import Annotation
from patchmill.verify.proof.child import answer
from patchmill.verify.proof.prove import Unproven, prove

BOTH = frozenset({Annotation.TYPES, Annotation.DOCSTRINGS})

# Each case: a name, the rule that is broken, the target version, the source, and the edited file.
WRONG = re.findall(
    r"### (\w+) (\w+) py3(\d+)\n(.*?)=====\n(.*?)(?=###|\Z)",
    '''\
### bare_annotation_in_function bare_annotation_in_function py310
x = 1
def f():
    return x
=====
x = 1
def f():
    x: int
    return x
### dataclass_field class_level_annotation py310
from dataclasses import dataclass
@dataclass
class A:
    x = 1
=====
from dataclasses import dataclass
@dataclass
class A:
    x: int = 1
### bare_field_of_a_model class_level_annotation py310
from pydantic import BaseModel
class A(BaseModel):
    x: int
=====
from pydantic import BaseModel
class A(BaseModel):
    x: int
    y: str
### enum_member class_level_annotation py310
import enum
class A(enum.Enum):
    X = 1
=====
import enum
class A(enum.Enum):
    X: int = 1
### class_with_a_metaclass class_level_annotation py310
class A(metaclass=M):
    x = 1
=====
class A(metaclass=M):
    x: int = 1
### class_made_a_dataclass_by_a_call class_level_annotation py310
from dataclasses import dataclass
class A:
    x = 1
A = dataclass(A)
=====
from dataclasses import dataclass
class A:
    x: int = 1
A = dataclass(A)
### singledispatch_parameter decorated_parameter_hint py310
from functools import singledispatch
@singledispatch
def f(a):
    pass
@f.register
def _(a):
    pass
=====
from functools import singledispatch
@singledispatch
def f(a):
    pass
@f.register
def _(a: int):
    pass
### route_parameter decorated_parameter_hint py310
from fastapi import FastAPI
app = FastAPI()
@app.get('/')
def f(a):
    pass
=====
from fastapi import FastAPI
app = FastAPI()
@app.get('/')
def f(a: int):
    pass
### route_return decorated_return_hint py310
from fastapi import FastAPI
app = FastAPI()
@app.get('/')
def f(a):
    pass
=====
from fastapi import FastAPI
app = FastAPI()
@app.get('/')
def f(a) -> int:
    pass
### decorator_that_only_looks_listed decorated_parameter_hint py310
def property(f):
    return f
class A:
    @property
    def f(self, a):
        pass
=====
def property(f):
    return f
class A:
    @property
    def f(self, a: int):
        pass
### file_that_reads_annotations hints_are_read py310
def f(a):
    pass
print(f.__annotations__)
=====
def f(a: int):
    pass
print(f.__annotations__)
### file_that_reads_signatures hints_are_read py310
import inspect
def f(a):
    return inspect.signature(f)
=====
import inspect
def f(a: int):
    return inspect.signature(f)
### dependency_of_a_framework hints_are_read py310
from fastapi import Depends
def f(a):
    return a
X = Depends(dependency=f)
=====
from fastapi import Depends
def f(a: int):
    return a
X = Depends(dependency=f)
### type_ignore_dropped comment_changed py310
def f(a):
    return a.b  # type: ignore
=====
def f(a: int):
    return a.b
### type_ignore_moved comment_changed py310
def f(a):
    x = a.b  # type: ignore
    return x
=====
def f(a: int):
    x = a.b
    return x  # type: ignore
### type_ignore_left_behind_a_longer_signature comment_changed py310
def f(a, b):  # type: ignore
    return a
=====
def f(
    a: int,
    b: int
):  # type: ignore
    return a
### comment_reworded comment_changed py310
def f(a):
    return a  # as it is
=====
def f(a: int):
    return a  # unchanged
### comment_added comment_changed py310
def f(a):
    return a
=====
def f(a: int):
    return a  # new
### comment_within_an_import comment_changed py310
def f(a):
    return a
=====
from typing import Any  # for f
def f(a: Any):
    return a
### shebang_moved_down comment_changed py310
#!/usr/bin/env python
x = 1
=====
"""A script."""
#!/usr/bin/env python
x = 1
### code_changed code_changed py310
def f(a):
    return a + 1
=====
def f(a: int):
    return a + 2
### equal_but_other_constant code_changed py310
def f(a):
    return 1
=====
def f(a: int):
    return True
### default_changed code_changed py310
def f(a=[]):
    return a
=====
def f(a: list=None):
    return a
### statement_added code_changed py310
def f(a):
    return a
=====
def f(a: int):
    assert a
    return a
### statement_dropped code_changed py310
def f(a):
    print(a)
    return a
=====
def f(a: int):
    return a
### statement_dedented code_changed py310
def f(a):
    if a:
        a = 1
        a = 2
=====
def f(a: int):
    if a:
        a = 1
    a = 2
### parameter_renamed code_changed py310
def f(a):
    pass
=====
def f(b: int):
    pass
### quotes_changed tokens_changed py310
def f(a):
    return 'a'
=====
def f(a: int):
    return "a"
### parentheses_added tokens_changed py310
def f(a):
    return a
=====
def f(a: int):
    return (a)
### trailing_comma_added_to_a_call tokens_changed py310
def f(a):
    return f(a)
=====
def f(a: int):
    return f(a,)
### hint_changed existing_hint_changed py310
def f(a: int, b):
    return a
=====
def f(a: str, b: int):
    return a
### hint_dropped existing_hint_changed py310
def f(a: int, b):
    return a
=====
def f(a, b: int):
    return a
### hint_of_a_variable_changed existing_hint_changed py310
x: int = 1
=====
x: str = 1
### global_name_annotated not_parsed py310
def f():
    global y
    y = 1
=====
def f():
    global y
    y: int = 1
### syntax_error not_parsed py310
def f(a):
    pass
=====
def f(a: int:
    pass
### future_import import_not_allowed py310
def f(a):
    pass
=====
from __future__ import annotations
def f(a: int):
    pass
### foreign_import import_not_allowed py310
def f(a):
    pass
=====
import numpy as np
def f(a: np.ndarray):
    pass
### extensions_import import_not_allowed py310
def f(a):
    pass
=====
from typing_extensions import Self
def f(a: Self):
    pass
### star_import import_not_allowed py310
def f(a):
    pass
=====
from typing import *
def f(a: Any):
    pass
### invented_typing_name import_not_allowed py310
def f(a):
    pass
=====
from typing import Integer
def f(a: Integer):
    pass
### longer_foreign_import import_not_allowed py310
from os import path
def f(a):
    return path
=====
from os import path, system
def f(a: int):
    return path
### code_under_type_checking import_not_allowed py310
from typing import TYPE_CHECKING
X = TYPE_CHECKING
=====
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from a import B
    print(B)
X: bool = TYPE_CHECKING
### otherwise_of_type_checking import_not_allowed py310
from typing import TYPE_CHECKING
X = TYPE_CHECKING
=====
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import a
else:
    import b
X: bool = TYPE_CHECKING
### import_in_the_otherwise_of_type_checking import_placement py310
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import a
else:
    a = 1
x = 1
=====
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import a
else:
    import b
    a = 1
x: int = 1
### import_in_a_function import_placement py310
def f(a):
    return a
=====
def f(a: int):
    from typing import Any
    return a
### import_before_the_docstring import_placement py310
"""A module."""
def f(a):
    pass
=====
from typing import Any
"""A module."""
def f(a: Any):
    pass
### import_over_a_name_in_use import_rebinds py310
from app import Any
def f(a):
    return Any
=====
from app import Any
from typing import Any
def f(a: Any):
    return Any
### import_as_a_builtin import_rebinds py310
def f(a):
    return list(a)
=====
from typing import List as list
def f(a: list):
    return list(a)
### import_of_a_name_used_unbound import_rebinds py310
def f(a):
    return Any
=====
from typing import Any
def f(a: Any):
    return Any
### class_docstring_no_longer_first code_changed py310
class A:
    """A class."""
=====
class A:
    x: int
    """A class."""
### docstring_changed existing_docstring_changed py310
def f(a):
    """One."""
=====
def f(a: int):
    """Two."""
### second_docstring code_changed py310
def f(a):
    """One."""
=====
def f(a: int):
    """One."""
    """Two."""
### format_string_for_docstring code_changed py310
def f(a):
    return a
=====
def f(a: int):
    f"""{exit()}"""
    return a
### bytes_for_docstring code_changed py310
def f(a):
    return a
=====
def f(a: int):
    b"""Give."""
    return a
### docstring_of_two_strings docstring_not_plain py310
def f(a):
    return a
=====
def f(a):
    "Give " "a."
    return a
### docstring_with_an_example docstring_example py310
def f(a):
    return a
=====
def f(a):
    """Give a.

    >>> f(__import__('os').system('true'))
    """
    return a
### file_that_reads_docstrings docstrings_are_read py310
def f(a):
    return a
print(f.__doc__)
=====
def f(a):
    """Give a."""
    return a
print(f.__doc__)
### docstring_that_warns new_warning py310
def f(a):
    return a
=====
def f(a):
    """Give \\d."""
    return a
### hidden_character invisible_character py310
def f(a):
    return a
=====
def f(a):
    """Give\u202e a."""
    return a
### nothing_added adds_nothing py310
def f(a):
    return a
=====
def f(a):

    return a
### import_alone adds_nothing py310
def f(a):
    return a
=====
from typing import Any
def f(a):
    return a
''',
    re.DOTALL,
)


@pytest.mark.parametrize(
    ("rule", "minor", "source", "edited"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG]
)
def test_what_is_no_mere_addition_is_refused_by_name(rule: str, minor: str, source: str, edited: str) -> None:
    request = {"source": source, "candidates": [edited], "path": "app.py"}

    (proof,) = answer({**request, "what": ["types", "docstrings"], "target": [3, int(minor)]})["proofs"]

    assert [broken for broken, _, _ in proof["refusals"]][:1] == [rule]


def test_a_refusal_names_the_line_and_says_why() -> None:
    source, edited = "x = 1\ndef f(a):\n    pass\n", "x = 1\ndef f(a: B):\n    pass\n"

    proofs = prove(source, [edited], path="app.py", what=BOTH, target=None)

    assert not isinstance(proofs, Unproven)
    assert proofs[0].refusals[0].line == 2
    assert "B" in proofs[0].refusals[0].detail


@pytest.mark.parametrize(
    ("what", "addition"),
    [
        (Annotation.TYPES, 'def f(a):\n    """Give a."""\n    return a\n'),
        (Annotation.DOCSTRINGS, "def f(a: int):\n    return a\n"),
        (Annotation.DOCSTRINGS, 'from typing import Any\ndef f(a):\n    """Give a."""\n    return a\n'),
    ],
    ids=["docstring", "hint", "import"],
)
def test_what_was_not_asked_for_is_refused(what: Annotation, addition: str) -> None:
    proofs = prove(
        "def f(a):\n    return a\n", [addition], path="app.py", what=frozenset({what}), target=None
    )

    assert not isinstance(proofs, Unproven)
    assert [str(refusal.rule) for refusal in proofs[0].refusals] == ["not_asked_for"]


@pytest.mark.parametrize(
    "edited",
    [
        "x = " + "(" * 5_000 + "1" + ")" * 5_000,
        "x = " + "-" * 50_000 + "1",
        "x: 'int\0' = 1",
        "x: int = 1" * 9,
    ],
    ids=["brackets", "operators", "nul_byte", "garbage"],
)
def test_an_edited_file_that_hurts_parsers_is_refused_and_the_others_answered(edited: str) -> None:
    proofs = prove("x = 1\n", [edited, "x: int = 1\n"], path="app.py", what=BOTH, target=None)

    assert not isinstance(proofs, Unproven)
    assert [len(proof.refusals) for proof in proofs] == [1, 0]
