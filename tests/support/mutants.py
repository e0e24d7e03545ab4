"""Mutants of right annotations: each changes what the program does, in a way that is known here by itself.

Three sorts: CODE is changed beside the annotation, as trees without hints and docstrings tell; HINTS are
changed into ones that act, fail or bind; and PLANTED code, in the source already, reads what is added.
"""

import ast
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.support.stripped import Function, Part, Stripped, without


@dataclass(frozen=True, slots=True)
class Mutant:
    """An edited file that must not be accepted for its source."""

    kind: str
    source: str
    edited: str


def _swap(old: str, new: str) -> Callable[[str], str]:
    return lambda line: line.replace(old, new, 1)


# What is done to one line of code that has no string in it.
CODE: dict[str, Callable[[str], str]] = {
    "comparison_turned": _swap(" == ", " != "),
    "identity_turned": _swap(" is not None", " is None"),
    "negation_dropped": _swap("if not ", "if "),
    "operator_changed": _swap(" + ", " - "),
    "constant_changed": lambda line: re.sub(
        r"\b([01])\b", lambda found: str(1 - int(found[1])), line, count=1
    ),
    "truth_turned": lambda line: (
        line.replace("True", "False", 1) if "True" in line else line.replace("False", "True", 1)
    ),
    "result_dropped": lambda line: re.sub(r"^(\s*)return .+$", r"\1return None", line),
    "statement_dropped": lambda line: re.sub(r"^(\s*)(self\.\w+ = [^(\[{]+)$", r"\1pass", line),
    "attribute_renamed": lambda line: re.sub(r"self\.([a-z]\w*)", r"self.\1_", line, count=1),
    "and_or_swapped": _swap(" and ", " or "),
    "condition_fixed": lambda line: re.sub(r"^(\s*)if (.+):$", r"\1if True:", line),
    "raise_dropped": lambda line: re.sub(r"^(\s*)raise\b.*[)\w]$", r"\1pass", line),
    "default_changed": lambda line: re.sub(r"= ?None(?=[,)])", "=0", line, count=1),
    "call_dropped": lambda line: re.sub(r"^(\s*)return (\w+)\([^()]*\)$", r"\1return \2", line),
    "string_added": lambda line: re.sub(r"^(\s*)return\b", r"\1print('x'); return", line),
}

# What a hint becomes; `{}` is the right one.
HINTS: dict[str, str] = {
    "hint_calls": "print('x')",
    "hint_binds": "(bound_here := int)",
    "hint_is_lambda": "(lambda: int)()",
    "hint_indexes_code": "[int][0]",
    "hint_not_bound": "NotBoundAnywhere",
    "hint_divides": "1 / 0",
    "hint_joins_string": "'int' | None",
    "hint_subscripts_plain": "int[str]",
    "hint_formats": "f'{{print(1)}}'",
    "hint_of_missing_member": "__import__('typing').Nope",
    "hint_awaits": "int if print('x') else str",
    "import_acts": "import antigravity_of_ours\n",
    "import_star": "from typing import *\n",
    "import_shadows": "from typing import Any as len\n",
    "import_future": "from __future__ import barry_as_FLUFL\n",
    "import_moves_hints": "from __future__ import annotations\n",
    "docstring_acts": "{indent}f'{{print(1)}}'\n",
    "docstring_is_bytes": "{indent}b'text'\n",
    "docstring_calls": "{indent}print('text')\n",
    "bare_makes_local": "{indent}len: int\n",
}

# Code at the end of source and edited file; `{}` is the name of what is annotated.
PLANTED: dict[str, str] = {
    "signature_read": "import inspect as _i\n\nprint(_i.signature({}))\n",
    "signature_read_by_alias": "from inspect import signature as _s\n\n_read = _s\n_read({})\n",
    "signature_from_callable": "import inspect as _i\n\n_i.Signature.from_callable({})\n",
    "annotations_read": "print({}.__annotations__)\n",
    "annotations_got": "print(getattr({}, '__annot' + 'ations__'))\n",
    "hints_resolved": "import typing as _t\n\nfor _each in [{}]:\n    _t.get_type_hints(_each)\n",
    "members_listed": "import inspect as _i\n\nprint(_i.getmembers({}))\n",
    "shown": "help({})\n",
    "found_by_name": "import inspect as _i\n\n_i.signature(globals()['{}'])\n",
    "found_in_all": "import inspect as _i\n\nfor _each in [*globals().values()]:\n    _i.signature(_each)\n",
    "handed_on": "import lib_of_others\n\nlib_of_others.register({})\n",
    "handed_on_in_table": "import cyclopts\n\n_app = cyclopts.App()\n_table = {{'a': {}}}\n"
    "for _n, _f in _table.items():\n    _app.command(_f)\n",
    "handed_on_by_own": "import lib_of_others\n\n\ndef _pass_on(what):\n"
    "    lib_of_others.add(what)\n\n\n_pass_on({})\n",
    "called_by_fire": "import fire\n\nfire.Fire({})\n",
    "injected": "from fastapi import Depends\n\n_wanted = Depends({})\n",
    "dispatched": "import functools\n\n\n@functools.singledispatch\ndef _any(a):\n"
    "    return a\n\n\n_any.register({})\n",
    "source_read": "import inspect as _i\n\nprint(_i.getsource({}))\n",
    "lines_read": "print({}.__code__.co_firstlineno)\n",
    "constants_read": "print({}.__code__.co_consts)\n",
    "file_read": "print(open(__file__).read())\n",
    "checked_on_import": "from beartype.claw import beartype_this_package\n\nbeartype_this_package()\n",
}


