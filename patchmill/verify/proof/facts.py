"""What a source says about itself that bears on whether hints and docstrings can be added unseen."""

import ast

from patchmill.verify.proof.scopes import Scopes

# Whoever mentions these may act on hints, or on docstrings, at run time.
_HINT_READERS = frozenset(
    {
        "__annotations__",
        "__annotate__",
        "annotationlib",
        "get_annotations",
        "get_type_hints",
        "getfullargspec",
        "validate_arguments",
        "validate_call",
        "beartype",
        "typechecked",
    }
)
# Frameworks that look at the hints of functions that they are handed.
_HINT_FRAMEWORKS = frozenset(
    {
        "aiogram",
        "cyclopts",
        "dishka",
        "discord",
        "fastapi",
        "injector",
        "litestar",
        "plum",
        "pydantic",
        "strawberry",
        "typer",
    }
)
_DOCSTRING_READERS = frozenset({"__doc__", "getdoc", "docopt"})
_LOOKS_ONLY = frozenset({"isinstance", "issubclass", "super", "cast"})


class Facts:
    """What one pass over the source's tree tells.

    `words` are all names, attributes, imports and strings, `dotted` all paths of attributes and imports,
    `passed_on` the names that are arguments of calls, `bound` the names bound in any scope.
    """

    def __init__(self, tree: ast.Module) -> None:
        self.words: set[str] = set()
        self.passed_on: set[str] = set()
        self.bound = Scopes(tree).visible
        modules: set[str] = set()
        dotted: set[str] = set()
        for node in ast.walk(tree):
            match node:
                case ast.Name(id=name) | ast.Constant(value=str(name)):
                    self.words.add(name)
                case ast.Attribute(attr=name):
                    self.words.add(name)
                    dotted.add(ast.unparse(node))
                case ast.alias(name=name):
                    self.words.update(name.split("."))
                case ast.ImportFrom(module=str(module), names=names):
                    modules.add(module.partition(".")[0])
                    dotted.update(f"{module}.{alias.name}" for alias in names)
                case ast.Call():
                    self.passed_on |= _handed_on(node)
        self.dotted = frozenset(dotted)
        self.reads_hints = "inspect.signature" in dotted or bool(self.words & _HINT_READERS)
        self.has_framework = bool((self.words | modules) & _HINT_FRAMEWORKS)
        self.reads_docstrings = bool(self.words & _DOCSTRING_READERS)
        self.future_annotations = "__future__.annotations" in dotted


def _handed_on(call: ast.Call) -> set[str]:
    """The names that a call gets as arguments, unless it is one that only looks at types."""
    if isinstance(call.func, ast.Name) and call.func.id in _LOOKS_ONLY:
        return set()
    handed = [*call.args, *(keyword.value for keyword in call.keywords)]
    return {part.id for part in handed if isinstance(part, ast.Name)}
