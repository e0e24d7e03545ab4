"""What reads hints, docstrings and source at run time: it is refused what may get there, and nothing else."""

import re

import pytest

from patchmill.verify.proof.child import answer

# Each case: a name, the rule that is broken (`right` if none is), and the source; `@@` stands for the hint
# `: int` that is added, `$$` for the docstring.
CASES = re.findall(
    r"### (\w+) (\w+)\n(.*?)(?=###|\Z)",
    """\
### signature_by_an_alias hints_are_read
import inspect as i
def f(a@@):
    return a
print(i.signature(f))
### module_lists_its_names hints_are_read
x@@ = 1
print(dir())
### module_prints_its_names hints_are_read
x@@ = 1
print(sorted(vars()), locals())
### module_looks_one_up right
x@@ = 1
print(globals()["x"])
### module_looks_at_itself_as_main hints_are_read
import __main__
x@@ = 1
print(list(vars(__main__)))
### names_of_the_module_by_a_frame hints_are_read
import sys
x@@ = 1
print(list(sys._getframe().f_globals))
### class_lists_its_names class_level_annotation
class A:
    x@@ = 1
    names = list(locals())
### class_prints_its_names class_level_annotation
class A:
    x@@ = 1
    print(dir())
### names_of_another_class_are_listed right
class A:
    x@@ = 1
class B:
    y = 1
    names = list(vars())
### field_in_a_mixin_of_mapped_classes class_level_annotation
from sqlalchemy.orm import mapped_column
class Mixin:
    key@@ = mapped_column(primary_key=True)
### field_in_a_mixin_of_models class_level_annotation
import pydantic
class Mixin:
    size@@ = pydantic.Field(1)
### what_is_called_in_a_plain_class right
import re
class A:
    words@@ = re.compile("x")
### signature_by_from_callable hints_are_read
import inspect
def f(a@@):
    return a
print(inspect.Signature.from_callable(f))
### signature_kept_under_a_name hints_are_read
import inspect
look = inspect.signature
def f(a@@):
    return a
look(f)
### signature_of_what_a_function_is_given hints_are_read
import inspect
def f(a@@):
    return a
def look(what):
    return inspect.signature(what)
look(f)
### signature_given_on_by_map hints_are_read
import inspect
def f(a@@):
    return a
print(list(map(inspect.signature, [f])))
### signature_of_a_method hints_are_read
import inspect
class A:
    def f(self, a@@):
        return inspect.signature(self.f)
### signature_of_a_class hints_are_read
import inspect
class A:
    def __init__(self, a@@):
        self.a = a
print(inspect.signature(A))
### signature_of_another_function right
import inspect
def f(a@@):
    return a
def g(b):
    return b
print(inspect.signature(g))
### signature_in_a_decorator_for_others right
import inspect
def look(what):
    return inspect.signature(what)
def f(a@@):
    return a
print(f(1))
### predicates_of_inspect right
import inspect
def f(a@@):
    return a
print(inspect.isfunction(f), inspect.iscoroutinefunction(f))
### members_listed hints_are_read
import inspect
def f(a@@):
    return a
print(inspect.getmembers(f))
### members_of_self_listed hints_are_read
import inspect
class A:
    def __init__(self):
        self.all = dict(inspect.getmembers(self))
    def f(self, a@@):
        return a
### annotations_by_a_built_name hints_are_read
def f(a@@):
    return a
print(getattr(f, "__annot" + "ations__"))
### annotations_of_what_a_loop_gives hints_are_read
def f(a@@):
    return a
for each in {"f": f}.values():
    print(each.__annotations__)
### annotations_of_another_thing right
def f(a@@):
    return a
def g(other):
    return other.__annotations__
### everything_looked_at hints_are_read
import inspect
def f(a@@):
    return a
for each in list(globals().values()):
    print(inspect.signature(each))
### found_by_its_name hints_are_read
import inspect
def f(a@@):
    return a
inspect.signature(globals()["f"])
### constants_of_the_code hints_are_read
def f(a@@):
    return a
print(f.__code__.co_consts)
### name_in_the_code right
def f(a@@):
    return a
print(f.__code__.co_name)
### source_of_the_function source_is_read
import inspect
def f(a):
    return a
def g(a@@):
    return a
print(inspect.getsource(f))
### source_of_what_others_give right
import inspect
def source(what):
    return inspect.getsource(what)
def g(a@@):
    return a
### line_of_the_function source_is_read
def f(a):
    return a
def g():
    $$
    return 1
print(f.__code__.co_firstlineno)
### own_file_opened source_is_read
def f(a@@):
    return a
print(open(__file__).read())
### own_file_opened_as_a_path source_is_read
from pathlib import Path
HERE = Path(__file__).resolve()
def f(a@@):
    return HERE.read_text()
### folder_of_the_file right
import os
from pathlib import Path
HERE = Path(__file__).resolve()
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data")
def f(a@@):
    return HERE.parent / "other.txt"
### dispatched_in_call_form hints_are_read
import functools
@functools.singledispatch
def f(a):
    return a
def h(a@@):
    return 1
f.register(h)
### handed_to_fire hints_are_read
import fire
def f(a@@):
    return a
fire.Fire(f)
### class_handed_to_fire hints_are_read
import fire
class A:
    def f(self, a@@):
        return a
fire.Fire(A)
### handed_to_an_unknown_package hints_are_read
import lib
def h(a@@):
    return a
lib.register(h)
### handed_on_by_a_function_of_the_file hints_are_read
import lib
def h(a@@):
    return a
def add(what):
    lib.register(what)
add(h)
### handed_on_as_a_part hints_are_read
import functools
import lib
def h(a@@):
    return a
lib.register(functools.partial(h, 1))
### handed_on_through_a_table hints_are_read
import cyclopts
app = cyclopts.App()
def h(a@@):
    return a
TABLE = {"h": h}
for name, each in TABLE.items():
    app.command(each)
### handed_on_as_a_method hints_are_read
import typer
class A:
    def __init__(self, app):
        app.command()(self.h)
    def h(self, a@@):
        return a
### handed_to_the_standard_library right
import argparse
import threading
def h(a@@):
    return a
parser = argparse.ArgumentParser()
parser.set_defaults(run=h)
threading.Thread(target=h).start()
print(sorted([1], key=h))
### kept_in_a_table right
def h(a@@):
    return a
TABLE = {"h": h}
def run(name):
    return TABLE[name](1)
### called_by_an_unknown_package right
import lib
def h(a@@):
    return a
lib.use(h(1))
### dependency_with_a_constructor hints_are_read
from fastapi import Depends
class P:
    def __init__(self, q@@=None):
        self.q = q
def r(x=Depends(P)):
    return x
### dependency_of_another_file hints_are_read
from fastapi import Request
def dep(a@@):
    return a
### private_in_the_file_of_a_framework right
from fastapi import Request
def _part(a@@):
    return a
def dep(request):
    return _part(request)
### checked_by_beartype hints_are_read
from beartype.claw import beartype_this_package
beartype_this_package()
def f(a@@):
    return a
### checked_by_typeguard hints_are_read
from typeguard import install_import_hook
install_import_hook()
def f(a@@):
    return a
### dataclass_of_a_list class_level_annotation
import dataclasses
class A:
    x@@ = 1
for each in [A]:
    dataclasses.dataclass(each)
### dataclass_found_by_its_name class_level_annotation
import dataclasses
class A:
    x@@ = 1
dataclasses.dataclass(globals()["A"])
### part_of_a_model class_level_annotation
from pydantic import BaseModel
class A:
    x@@ = 1
class B(A, BaseModel):
    y: int = 2
### names_of_the_class class_level_annotation
class A:
    x@@ = 1
print(A.__dict__)
### names_of_the_class_by_vars class_level_annotation
class A:
    x@@ = 1
print(vars(A))
### part_of_a_plain_class right
class A:
    x@@ = 1
class B(A):
    pass
### own_dictionary right
class A:
    x@@ = 1
    def __repr__(self):
        return str(self.__dict__)
### module_names_listed import_rebinds
+from typing import Any
def f(a@@):
    return a
for k in list(globals()):
    print(k)
### module_names_by_a_function import_rebinds
+from typing import Any
def __getattr__(name):
    return 1
def f(a@@):
    return a
### module_name_looked_up right
+from typing import Any
def f(a@@):
    return globals()["f"]
### bare_name_of_the_module name_unknown
+y: int
x = 1
### bare_name_that_is_bound_below right
+x: int
x = 1
### attribute_of_a_call hint_not_plain
def f():
    g().x@@ = 1
### beside_a_type_comment type_comment
def f(a@@):  # type: (int) -> int
    return a
### variable_beside_a_type_comment type_comment
x@@ = 1  # type: int
### beside_an_ignored_type right
def f(a@@):  # type: ignore
    return a
### docstring_by_a_built_name docstrings_are_read
class A:
    $$
    x = 1
print(getattr(A, "__doc" + "__"))
### docstring_shown docstrings_are_read
def f():
    $$
    return 1
help(f)
### docstring_got_by_an_alias docstrings_are_read
import inspect as i
def f():
    $$
    return 1
print(i.getdoc(f))
### docstring_of_another_function right
def f():
    $$
    return 1
def g():
    return 2
print(g.__doc__)
### docstring_set right
def f():
    return 1
f.__doc__ = "one"
def g():
    $$
    return 2
### docstring_of_a_command docstrings_are_read
import click
@click.command()
def f():
    $$
    return 1
### docstring_of_a_command_of_a_group docstrings_are_read
import click
@click.group()
def all_of_them():
    return 1
@all_of_them.command()
def f():
    $$
    return 1
### docstring_beside_a_command right
import click
@click.command()
def f():
    return g()
def g():
    $$
    return 1
### docstring_of_a_route docstrings_are_read
from fastapi import FastAPI
app = FastAPI()
@app.get("/")
def f():
    $$
    return 1
### docstring_of_a_model docstrings_are_read
from pydantic import BaseModel
class A(BaseModel):
    $$
    x = 1
### docstring_of_a_test docstrings_are_read
import unittest
class A(unittest.TestCase):
    def test(self):
        $$
        pass
### docstring_beside_tests right
import unittest
class A(unittest.TestCase):
    def helper(self):
        $$
        pass
### docstring_of_a_derived_test docstrings_are_read
import unittest
class Base(unittest.TestCase):
    pass
class A(Base):
    def test(self):
        $$
        pass
### docstring_of_a_console_command docstrings_are_read
import cmd
class A(cmd.Cmd):
    def do_x(self, a):
        $$
        pass
### docstring_of_a_grammar_rule docstrings_are_read
import ply.yacc as yacc
def p_x(p):
    $$
    p[0] = 1
yacc.yacc()
### docstring_of_an_enum right
from enum import Enum
class A(Enum):
    $$
    X = 1
### everything_handed_to_fire hints_are_read
import fire
def f(a@@):
    return a
fire.Fire()
### signature_from_the_table_of_modules hints_are_read
import sys
def f(a@@):
    return a
sys.modules["inspect"].signature(f)
### signature_by_a_star_import hints_are_read
from inspect import *
def f(a@@):
    return a
signature(f)
### signature_in_a_string hints_are_read
import inspect
def f(a@@):
    return a
eval("inspect.signature(f)")
### docstring_of_a_wrapped_function docstrings_are_read
import functools
def f():
    $$
    return 1
@functools.wraps(f)
def g():
    return 1
print(g.__doc__)
### docstring_made_longer docstrings_are_read
def f():
    $$
    return 1
f.__doc__ += "x"
### docstring_of_the_module_by_its_name docstrings_are_read
$$
x = 1
print(globals()["__doc__"])
### methods_read_by_a_metaclass hints_are_read
import inspect
class M(type):
    def __new__(m, n, b, ns):
        for v in ns.values():
            inspect.signature(v)
        return type.__new__(m, n, b, ns)
class A(metaclass=M):
    def f(self, a@@):
        return a
### methods_read_by_a_base hints_are_read
import inspect
class B:
    def __init_subclass__(cls):
        for n in dir(cls):
            inspect.signature(getattr(cls, n))
class A(B):
    def f(self, a@@):
        return a
### kept_by_a_registry hints_are_read
import inspect
class R:
    def __init__(self):
        self.all = []
    def add(self, f):
        self.all.append(f)
    def show(self):
        for f in self.all:
            inspect.signature(f)
r = R()
def f(a@@):
    return a
r.add(f)
### kept_by_a_registry_that_reads_nothing right
class R:
    def __init__(self):
        self.all = []
    def add(self, f):
        self.all.append(f)
r = R()
def f(a@@):
    return a
r.add(f)
### given_to_what_a_decorator_makes hints_are_read
import inspect
def deco(x):
    def inner(f):
        inspect.signature(f)
        return f
    return inner
def f(a@@):
    return a
f = deco(1)(f)
### set_in_another_package hints_are_read
import lib
def f(a@@):
    return a
lib.handlers["x"] = f
### captured_by_a_pattern hints_are_read
import inspect
def f(a@@):
    return a
match f:
    case g:
        inspect.signature(g)
### called_as_an_instance hints_are_read
import inspect
def f(a@@):
    return a
class W:
    def __call__(self, g):
        return inspect.signature(g)
w = W()
w(f)
### got_by_an_attrgetter hints_are_read
import inspect, operator
class A:
    def f(self, a@@):
        return a
inspect.signature(operator.attrgetter("f")(A))
### added_to_an_unknown_thing hints_are_read
def setup(app):
    def f(a@@):
        return a
    app.add(f)
### given_to_an_unknown_function right
def run(call):
    def f(a@@):
        return a
    call(f)
### handed_to_a_module_by_a_name_not_known hints_are_read
import importlib
def f(a@@):
    return a
importlib.import_module(input()).register(f)
### handed_to_one_of_several hints_are_read
import lib
def f(a@@):
    return a
for each in [lib.register]:
    each(f)
### decorated_by_the_standard_library right
import atexit
import functools
from contextlib import ExitStack
@functools.lru_cache(maxsize=None)
def f(a@@):
    return a
with ExitStack() as stack:
    @stack.callback
    def g():
        pass
### decorated_by_flask right
from flask import Flask
app = Flask(__name__)
@app.route("/")
def f(a@@):
    return a
### decorated_by_another_file decorated_parameter_hint
from .x import deco
@deco
def f(a@@):
    return a
""",
    re.DOTALL,
)


