"""What looks things up by names in strings, runs code in strings, or keeps what it is given."""

import ast
import functools

from patchmill.verify.proof.assigned import constant
from patchmill.verify.proof.readers import Reads

READ_ATTRIBUTES = {
    "__annotations__": Reads.HINTS | Reads.NAMES,
    "__annotate__": Reads.HINTS | Reads.NAMES,
    "__doc__": Reads.DOCS,
    "__dict__": Reads.NAMES | Reads.VALUES,
}
# Words that read in code that stands in a string.
IN_CODE = {
    **READ_ATTRIBUTES,
    "get_type_hints": Reads.HINTS | Reads.NAMES,
    "getsource": Reads.SOURCE,
    "help(": Reads.HINTS | Reads.DOCS,
    "signature": Reads.HINTS,
}
# Strings that name such an attribute, wherever they stand.
SPELLED = frozenset({"__annotations__", "__annotate__", "__doc__"})
BY_NAME = frozenset({"builtins.getattr", "builtins.setattr", "builtins.hasattr", "builtins.delattr"})
BLIND_IN_CODE = frozenset(
    """
    co_argcount co_cellvars co_filename co_flags co_freevars co_kwonlyargcount co_name co_names co_nlocals
    co_posonlyargcount co_qualname co_stacksize co_varnames
    """.split()  # noqa: SIM905 - it reads better than a dozen strings
)
# Methods that only keep what they are given, whosoever they are.
KEEP = frozenset({"append", "appendleft", "extend", "insert", "setdefault", "update"})

_LOOK_UP = frozenset(
    {
        "__dict__",
        "__getattribute__",
        "attrgetter",
        "eval",
        "exec",
        "getattr_static",
        "globals",
        "locals",
        "methodcaller",
        "vars",
    }
)
RUN_CODE = frozenset({"builtins.compile", "builtins.eval", "builtins.exec"})
# What calls a function that it is given with the other things that it is given.
APPLIERS = frozenset({"filter", "map", "max", "min", "reduce", "sort", "sorted", "starmap"})
# Methods that Python calls with the class in whose body a descriptor stands, and at which place.
OWNER_IN = {"__get__": 2, "__set_name__": 1}
_DIGESTS = frozenset({"builtins.hash", "builtins.repr", "marshal.dump", "marshal.dumps"})
# What makes a command, or a tool for a model, of a function, and shows its docstring.
_COMMANDS = frozenset({"botcmd", "command", "group", "subcommand", "tool"})


def looks_up(node: ast.AST) -> bool:
    """Whether something looks names up that are given as values."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name) if name in _LOOK_UP:
            return True
        case ast.Call(func=ast.Name(id="getattr"), args=[_, key, *_]):
            return constant(key) is None
        case _:
            return False


def last_word(function: ast.expr) -> str:
    """Give the name by which something is called, without what it belongs to."""
    return ast.unparse(function).rpartition(".")[2]


def is_command(decorator: ast.expr) -> bool:
    """Whether a decorator is, by its name, one that makes a command: `@app.cli.command("go")`."""
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return isinstance(called, ast.Attribute) and called.attr in _COMMANDS


def hands_module(call: ast.Call, *, inside: bool) -> bool:
    """Whether a call, at the top of the file or `inside` something, is given the module or all its names."""
    names = {"globals"} if inside else {"globals", "locals", "vars"}
    return any(
        (isinstance(value, ast.Call) and not value.args and ast.unparse(value.func) in names)
        or (isinstance(value, ast.Subscript) and ast.unparse(value.value) == "sys.modules")
        for value in [*call.args, *(keyword.value for keyword in call.keywords)]
    )


def digests_code(origin: str, call: ast.Call) -> bool:
    """Whether a call makes a number or bytes of a function's code, in which docstring and lines are."""
    code = [value for value in call.args if isinstance(value, ast.Attribute) and value.attr == "__code__"]
    return origin in _DIGESTS and bool(code)


@functools.cache
def attributes_of(owner: ast.ClassDef | None) -> frozenset[str]:
    """Give the names of attributes that something in a class is given; none of no class."""
    if owner is None:
        return frozenset()
    return frozenset(
        node.attr
        for node in ast.walk(owner)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    )