def mutants(file: Stripped, right: Sequence[Part], kinds: Sequence[str], pick: random.Random) -> list[Mutant]:
    """Make at most one mutant of each kind, of a file with some right annotations put back."""
    made = []
    for kind in kinds:
        if kind in CODE:
            one = _code(file, right, kind, pick)
        elif kind in HINTS:
            one = _hint(file, kind, pick)
        else:
            one = _planted(file, kind, pick)
        if one is not None and one.edited != one.source:
            made.append(one)
    return made


def _code(file: Stripped, right: Sequence[Part], kind: str, pick: random.Random) -> Mutant | None:
    edited = file.with_only(right)
    lines = edited.split("\n")
    before = without(ast.parse(edited))
    for number in pick.sample(range(len(lines)), len(lines)):
        line = lines[number]
        changed = CODE[kind](line)
        if changed == line or any(quote in line for quote in "\"'#"):
            continue
        text = "\n".join([*lines[:number], changed, *lines[number + 1 :]])
        try:
            differs = without(ast.parse(text)) != before
        except SyntaxError:
            continue
        if differs:
            return Mutant(kind, file.bare, text)
    return None


def _hint(file: Stripped, kind: str, pick: random.Random) -> Mutant | None:
    mutation = HINTS[kind]
    if kind.startswith("import_"):
        return _imported(file, mutation, kind)
    if kind.startswith(("docstring_", "bare_")):
        functions = {node.name for node in ast.walk(ast.parse(file.bare)) if isinstance(node, Function)}
        parts = [part for part in file.parts if part.kind == "docstring" and part.name in functions]
        if not parts:
            return None
        part = pick.choice(parts)
        start, end = part.spans[0]
        was = file.source[start:end]
        new = mutation.format(indent=was[: len(was) - len(was.lstrip())])
    else:
        parts = [part for part in file.parts if part.kind == "hints"]
        if not parts or _is_lazy(file):
            return None
        part = pick.choice(parts)
        start, end = pick.choice(part.spans)
        was = file.source[start:end]
        new = ("-> " if was.lstrip().startswith("->") else ": ") + mutation.replace("{{", "{").replace(
            "}}", "}"
        )
        new = f" {new}" if new.startswith("->") else new
    return _put(file, (start, end), new, kind)


def _put(file: Stripped, span: tuple[int, int], new: str, kind: str) -> Mutant | None:
    """The file with one span put back in another form, and nothing else."""
    shift = sum(
        min(end, span[0]) - start for other in file.parts for start, end in other.spans if start < span[0]
    )
    at = span[0] - shift
    text = file.bare[:at] + new + file.bare[at:]
    try:
        compile(text, "<mutant>", "exec", dont_inherit=True)
    except SyntaxError:
        return None
    return Mutant(kind, file.bare, text)


def _imported(file: Stripped, statement: str, kind: str) -> Mutant | None:
    """A right hint, with an import that acts."""
    part = next((part for part in file.parts if part.kind == "hints"), None)
    if part is None or _is_lazy(file):
        return None
    edited = file.with_only([part])
    first = next((node for node in ast.parse(edited).body if not isinstance(node, ast.Expr)), None)
    if first is None or (kind == "import_shadows" and "len(" not in edited):
        return None
    lines = edited.split("\n")
    return Mutant(
        kind,
        file.bare,
        "\n".join([*lines[: first.lineno - 1], statement.rstrip("\n"), *lines[first.lineno - 1 :]]),
    )


def _planted(file: Stripped, kind: str, pick: random.Random) -> Mutant | None:
    """The annotation of a function at the top of the file, which more code of the file looks at."""
    tree = ast.parse(file.bare)
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and not node.decorator_list}
    wanted = {"shown": None, "constants_read": "docstring"}.get(kind, "hints")
    parts = [part for part in file.parts if part.name in names and wanted in {None, part.kind}]
    if not parts:
        return None
    part = pick.choice(parts)
    planted = "\n\n" + PLANTED[kind].format(part.name)
    return Mutant(kind, file.bare + planted, file.with_only([part]) + planted)


def _is_lazy(file: Stripped) -> bool:
    """Whether the file's hints are never evaluated, so that they can neither act nor fail."""
    return "from __future__ import annotations" in file.source
