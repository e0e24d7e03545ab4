"""What each problem means and what to do about it: where the `type` of a problem document leads.

One table, which `docs/problems.md` repeats; a person with a browser gets a page, a program JSON.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import APIRouter, Depends, Request, Response

from api import examples
from api.answering import json_answer
from api.dashboard.rendering import guard, page
from api.openapi import answers, problems
from api.query import refuse_unknown
from api.schemas import ProblemKind
from patchmill import errors
from patchmill.errors import InvalidFields, NotFound, PatchmillError

router = APIRouter(tags=["problems"], dependencies=[Depends(refuse_unknown())])


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of problem: its title and status, what it means, and what helps, in sentences."""

    title: str
    status: int
    meaning: str
    remedy: str
    retryable: bool = False


def _of(error: type[PatchmillError], remedy: str) -> tuple[str, Kind]:
    """Take from an error of ours what it says of itself."""
    meaning = " ".join((error.__doc__ or "").split()).replace("`retry_after_s`", "`Retry-After`")
    kind = Kind(
        title=error.title,
        status=error.status,
        meaning=meaning,
        remedy=remedy,
        retryable=error.retryable,
    )
    return error.code, kind


KINDS: Mapping[str, Kind] = dict(
    [
        _of(errors.InvalidJson, "Send one JSON value in UTF-8: no comments, no NaN, no key twice."),
        _of(
            errors.Unauthenticated,
            "Send `Authorization: Bearer pm_...` with a key that is neither revoked nor expired; "
            "`patchmill keys create` makes one.",
        ),
        _of(
            errors.Forbidden,
            "Use a key with the scope that `detail` names. What concerns every project takes an `admin` key "
            "of the project `default`.",
        ),
        _of(
            errors.NotFound,
            "Look at the path and the id: a key sees its own project alone, and what was pruned is gone.",
        ),
        (
            "method_not_allowed",
            Kind(
                title="Method not allowed",
                status=HTTPStatus.METHOD_NOT_ALLOWED,
                meaning="There is such a path, but not with this method.",
                remedy="Use one of those in the header `Allow`.",
            ),
        ),
        _of(errors.NotAcceptable, "Ask for one of those that `detail` names."),
        _of(
            errors.Conflict,
            "Read it again, since it has moved on, and decide anew; `detail` says what is in the way.",
        ),
        _of(
            errors.IdempotencyConflict,
            "Send the first body again to get its answer, or another key with what is other work.",
        ),
        _of(
            errors.TooLarge,
            "Send less at once: `detail` names the limit, and the setting that the operator can raise.",
        ),
        _of(errors.UnsupportedMediaType, "Send `Content-Type: application/json`."),
        _of(
            errors.InvalidFields,
            "Mend what `errors` lists: `pointer` says where in the request, `detail` how it should be.",
        ),
        _of(errors.BelowMinimumHold, "Set a higher limit; `detail` names the lowest possible."),
        _of(errors.RateLimited, "Wait for as many seconds as the header `Retry-After` says."),
        _of(
            PatchmillError,
            "The server's log has more under the `request_id`. Sending the same again with the same "
            "`Idempotency-Key` does nothing twice.",
        ),
        _of(
            errors.Unavailable,
            "Send it again after the header `Retry-After`; `/readyz` tells the operator what is away.",
        ),
    ]
)


@router.get(
    "/problems/{code}",
    summary="What a problem means",
    responses={
        **answers(HTTPStatus.OK, ProblemKind, examples.PROBLEM_KIND, "What it means and what helps."),
        **problems(NotFound, InvalidFields, everywhere=[PatchmillError]),
    },
)
async def explain_problem(request: Request, code: str) -> Response:
    """Say of the `type` of a problem document what it means and what to do; a browser gets a page.

    It takes no key.
    """
    kind = KINDS.get(code)
    if kind is None:
        raise NotFound(f"there is no problem {code}; there are {', '.join(KINDS)}")
    if "text/html" in request.headers.get("accept", ""):
        response: Response = guard(page(request, "problem", {"code": code, "kind": kind}))
    else:
        response = json_answer(
            ProblemKind(
                type=f"/problems/{code}",
                title=kind.title,
                status=kind.status,
                code=code,
                meaning=kind.meaning,
                remedy=kind.remedy,
                retryable=kind.retryable,
            )
        )
    response.headers["Vary"] = "Accept"
    return response
