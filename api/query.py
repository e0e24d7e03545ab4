"""Query strings: unknown parameters are refused like unknown fields, and pages go on from a cursor."""

import base64
import binascii
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Protocol, TypeVar, get_args, get_origin

from fastapi import Query, Request
from pydantic import BeforeValidator

from api.fields import instant
from api.problems import nearest, pointer
from patchmill.errors import FieldError, InvalidFields
from patchmill.store.ids import from_edge

MAX_PAGE = 200
PAGE = 50
MAX_WAIT_S = 60

LABEL = "label."

Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="how many at most")]
Cursor = Annotated[str | None, Query(max_length=64, description="`next_cursor` of the page before")]
Text = Annotated[str | None, Query(min_length=1, max_length=200)]
Instant = Annotated[
    datetime | None, BeforeValidator(instant, json_schema_input_type=str), Query(description="RFC 3339")
]
Wait = Annotated[
    float, Query(ge=0, le=MAX_WAIT_S, allow_inf_nan=False, description="seconds to wait for its end")
]


class _Item(Protocol):
    """What a list is made of."""

    @property
    def id(self) -> uuid.UUID: ...


_ListItem = TypeVar("_ListItem", bound=_Item)


def labels_of(request: Request) -> dict[str, str]:
    """Give the parameters `label.KEY=VALUE`, as a mapping of keys to values."""
    items = request.query_params.multi_items()
    return {name.removeprefix(LABEL): value for name, value in items if name.startswith(LABEL)}


def refuse_unknown(*, labels: bool = False) -> Callable[[Request], Awaitable[None]]:
    """Make the dependency that refuses unknown parameters, and text that no stored value can hold."""

    async def check(request: Request) -> None:
        parameters = request.scope["route"].dependant.query_params
        known = {parameter.alias for parameter in parameters}
        lists = {one.alias for one in parameters if _is_list(one.field_info.annotation)}
        times = Counter(name for name, _ in request.query_params.multi_items() if name not in lists)
        errors = []
        for name, value in request.query_params.multi_items():
            is_label = labels and name.startswith(LABEL) and name != LABEL
            if name not in known and not is_label:
                detail = f"there is no such parameter{nearest(name, known)}"
                errors.append(FieldError(pointer(("query", name)), "unknown_field", detail))
            elif "\0" in name + value:
                errors.append(FieldError(pointer(("query", name)), "not_allowed", "holds a NUL character"))
        errors += [
            FieldError(pointer(("query", name)), "not_allowed", "is there more than once")
            for name, count in times.items()
            if count > 1
        ]
        if errors:
            raise InvalidFields(errors)

    return check


def _is_list(kind: Any) -> bool:
    """Whether a parameter may be given more than once: `list[str]`, or that or None."""
    return any(get_origin(one) is list for one in (kind, *get_args(kind)))


def to_cursor(identity: uuid.UUID) -> str:
    """Write the place after an item."""
    return base64.urlsafe_b64encode(identity.bytes).decode().rstrip("=")


def from_cursor(text: str | None) -> uuid.UUID | None:
    """Read a place; raises InvalidFields for what is none."""
    if text is None:
        return None
    try:
        return uuid.UUID(bytes=base64.b64decode(text + "==", altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        detail = "is not a cursor that this service gave"
        raise InvalidFields([FieldError("/query/cursor", "not_allowed", detail)]) from None


def paged(rows: Sequence[_ListItem], limit: int) -> tuple[Sequence[_ListItem], str | None]:
    """Take a page off rows of which one more than `limit` was asked for; with it, `next_cursor`."""
    page = rows[:limit]
    return page, to_cursor(page[-1].id) if len(rows) > limit else None


def identity(prefix: str, text: str | None, parameter: str) -> uuid.UUID | None:
    """Read an id given as a parameter; raises InvalidFields for what is none."""
    if text is None:
        return None
    found = from_edge(prefix, text)
    if found is None:
        raise InvalidFields([FieldError(f"/query/{parameter}", "not_allowed", f"must be an id {prefix}_…")])
    return found
