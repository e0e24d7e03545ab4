"""Annotations that look harmless: somebody shows, collects or counts what they add, or they fail when run."""

import re

import pytest

from patchmill.job.record import Annotation
from patchmill.verify.proof.child import answer

# A docstring is added below the first `def` or `class` line that ends with `# here`.
SHOWN = re.split(
    r"---\n",
    """\
from flask import Flask
app = Flask(__name__)
@app.cli.command('init-db')
def go():  # here
    return 1
---
from .app import cli
@cli.command()
def go():  # here
    return 1
---
from fabric import task
@task
def go(c):  # here
    return 1
---
import nox
@nox.session
def go(session):  # here
    return 1
---
from duty import duty
@duty
def go(ctx):  # here
    return 1
---
from airflow.decorators import dag
@dag()
def go():  # here
    return 1
---
from agents import function_tool
@function_tool
def go(city):  # here
    return 1
---
from llama_index.core.tools import FunctionTool
def go(city):  # here
    return 1
TOOL = FunctionTool.from_defaults(fn=go)
---
from google import genai
def go(city):  # here
    return 1
genai.Client().ask(tools=[go])
---
import ollama
def go(city):  # here
    return 1
ollama.chat('x', tools=[go])
---
from crewai.tools import tool
@tool
def go(city):  # here
    return 1
---
import dspy
class QA(dspy.Signature):  # here
    question = dspy.InputField()
---
import marvin
@marvin.fn
def rate(text):  # here
    return text
---
import ell
@ell.simple(model='x')
def rate(text):  # here
    return text
---
from transformers.utils import get_json_schema
def go(city):  # here
    return 1
get_json_schema(go)
---
import gradio as gr
def go(city):  # here
    return 1
gr.Interface(go, 'text', 'text')
---
from kfp import dsl
@dsl.component
def add(a: int) -> int:  # here
    return a
---
from errbot import BotPlugin, botcmd
class Hi(BotPlugin):
    @botcmd
    def hi(self, m, a):  # here
        return 1
---
from sopel import plugin
@plugin.command('hi')
def hi(bot, trigger):  # here
    return 1
---
from disnake.ext import commands
bot = commands.Bot('!')
@bot.command()
async def hi(c):  # here
    pass
---
from cleo.commands.command import Command
class Hi(Command):  # here
    name = 'hi'
---
from cliff.command import Command
class Hi(Command):  # here
    x = 1
---
import argh
def go(a):  # here
    return a
argh.dispatch_command(go)
---
import defopt
def go(a: int):  # here
    return a
defopt.run(go)
---
from flask.views import MethodView
from flask_smorest import Blueprint
blp = Blueprint('a', __name__)
@blp.route('/')
class Items(MethodView):
    def get(self):  # here
        return []
---
from flasgger import Swagger
from flask import Flask
app = Flask(__name__)
Swagger(app)
@app.route('/')
def items():  # here
    return []
---
from starlette.schemas import SchemaGenerator
from starlette.routing import Route
def items(request):  # here
    return []
routes = [Route('/', endpoint=items)]
---
from OFS.SimpleItem import SimpleItem
class Thing(SimpleItem):
    def secret(self):  # here
        return 1
---
class A:  # here
    RED = 'red'
NAMES = [v for v in vars(A).values() if isinstance(v, str)]
---
class A:  # here
    RED = 'red'
    @classmethod
    def all(cls):
        return [*cls.__dict__.values()]
---
class M(type):
    def __new__(m, name, bases, ns):
        ns['all'] = [v for v in ns.values()]
        return super().__new__(m, name, bases, ns)
class A(metaclass=M):  # here
    x = 1
---
class M(type):
    def __init__(cls, name, bases, ns):
        cls.all = [k for k in ns]
class A(metaclass=M):
    x = 1
class B(A):  # here
    y = 1
---
class A:  # here
    __slots__ = ('x', '__doc__')
---
import __main__
def go():  # here
    return 1
print(__main__.go.__doc__)
---
import marshal
def go():  # here
    return 1
KEY = marshal.dumps(go.__code__)
---
def go():  # here
    return 1
print(hash(go.__code__))
---
import sys
def go():  # here
    return 1
print(len(open(sys.argv[0]).read()))
---
import inspect
def go():  # here
    return inspect.stack()[1].code_context
---
def go(a):  # here
    # type: (int) -> int
    return a
""",
)
# Each case: a name, the target version, a source, and what takes whose place in it.
TRAPS = re.findall(
    r"### (\w+) py3(\d+)\n(.*?)-----\n(.*?) => (.*?)\n(?=###|\Z)",
    '''\
### star_import_may_rebind_a_builtin py310
from legacy import *
def f(a): pass
-----
a) => a: list[int])
### star_import_may_rebind_what_was_imported py310
from typing import List
from legacy import *
def f(a): pass
-----
a) => a: List[int])
### context_may_have_suppressed_the_import py310
from contextlib import suppress
with suppress(ImportError):
    from foo import Bar
def f(a): pass
-----
a) => a: Bar)
### name_is_something_else_when_the_function_is_called py310
class T: pass
def make():
    def f(a): pass
make()
T = 5
make()
-----
a) => a: T | None)
### name_is_gone_when_the_function_is_called py310
class T: pass
def make():
    def f(a): pass
del T
make()
-----
a) => a: T)
### name_is_something_else_in_the_next_round py310
T = int
for _ in range(2):
    def f(a): pass
    T = None
-----
a) => a: T | None)
### name_is_gone_in_the_next_round py310
class T: pass
for _ in range(2):
    def f(a): pass
    del T
-----
a) => a: T)
### more_arguments_than_the_class_takes py310
from typing import Generic, TypeVar
T = TypeVar("T")
class Box(Generic[T]): pass
def f(a): pass
-----
a) => a: Box[int, str])
### fewer_arguments_than_the_class_takes py310
from typing import Generic, TypeVar
K = TypeVar("K")
V = TypeVar("V")
class Pair(Generic[K, V]): pass
def f(a): pass
-----
a) => a: Pair[int])
### class_takes_no_argument_any_more py310
from typing import Generic, TypeVar
T = TypeVar("T")
class Box(Generic[T]): pass
class IntBox(Box[int]): pass
def f(a): pass
-----
a) => a: IntBox[int])
### metaclass_of_the_base_acts py310
class Meta(type):
    def __or__(cls, other): print("or")
class A(metaclass=Meta): pass
class B(A): pass
def f(a): pass
-----
a) => a: B | None)
### subscript_of_the_base_acts py310
from typing import Generic, TypeVar
T = TypeVar("T")
class A:
    def __class_getitem__(cls, item): raise RuntimeError
class B(A, Generic[T]): pass
def f(a): pass
-----
a) => a: B[int])
### module_called_like_a_class py310
from PIL import Image
def f(a): return Image.open(a)
-----
a): => a: Image | None):
### function_called_like_a_class py310
from lxml.etree import Element
def f(a): return Element(a)
-----
a): => a: Element | None):
### callable_without_a_list_on_an_old_target py39
from typing import Callable
def f(a): pass
-----
a) => a: Callable[int, str])
### annotations_of_a_class_are_looked_for py310
class A:
    x = 1
print(hasattr(A, "__annotations__"))
-----
x = => x: int =
### annotations_of_the_module_are_its_own py310
__annotations__ = None
x = 1
-----
x = => x: int =
### class_within_a_model py310
from framework import Model
class User(Model):
    class Meta:
        order = 1
-----
order = => order: int =
### hints_become_types_of_c py310
import cython
def f(a): pass
-----
a) => a: int)
### instance_is_compiled_by_its_hints py310
import torch
class Net(torch.nn.Module):
    def forward(self, x): return x
net = torch.jit.script(Net())
-----
x): => x: int):
### new_name_is_listed_by_the_module_itself py310
import importlib
def f(a): pass
print(dir(importlib.import_module(__name__)))
-----
def f(a) => from typing import Any\ndef f(a: Any)
### metadata_of_a_script_is_parted py311
# /// script
# dependencies = ["requests"]
# ///
import requests
-----
# dep => """Doc."""\n# dep
### metadata_of_a_script_gets_a_blank_line py311
# /// script
# dependencies = ["requests"]
# ///
def f(a): pass
-----
script\n(.*)a\\) => script\n\n\\1a: int)
### header_of_cython_is_no_longer_first py310
# cython: language_level=3
def f(a): return a
-----
# cython => """Doc."""\n# cython
### examples_are_run_by_an_option py310
import pytest
def f(): return 1
pytest.main(["--doctest-modules"])
-----
def f(): return 1 => def f():\n    """Give two.\n\n    >>> f()\n    2\n    """\n    return 1
### class_is_handed_to_a_descriptor py310
class D:
    def __set_name__(self, owner, name):
        self.kind = owner.__annotations__.get(name)
class A:
    x = D()
-----
x = => x: int =
### class_is_handed_to_a_getter py310
class D:
    def __get__(self, instance, owner):
        return getattr(owner, "__annotations__", {})
class A:
    x = D()
    y = 1
-----
y = => y: int =
### reader_is_applied_to_a_list py310
import inspect
def f(a): pass
print(sorted([f], key=lambda one: str(inspect.signature(one))))
-----
a) => a: int)
### reader_is_applied_by_name py310
import inspect
def f(a): pass
def show(one): return inspect.signature(one)
print(list(map(show, [f])))
-----
f(a) => f(a: int)
### reader_stands_in_compiled_code py310
import inspect
def f(a): pass
exec(compile("print(inspect.signature(f))", "x", "exec"))
-----
f(a) => f(a: int)
### pattern_looks_at_annotations py310
def f(a): pass
match f:
    case object(__annotations__={}): print("none")
-----
f(a) => f(a: int)
### module_is_handed_on py310
import sys, lib
def f(a): pass
lib.scan(sys.modules[__name__])
-----
f(a) => f(a: int)
### names_of_the_module_are_handed_on py310
import lib
def f(a): pass
lib.scan(globals())
-----
f(a) => f(a: int)
### member_does_not_exist py310
from typing import Literal
import enum
class C(enum.Enum): RED = 1
def f(a): pass
-----
a) => a: Literal[C.BLUE])
### file_is_read_by_its_name py310
from importlib import resources
def f(a): pass
print(resources.files(__package__).joinpath("app.py").read_text())
-----
f(a) => f(a: int)
### example_takes_a_file_away py310
def f(): return 1
-----
def f(): return 1 => def f():\n    """Give one.\n\n    >>> Path("x").unlink()\n    """\n    return 1
''',
    re.DOTALL,
)
# What formatters and models write around right hints, and what looks like a trap and is none.
RIGHT = re.findall(
    r"### (\w+) py3(\d+)\n(.*?)=====\n(.*?)(?=###|\Z)",
    '''\
### signature_over_several_lines py310
def f(a, *b, c=1):
    return a
=====
def f(
    a: int,
    *b: str,
    c: int = 1,
) -> int:
    return a
### signature_on_one_line py310
def f(
    a,
    b,  # the other
):
    return a
=====
def f(a: int,
      b: int  # the other
      ) -> int:
    return a
### names_in_brackets py310
from typing import Any
def f(a, b):
    return a
=====
from typing import (
    Any,
    Optional,
)
def f(a: Any, b: Optional[int]):
    return a
### names_without_brackets py310
from typing import (Any,)
def f(a, b):
    return a
=====
from typing import Any, Optional
def f(a: Any, b: Optional[int]):
    return a
### class_is_named_when_registered py310
from functools import singledispatch
@singledispatch
def show(a):
    return "any"
@show.register(int)
def _(a):
    return "int"
=====
from functools import singledispatch
@singledispatch
def show(a: object) -> str:
    return "any"
@show.register(int)
def _(a: int) -> str:
    return "int"
### attributes_written_down py310
import json
class Item:
    def __init__(self, name):
        self.name = name
    def write(self, path):
        path.write_text(json.dumps(vars(self)))
def write_all(items, out):
    out.write(json.dumps([item.__dict__ for item in items]))
=====
import json
class Item:
    """An item."""
    def __init__(self, name: str) -> None:
        self.name = name
    def write(self, path: str) -> None:
        """Write it down."""
        path.write_text(json.dumps(vars(self)))
def write_all(items: list[Item], out: object) -> None:
    """Write all down."""
    out.write(json.dumps([item.__dict__ for item in items]))
### generic_classes py310
from typing import Generic, TypeVar
K = TypeVar("K")
V = TypeVar("V")
class Pair(Generic[K, V]):
    x = 1
class Named(Pair[str, V]):
    x = 1
class Env(dict[str, str]):
    x = 1
def f(a, b, c=None):
    return a
=====
from typing import Generic, TypeVar
K = TypeVar("K")
V = TypeVar("V")
class Pair(Generic[K, V]):
    """Two."""
    x = 1
class Named(Pair[str, V]):
    x = 1
class Env(dict[str, str]):
    x = 1
def f(a: Pair[int, str], b: Named[int], c: Env | None = None) -> Pair[int, "Named[str]"]:
    return a
### plain_builtins_beside_a_star_import py310
from tkinter import *
from legacy import *
def f(a, b):
    return a
=====
from tkinter import *
from legacy import *
def f(a: int, b: "list[str]") -> str:
    return a
### metaclass_that_only_passes_names_on py310
class Meta(type):
    def __new__(mcs, name, bases, ns):
        ns["x"] = 1
        return super().__new__(mcs, name, bases, ns)
class A(metaclass=Meta):
    y = 1
=====
class Meta(type):
    def __new__(mcs, name: str, bases: tuple[type, ...], ns: dict[str, object]) -> "Meta":
        ns["x"] = 1
        return super().__new__(mcs, name, bases, ns)
class A(metaclass=Meta):
    """An A."""
    y = 1
### members_and_keys py310
from typing import Literal
import enum
class C(enum.Enum):
    RED = 1
def f(a, b):
    return sorted(b, key=lambda one: one.name)
def g(a):
    return max(map(f, a))
=====
from typing import Literal
import enum
class C(enum.Enum):
    """Colours."""
    RED = 1
def f(a: Literal[C.RED], b: list[C]) -> list[C]:
    """Sort."""
    return sorted(b, key=lambda one: one.name)
def g(a: list[int]) -> int:
    """Apply."""
    return max(map(f, a))
### module_of_an_image py310
from PIL import Image
def f(a):
    return Image.open(a)
=====
from PIL import Image
def f(a: str) -> Image.Image:
    return Image.open(a)
''',
    re.DOTALL,
)


