"""A hint's form: names, attributes, subscripts, unions, None, strings and literals, and nothing that acts."""

import ast

from patchmill.verify.proof.refusal import Broken, Rule

_LITERAL = "Literal"
_ANNOTATED = "Annotated"
_DEEPEST_QUOTE = 3


def lazy_names(hint: ast.expr) -> frozenset[str]:
    """The names of a hint that is never evaluated, those within quotes too."""
    return frozenset(_names(hint, quotes=True))


def quoted_names(hint: ast.expr) -> frozenset[str]:
    """The names that stand within quotes in a hint that is evaluated."""
    return frozenset(_names(hint, quotes=True)) - frozenset(_names(hint, quotes=False))


def check_form(hint: ast.expr, depth: int = 0) -> None:  # noqa: C901 - one case for each form
    """Raise Broken unless a hint is plain, strings within it included."""
    match hint:
        case ast.Name():
            return
        case ast.Attribute(value=value):
            if not isinstance(value, ast.Name | ast.Attribute):
                raise Broken(Rule.HINT_NOT_PLAIN, "an attribute in a hint must be of a name")
            check_form(value, depth)
        case ast.Subscript(value=value, slice=inner):
            if not isinstance(value, ast.Name | ast.Attribute):
                raise Broken(Rule.HINT_NOT_PLAIN, "only a name can be subscripted in a hint")
            check_form(value, depth)
            _check_arguments(_last_name(value), inner, depth)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            for side in (left, right):
                if isinstance(side, ast.Constant) and isinstance(side.value, str):
                    raise Broken(Rule.STRING_UNION, f"| on the string {side.value!r}: quote the whole hint")
                check_form(side, depth)
        case ast.Constant(value=None):
            return
        case ast.Constant(value=str()):
            check_form(unquoted(hint, depth), depth + 1)
        case _:
            raise Broken(Rule.HINT_NOT_PLAIN, f"a hint may not contain a {type(hint).__name__}")


def unquoted(hint: ast.Constant, depth: int = 0) -> ast.expr:
    """The hint that a quoted hint contains."""
    if depth >= _DEEPEST_QUOTE:
        raise Broken(Rule.HINT_NOT_PLAIN, "a hint quoted inside quotes")
    try:
        return ast.parse(str(hint.value), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise Broken(Rule.HINT_NOT_PLAIN, f"{hint.value!r:.80} is not a hint") from None


def is_literal(hint: ast.Subscript) -> bool:
    """Whether a subscript is `Literal[...]`, by name: its strings are no hints."""
    return _last_name(hint.value) == _LITERAL


def _check_arguments(base: str, inner: ast.expr, depth: int) -> None:
    arguments = inner.elts if isinstance(inner, ast.Tuple) else [inner]
    for number, argument in enumerate(arguments):
        if base == _LITERAL or (base == _ANNOTATED and number > 0):
            _check_literal(argument)
        elif isinstance(argument, ast.Constant) and argument.value is Ellipsis:
            continue
        elif isinstance(argument, ast.List):
            for part in argument.elts:
                check_form(part, depth)
        else:
            check_form(argument, depth)


def _check_literal(argument: ast.expr) -> None:
    match argument:
        case ast.Constant(value=str() | bytes() | bool() | int() | None):
            return
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int())):
            return
        case ast.Attribute(value=ast.Name()):
            return
        case _:
            raise Broken(Rule.HINT_NOT_PLAIN, "only plain literals may stand here")


def _last_name(value: ast.expr) -> str:
    return value.id if isinstance(value, ast.Name) else value.attr if isinstance(value, ast.Attribute) else ""


def _names(hint: ast.expr, *, quotes: bool) -> set[str]:
    match hint:
        case ast.Name(id=name):
            return {name}
        case ast.Constant(value=str()) if quotes:
            return _names(unquoted(hint), quotes=True)
        case ast.Subscript(value=value) if is_literal(hint):
            return _names(value, quotes=quotes)
        case ast.Subscript(value=value, slice=inner) if _last_name(value) == _ANNOTATED:
            first = inner.elts[0] if isinstance(inner, ast.Tuple) and inner.elts else inner
            return _names(value, quotes=quotes) | _names(first, quotes=quotes)
        case _:
            return {
                name
                for child in ast.iter_child_nodes(hint)
                if isinstance(child, ast.expr)
                for name in _names(child, quotes=quotes)
            }