def proof(source: str, edited: str, target: tuple[int, int] = (3, 11)) -> list[str]:
    request = {"source": source, "candidates": [edited], "path": "app.py", "what": ["types", "docstrings"]}
    told = answer({**request, "target": list(target)})
    assert told["source_error"] is None
    return [rule for rule, _, _ in told["proofs"][0]["refusals"]]


@pytest.mark.parametrize(("rule", "text"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_may_get_to_a_reader_is_refused_and_the_rest_is_not(rule: str, text: str) -> None:
    source = re.sub(r"(?m)^(?: *\$\$|\+.*)\n", "", text).replace("@@", "")
    edited = re.sub(r"(?m)^\+", "", text).replace("@@", ": int").replace("$$", '"""Do it."""')

    broken = proof(source, edited)

    assert source != edited
    assert broken == [] if rule == "right" else rule in broken


@pytest.mark.parametrize(
    ("source", "edited"),
    [
        ("def f(): ...\n", 'def f():\n    """Do it."""\n    ...\n'),
        ("class E(Exception): pass\n", 'class E(Exception):\n    """Wrong."""\n    pass\n'),
        ("def f(a): return a; pass\n", 'def f(a):\n    """Do it."""\n    return a; pass\n'),
        ("def f(\n    a\n): return a\n", 'def f(\n    a\n):\n    """Do it."""\n    return a\n'),
    ],
)
def test_a_body_on_the_line_of_its_def_may_move_below_a_docstring(source: str, edited: str) -> None:
    assert proof(source, edited) == []


def test_a_body_that_is_moved_without_a_docstring_is_not_the_source() -> None:
    assert proof("def f(a): return a\n", "def f(a: int):\n    return a\n") == ["tokens_changed"]


@pytest.mark.parametrize(
    ("imported", "hint", "rules"),
    [
        ("import numpy as np", "np.ndarray", []),
        ("import numpy as np", "np.ndaray", ["name_not_bound"]),
        ("import numpy as np", "np.float64 | None", []),
        ("import requests", "requests.Response", []),
        ("import requests", "requests.HTTPResponse", ["name_not_bound"]),
        ("from . import nodes", "nodes.Template", ["name_not_bound"]),
        ("from . import nodes", "'nodes.Template'", []),
        ("from . import nodes\nprint(nodes.Template)", "nodes.Template", []),
        ("from . import nodes\nprint(nodes.Template)", "nodes.Templte", ["name_not_bound"]),
        ("from . import nodes", "nodes.template", ["name_not_bound"]),
        (
            "try:\n    import numpy as np\nexcept ImportError:\n    np = None",
            "np.ndarray",
            ["name_not_bound"],
        ),
    ],
)
def test_a_type_of_an_imported_module_is_well_known_or_used_in_the_file(
    imported: str, hint: str, rules: list[str]
) -> None:
    source = f"{imported}\ndef f(a):\n    return a\n"

    assert proof(source, source.replace("(a)", f"(a: {hint})")) == rules


@pytest.mark.parametrize(
    ("imported", "example", "rules"),
    [
        ("", ">>> f()\n    1", []),
        ("import doctest\n", ">>> f()\n    1", ["docstring_example"]),
        ("", ">>> import os; os.remove('x')", ["docstring_example"]),
        ("", ">>> f.__globals__", ["docstring_example"]),
    ],
)
def test_an_example_must_not_act_nor_be_run_by_the_file(
    imported: str, example: str, rules: list[str]
) -> None:
    source = f"{imported}def f():\n    return 1\n"
    edited = source.replace("():\n", f'():\n    """Give one.\n\n    {example}\n    """\n')

    assert proof(source, edited) == rules


def test_letters_that_only_look_latin_are_refused_and_other_scripts_are_not() -> None:
    source = "def f():\n    return 1\n"

    assert proof(source, source.replace(":\n", ':\n    """Give the p\u0430ss."""\n')) == [
        "confusable_character"
    ]
    assert (
        proof(
            source,
            source.replace(
                ":\n",
                ':\n    """\u0414\u0430\u0442\u044c \u043f\u0430\u0440\u043e\u043b\u044c, 5 \u03bcs."""\n',
            ),
        )
        == []
    )