def rules(source: str, edited: str, minor: int = 10) -> list[str]:
    what = [Annotation.TYPES, Annotation.DOCSTRINGS]
    request = {"source": source, "candidates": [edited], "what": what, "path": "app.py", "target": [3, minor]}
    got = answer(request)
    assert got["source_error"] is None, got
    return [str(refusal[0]) for refusal in got["proofs"][0]["refusals"]]


@pytest.mark.parametrize("source", SHOWN, ids=lambda source: source.partition("\n")[0])
def test_a_docstring_that_somebody_looks_at_is_refused(source: str) -> None:
    line = next(line for line in source.split("\n") if line.endswith("# here"))
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    edited = source.replace(line, f'{line}\n{indent}"""Say it."""')

    assert rules(source, edited) != []


@pytest.mark.parametrize(("name", "minor", "source", "old", "new"), TRAPS, ids=[trap[0] for trap in TRAPS])
def test_a_trap_is_seen(name: str, minor: str, source: str, old: str, new: str) -> None:
    pattern = old if "\\" in old else re.escape(old)
    edited = re.sub(
        pattern, new if "\\1" in new else new.replace("\\", "\\\\"), source, count=1, flags=re.DOTALL
    )

    assert edited != source, name
    assert rules(source, edited, int(minor)) != []


