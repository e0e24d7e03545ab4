"""The suggestions of a job in the format that was asked for."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from api import examples
from api.auth import Reader
from api.documents import offered_files
from api.openapi import answers, problems
from api.parts import PartsOf
from api.query import refuse_unknown
from api.schemas import SuggestionList
from patchmill.deliver.formats import DEFAULT, FORMATS
from patchmill.deliver.suggestion import Format, Offered
from patchmill.errors import InvalidFields, NotAcceptable, NotFound
from patchmill.store import jobs
from patchmill.store.ids import known_id, no_such

router = APIRouter(prefix="/v1/jobs", tags=["suggestions"])

OFFERED = answers(
    HTTPStatus.OK, SuggestionList, examples.SUGGESTIONS, "The suggestions; none before the job's end."
)
for _format in FORMATS.values():
    OFFERED[int(HTTPStatus.OK)]["content"].setdefault(
        _format.media_type, {"schema": {"type": "string"}, "example": examples.PATCH}
    )

FormatName = Annotated[str, Query(alias="format", description=", ".join(FORMATS))]


def format_named(name: str) -> Format:
    """Give a format by its name; raises NotAcceptable if there is none."""
    form = FORMATS.get(name)
    if form is None:
        raise NotAcceptable(f"there is no format {name[:100]!r}; there are {', '.join(FORMATS)}")
    return form


def rendered(form: Format, offered: Offered) -> Response:
    """Answer with what is offered; a patch keeps the bytes of files that are not UTF-8."""
    return Response(form.render(offered).encode("utf-8", "surrogateescape"), media_type=form.media_type)


@router.get(
    "/{job_id}/suggestions",
    summary="Read a job's suggestions",
    dependencies=[Depends(refuse_unknown())],
    responses={**OFFERED, **problems(NotFound, NotAcceptable, InvalidFields)},
)
def read_suggestions(
    job_id: str,
    caller: Reader,
    parts: PartsOf,
    chosen: FormatName = DEFAULT,
) -> Response:
    """Render every suggestion of the job: `patch` applies all of them together."""
    form = format_named(chosen)
    identity = known_id("job", job_id)
    with parts.database.begin() as connection:
        row = jobs.find(connection, caller.project_id, identity)
        if row is None:
            raise no_such("job", job_id)
        if row.erased_at is not None:
            raise NotFound(f"the code of job {job_id} was erased")
        offered = offered_files(connection, [row])
    return rendered(form, Offered(files=offered))
