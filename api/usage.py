"""What calls used and cost: grouped in any way, page by page, or as one CSV file."""

import json
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from api.auth import Reader
from api.openapi import answers, problems
from api.parts import PartsOf
from api.query import PAGE, Limit, refuse_unknown
from api.usage_question import MAX_DAYS, MAX_GROUPS, UTC_ZONE, Asked, next_cursor, read_question
from api.usage_rows import CSV, csv_headers, csv_text, group_documents, sums_document
from api.usage_shapes import USAGE, USAGE_CSV, Usage
from patchmill.errors import InvalidFields, NotAcceptable
from patchmill.instants import rfc3339
from patchmill.store.usage import GROUPS, moment, total, usage

router = APIRouter(prefix="/v1/usage", tags=["usage"], dependencies=[Depends(refuse_unknown())])

FORMATS = ("json", "csv")
_MAX_CURSOR = 16_384
_ANSWER = answers(HTTPStatus.OK, Usage, USAGE, "The sums; with `format=csv` all rows as one file.")
_ANSWER[int(HTTPStatus.OK)]["content"]["text/csv"] = {"schema": {"type": "string"}, "example": USAGE_CSV}


@router.get(
    "",
    summary="Sum up what was used and spent",
    responses={**_ANSWER, **problems(NotAcceptable, InvalidFields)},
)
def read_usage(
    request: Request,
    caller: Reader,
    parts: PartsOf,
    *,
    since: Annotated[
        str | None, Query(description=f"a date or RFC 3339, included; at most {MAX_DAYS} days before `until`")
    ] = None,
    until: Annotated[str | None, Query(description="likewise, not included; by default now")] = None,
    time_zone: Annotated[str, Query(description="whose days and hours these are")] = UTC_ZONE,
    group_by: Annotated[
        list[str] | None,
        Query(description=f"{', '.join(GROUPS)}, label.KEY: at most {MAX_GROUPS}, with commas between"),
    ] = None,
    chosen: Annotated[
        str | None, Query(alias="format", description="json or csv; by default as `Accept` says")
    ] = None,
    limit: Limit = PAGE,
    cursor: Annotated[
        str | None, Query(max_length=_MAX_CURSOR, description="`next_cursor` of the page before")
    ] = None,
) -> Response:
    """Sum up the project's calls that were sent in a period; every breakdown has the same total.

    Rows are of one moment with the total of their page. CSV has all rows, whatever `limit` and `cursor`.
    """
    as_csv = _is_csv(chosen, request.headers.get("accept", ""))
    with parts.database.begin() as connection:
        asked = read_question(
            now=moment(connection),
            since=since,
            until=until,
            zone=time_zone,
            group_by=group_by or (),
            project_id=caller.project_id,
            cursor=None if as_csv else cursor,
        )
        question = asked.question
        if as_csv:
            return Response(csv_text(connection, question), media_type=CSV, headers=csv_headers(question))
        rows = usage(connection, question, after=asked.after, limit=limit + 1)
        page = rows[:limit]
        document = {
            **_period(asked),
            "data": [
                groups | sums_document(row.sums)
                for groups, row in zip(group_documents(connection, question, page), page, strict=True)
            ],
            "total": sums_document(total(connection, question)),
            "next_cursor": next_cursor(question, page[-1].place) if len(rows) > limit else None,
        }
    # Not through the shape: there groups would come behind the sums.
    return Response(json.dumps(document, ensure_ascii=False), media_type="application/json")


def _period(asked: Asked) -> dict[str, object]:
    return {
        "since": rfc3339(asked.question.since),
        "until": rfc3339(asked.question.until),
        "time_zone": asked.question.time_zone,
        "group_by": list(asked.question.groups),
    }


def _is_csv(name: str | None, accept: str) -> bool:
    """Choose the format: by name, or else by what the client would rather have."""
    if name is None:
        first = accept.partition(",")[0].partition(";")[0].strip().lower()
        return first == "text/csv"
    if name not in FORMATS:
        raise NotAcceptable(f"there is no format {name[:100]!r}; there are {', '.join(FORMATS)}")
    return name == "csv"