@pytest.mark.parametrize(("name", "minor", "source", "edited"), RIGHT, ids=[case[0] for case in RIGHT])
def test_what_is_right_is_accepted(name: str, minor: str, source: str, edited: str) -> None:
    assert rules(source, edited, int(minor)) == [], name


@pytest.mark.parametrize(
    ("path", "name", "refused"), [("dodo.py", "task_a", True), ("app.py", "task_a", False)]
)
def test_files_of_tools_that_list_functions_are_known_by_name(path: str, name: str, *, refused: bool) -> None:
    source = f"def {name}():\n    return 1\n"
    edited = source.replace(":\n", ':\n    """Do it."""\n', 1)
    request = {
        "source": source,
        "candidates": [edited],
        "what": ["docstrings"],
        "path": path,
        "target": [3, 10],
    }

    assert bool(answer(request)["proofs"][0]["refusals"]) is refused


def test_a_file_called_typing_does_not_import_itself() -> None:
    source = "def f(a):\n    return a\n"
    edited = "from typing import Any\n" + source.replace("(a)", "(a: Any)")
    request = {"source": source, "candidates": [edited], "what": ["types"], "target": [3, 10]}

    assert [
        bool(answer({**request, "path": path})["proofs"][0]["refusals"]) for path in ("typing.py", "a.py")
    ] == [
        True,
        False,
    ]
