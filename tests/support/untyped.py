"""Small Python files without hints and docstrings, and an own look at what was added to one."""

import ast
import io
import tokenize
from collections.abc import Iterator

_FILES = """\
def double(number):
    return number * 2
=====
def greet(name):
    return 'Hello, ' + name
=====
def is_even(number):
    return number % 2 == 0
=====
def total(prices):
    result = 0
    for price in prices:
        result += price
    return result
=====
def first(items, default=None):
    return items[0] if items else default
=====
def shout(text, times=3):
    return text.upper() + '!' * times
=====
def join(words, separator=', '):
    return separator.join(words)
=====
def count(words):
    seen = {}
    for word in words:
        seen[word] = seen.get(word, 0) + 1
    return seen
=====
def read(path):
    with open(path) as file:
        return file.read()
=====
def clamp(value, low=0, high=100):
    return max(low, min(value, high))
=====
def area(width, height):  # in metres
    return width * height
=====
def split(line, *, limit=-1):
    return line.split(',', limit)
=====
def merge(*parts, **more):
    return [*parts, *more.values()]
=====
def lengths(words):
    return [len(word) for word in words]
=====
def naturals():
    number = 0
    while True:
        yield number
        number += 1
=====
async def pause(seconds):
    import asyncio

    await asyncio.sleep(seconds)
=====
def outer(step):
    def inner(value):
        return value + step

    return inner
=====
LIMIT = 10


def below(value):
    return value < LIMIT
=====
import os


def home():
    return os.environ.get('HOME')
=====
class Point:
    def __init__(self, x, y):
        self.x = x
        self.y = y
=====
class Counter:
    def __init__(self):
        self.value = 0

    def up(self, by=1):
        self.value += by
        return self.value
=====
class Stack:
    def __init__(self):
        self.items = []

    def push(self, item):
        self.items.append(item)

    def pop(self):
        return self.items.pop()
=====
class Circle:
    PI = 3.14

    def __init__(self, radius):
        self.radius = radius

    @property
    def area(self):
        return self.PI * self.radius**2
=====
class Account:
    def __init__(self, owner):
        self.owner = owner

    @classmethod
    def anonymous(cls):
        return cls('nobody')
"""
SOURCES = tuple(_FILES.split("=====\n"))

_Span = tuple[tuple[int, int], tuple[int, int]]
_NEW_IMPORTS = {"typing", "collections.abc", "__future__"}


def only_adds_hints_and_docstrings(source: str, result: str) -> bool:
    """Say whether tree and tokens of the result are the source's, once hints and docstrings are taken away.

    The source has neither. This goes by tree positions, and shares nothing with the proof that it checks.
    """
    return _bare_tree(result) == ast.dump(ast.parse(source)) and _bare_tokens(result) == _tokens(source)


def _bare_tree(result: str) -> str:
    tree = ast.parse(result)
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            node.annotation = None
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [each for each in node.body if not _is_added(each, node)]
    return ast.dump(tree)


def _is_added(statement: ast.stmt, owner: ast.AST) -> bool:
    if isinstance(owner, ast.Module) and isinstance(statement, ast.ImportFrom):
        return statement.module in _NEW_IMPORTS
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return isinstance(statement.value.value, str)
    return False


def _bare_tokens(result: str) -> list[tuple[int, str]]:
    tree = ast.parse(result)
    hints, statements = [], []
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and node.annotation is not None:
            hints.append(_span(node.annotation))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns is not None:
            hints.append(_span(node.returns))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            statements += [_span(each) for each in node.body if _is_added(each, node)]
    kept: list[tokenize.TokenInfo] = []
    ends_statement = False
    for token in _significant(result):
        if any(start <= token.start and token.end <= end for start, end in statements):
            ends_statement = True
        elif ends_statement and token.type == tokenize.NEWLINE:
            ends_statement = False
        elif any(start <= token.start and token.end <= end for start, end in hints):
            if kept and kept[-1].string in {":", "->"} and token.start in {start for start, _ in hints}:
                kept.pop()
        else:
            kept.append(token)
    return [(token.type, token.string) for token in kept]


def _tokens(text: str) -> list[tuple[int, str]]:
    return [(token.type, token.string) for token in _significant(text)]


def _significant(text: str) -> Iterator[tokenize.TokenInfo]:
    """Give the tokens, comments among them, without blank lines."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.NL:
            yield token


def _span(node: ast.expr | ast.stmt) -> _Span:
    """Give where a node stands, in characters: the sources and what may be added to them are ASCII."""
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)
