"""Many rows by one parameter: sent one by one, thousands take seconds."""

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import TableValuedAlias, bindparam, column, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine


def given_rows(types: Mapping[str, TypeEngine[Any]], *, name: str) -> TableValuedAlias:
    """Stand for rows with these columns, given as the parameter `rows` (see `as_rows`)."""
    given = func.jsonb_to_recordset(bindparam("rows", type_=JSONB))
    columns = [column(each, type_) for each, type_ in types.items()]
    return given.table_valued(*columns, name=name).render_derived(with_types=True)


def as_rows(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Give rows as the parameter that a statement over `given_rows` takes."""
    return {"rows": [{name: _as_json(value) for name, value in row.items()} for row in rows]}


def _as_json(value: Any) -> Any:
    return str(value) if isinstance(value, uuid.UUID) else value
