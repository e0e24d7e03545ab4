"""What `typing` and `collections.abc` offer, and since which Python: all that new imports may name."""

import collections.abc
import typing

TYPING = "typing"
ABC = "collections.abc"
OLDEST = (3, 7)
GENERIC_BUILTINS_SINCE = (3, 9)
UNIONS_SINCE = (3, 10)

_TYPING_SINCE = {
    (3, 8): "Final Literal Protocol SupportsIndex TypedDict final get_args get_origin runtime_checkable",
    (3, 9): "Annotated BinaryIO IO Match Pattern TextIO",
    (3, 10): "Concatenate ParamSpec ParamSpecArgs ParamSpecKwargs TypeAlias TypeGuard is_typeddict",
    (3, 11): "LiteralString Never NotRequired Required Self TypeVarTuple Unpack assert_never assert_type"
    " clear_overloads dataclass_transform get_overloads reveal_type",
    (3, 12): "TypeAliasType override",
    (3, 13): "NoDefault ReadOnly TypeIs get_protocol_members is_protocol",
    (3, 14): "evaluate_forward_ref",
    (3, 15): "TypeForm disjoint_base",
}
_ABC_SINCE = {(3, 12): "Buffer"}

# Names that older versions have, though their `__all__` did not list them before.
_ALWAYS = frozenset({"BinaryIO", "IO", "Match", "Pattern", "TextIO"})


def since(module: str, name: str) -> tuple[int, int] | None:
    """The first Python, as (major, minor), in which `typing` or `collections.abc` has a name, if any has."""
    table = _TYPING_SINCE if module == TYPING else _ABC_SINCE
    for version, names in table.items():
        if name in names.split() and name not in _ALWAYS:
            return version
    known = typing.__all__ if module == TYPING else collections.abc.__all__
    return OLDEST if name in known else None
