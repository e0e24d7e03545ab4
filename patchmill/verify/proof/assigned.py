"""What statements assign, and which strings expressions are."""

import ast


def constant(expression: ast.expr) -> str | None:
    """The string that an expression is for certain, put together from constants or not."""
    match expression:
        case ast.Constant(value=str(text)):
            return text
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            parts = [constant(left), constant(right)]
        case ast.JoinedStr(values=values):
            parts = [constant(value) for value in values]
        case ast.FormattedValue(value=value, conversion=-1, format_spec=None):
            return constant(value)
        case _:
            return None
    return None if None in parts else "".join(part for part in parts if part is not None)


def targets(  # noqa: PLR0911 - one for each statement
    node: ast.AST,
) -> list[tuple[ast.expr, ast.expr]]:
    """The targets that a node assigns to, each with what it is given, or a part of it."""
    match node:
        case ast.Assign(targets=several, value=value):
            return [(target, value) for target in several]
        case ast.AnnAssign(target=target, value=ast.expr() as value):
            return [(target, value)]
        case ast.AugAssign(target=target, value=value) | ast.NamedExpr(target=target, value=value):
            return [(target, value)]
        case (
            ast.For(target=target, iter=value)
            | ast.AsyncFor(target=target, iter=value)
            | ast.comprehension(target=target, iter=value)
        ):
            return [(target, value)]
        case ast.Match(subject=value):
            return [(ast.Name(id=name, ctx=ast.Store()), value) for name in _captured(node)]
        case ast.withitem(optional_vars=ast.expr() as target, context_expr=value):
            return [(target, value)]
        case _:
            return []


def _captured(match: ast.Match) -> list[str]:
    parts = [part for case in match.cases for part in ast.walk(case.pattern)]
    names = [getattr(part, "name", None) or getattr(part, "rest", None) for part in parts]
    return [name for name in names if isinstance(name, str)]
