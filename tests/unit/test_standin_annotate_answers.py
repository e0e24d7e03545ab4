import ast
import re

import pytest

from patchmill.dev.standin.model import Turn, answer

BLOCK = re.compile(r"^<<<<<<< SEARCH\n(.*?)^=======\n(.*?)^>>>>>>> REPLACE$", re.DOTALL | re.MULTILINE)

ORDERS = """# A licence.
import os


class OrderLine:
    amount = 0

    @property
    def label(self):
        return os.name

    def is_paid(self, order):
        return order

    def _hidden(self):
        return 1


def total(prices):
    return sum(prices)


def load_orders(path, limit):
    print(path, limit)
"""


def ask(source: str, wishes: str = "types, docstrings", path: str = "src/order_store.py") -> str:
    task = f"File `{path}` (python), whole:\n````python\n{source}````\n\nAdd to this file: {wishes}\n"
    return answer([Turn(role="user", text=task)])


def annotated(source: str, wishes: str = "types", path: str = "src/order_store.py") -> str:
    after = source
    for block in reversed(list(BLOCK.finditer(ask(source, wishes, path)))):
        assert source.count(block[1]) == 1
        start = source.index(block[1])
        after = after[:start] + block[2] + after[start + len(block[1]) :]
    assert bare(after) == bare(source)
    return after


class _Bare(ast.NodeTransformer):
    """Takes annotations and docstrings out of a tree."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if isinstance(node, ast.arg):
            node.annotation = None
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
            first = node.body[0] if node.body else None
            is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            node.body = node.body[1:] if is_text else node.body
        return node


def bare(source: str) -> str:
    return ast.dump(_Bare().visit(ast.parse(source)))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("def f(a, b=1):\n    print(a, b)\n", "def f(a, b: int = 1) -> None:\n    print(a, b)\n"),
        (
            "def f(*, a=-1.5, b=None):\n    return f'{a}'\n",
            "def f(*, a: float = -1.5, b=None) -> str:\n    return f'{a}'\n",
        ),
        ("def f(a=(1)):\n    return a\n", "def f(a: int=(1)):\n    return a\n"),
        (
            "def f(a, /, b = b'', *c, d='é', e):\n    return 1\n",
            "def f(a, /, b: bytes = b'', *c, d: str = 'é', e) -> int:\n    return 1\n",
        ),
        (
            "def f(\n    a,\n    b=True,\n):\n    return b\n",
            "def f(\n    a,\n    b: bool = True,\n):\n    return b\n",
        ),
        (
            "class C:\n    def __init__(self, a):\n        self.a = a\n",
            "class C:\n    def __init__(self, a) -> None:\n        self.a = a\n",
        ),
        (
            "def f(a):\n    return a is None and not a\n",
            "def f(a) -> bool:\n    return a is None and not a\n",
        ),
        ("def f(a):\n    return ', '.join(a)\n", "def f(a) -> str:\n    return ', '.join(a)\n"),
        (
            "async def f(a):\n    if a:\n        return 1\n    else:\n        return 2\n",
            "async def f(a) -> int:\n    if a:\n        return 1\n    else:\n        return 2\n",
        ),
    ],
)
def test_types_are_taken_from_literals(before: str, after: str) -> None:
    assert annotated(before) == after


@pytest.mark.parametrize(
    "source",
    [
        "def f(a):\n    return a\n",
        "def f(a):\n    if a:\n        return 1\n",
        "def f(a):\n    if a:\n        return 1\n    return 'x'\n",
        "def f(a):\n    return a == 1\n",
        "def f(a):\n    return 1 if a else 2\n",
        "def f():\n    yield 1\n",
        "def f():\n    raise NotImplementedError\n",
        "def f():\n    pass\n",
        "def f(a: int) -> None:\n    print(a)\n",
        "def f(): return 1\n",
        "@cache\ndef f(a=1):\n    return 1\n",
        "def f(a=1):\n    # type: (float) -> None\n    return a\n",
        "def f(a=1):\n    return a\n\n\nint = float\n",
        "def outer(a):\n    def inner():\n        return 1\n    return inner\n",
    ],
)
def test_what_leaves_a_doubt_stays_as_it_is(source: str) -> None:
    assert ask(source, "types").startswith("NO CHANGE: ")


def test_docstrings_are_inferred_from_names_and_parameters() -> None:
    source = ORDERS
    after = annotated(source, "docstrings")
    tree = ast.parse(after)
    found = {
        getattr(node, "name", "module"): ast.get_docstring(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
    }
    assert found == {
        "module": "Order store: OrderLine, total and load_orders.",
        "OrderLine": "An order line.",
        "label": "The label.",
        "is_paid": "Return whether it is paid, given order.",
        "_hidden": None,
        "total": "Return the total of prices.",
        "load_orders": "Load orders, given path and limit.",
    }
    assert after.startswith('# A licence.\n"""Order store')


def test_docstrings_that_are_there_are_kept() -> None:
    source = '"""A module."""\n\n\ndef f_of(x):\n    """Do it."""\n    return x\n'
    assert ask(source, "docstrings").startswith("NO CHANGE: ")


def test_a_private_module_gets_no_docstring_of_its_own() -> None:
    assert ask("x = 1\n", "docstrings", "src/_hidden.py").startswith("NO CHANGE: ")
    assert annotated("x = 1\n", "docstrings", "src/orders/__init__.py") == '"""Orders."""\n\nx = 1\n'


def test_functions_that_look_alike_are_told_apart() -> None:
    one = "class {}:\n    def run(self):\n        print(1)\n"
    after = annotated("\n\n".join(one.format(name) for name in ("Ab", "Cd", "Ef")))
    assert after.count("def run(self) -> None:") == 3


def test_source_that_does_not_parse_is_declined() -> None:
    assert ask("def f(:\n").startswith("NO CHANGE: ")


def test_excerpts_get_no_module_docstring_unless_their_beginning_is_shown() -> None:
    task = (
        "File `a.py` (python), excerpts of 9 lines:\n5-6:\n"
        "```python\ndef load(a=1):\n    print(a)\n```\n\n"
        "Add to this file: types, docstrings\n"
    )
    text = answer([Turn(role="user", text=task)])
    assert text.count("<<<<<<< SEARCH") == 1
    assert 'def load(a: int = 1) -> None:\n    """Load, given a."""\n' in text
